// How answers are to be drawn, as the person chose: model, temperature, top-p, length. What is left empty is the model's.

const LARGEST_SEED = 2 ** 31 - 1;
/** For another answer of a model that draws greedily, which would say the same again. */
const LIVELY = 0.7;

export class Settings {
  #parts;
  #models = [];

  constructor(parts) {
    this.#parts = parts;
    parts.model.addEventListener("change", () => this.#boundLength());
  }

  /** Offers models to choose from, where there are several; the first is the default one. */
  offer(models) {
    const { model, modelField } = this.#parts;
    const chosen = model.value;
    this.#models = models;
    model.replaceChildren(...models.map(({ id }) => new Option(id, id, false, id === chosen)));
    modelField.hidden = !this.hasSeveralModels;
    this.#boundLength();
  }

  get hasSeveralModels() {
    return this.#models.length > 1;
  }

  /** Whether all that is chosen can be asked for; else the first that cannot be is shown. */
  check() {
    const wrong = this.#inputs.find((input) => !input.checkValidity());
    if (!wrong) return true;
    this.#parts.details.open = true;
    wrong.reportValidity();
    return false;
  }

  /** The fields of a request. */
  chosen() {
    const { model, temperature, topP, maxTokens } = this.#parts;
    const numbers = { temperature, top_p: topP, max_tokens: maxTokens };
    const given = Object.entries(numbers).filter(([, input]) => input.value !== "");
    return {
      ...(this.hasSeveralModels ? { model: model.value } : {}),
      ...Object.fromEntries(given.map(([name, input]) => [name, input.valueAsNumber])),
    };
  }

  /** The same for another answer than the one with this `sampling`, of which nothing need be known. */
  anew(sampling) {
    const chosen = this.chosen();
    const temperature = (chosen.temperature ?? sampling?.temperature) || LIVELY;
    return { ...chosen, temperature, seed: Math.floor(Math.random() * LARGEST_SEED) };
  }

  get #inputs() {
    const { temperature, topP, maxTokens } = this.#parts;
    return [temperature, topP, maxTokens];
  }

  #boundLength() {
    const { model, maxTokens } = this.#parts;
    const longest = (this.#models.find(({ id }) => id === model.value) ?? this.#models[0])?.max_tokens;
    maxTokens.max = longest ?? "";
    maxTokens.placeholder = longest ? `up to ${longest}` : "";
  }
}
