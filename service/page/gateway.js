// What the gateway is asked, over HTTP. Knows its calls, its events and its problems; nothing of the page.

import { readEvents } from "./events.js";

/** A stream carries a comment every few seconds, so that a longer silence means that the gateway is gone. */
const SILENCE_MS = 45_000;
const UPLOAD_MS = 120_000;
const ASK_MS = 15_000;
const KEY = "llava-graph-key";

/**
 * Why something was not done. `code` is the gateway's own, or one of the page's: `gateway_unreachable`,
 * `connection_lost`, `unexpected_response`. `reference` is the request's id, which is in the service's logs too.
 */
export class Refusal extends Error {
  constructor(code, said = "", { retryable = false, reference = "" } = {}) {
    super(said || code);
    this.code = code;
    this.said = said;
    this.retryable = retryable;
    this.reference = reference;
  }
}

export class Gateway {
  /** The caller's key, for as long as the tab is open. */
  get key() {
    return sessionStorage.getItem(KEY);
  }

  set key(key) {
    sessionStorage.setItem(KEY, key);
  }

  /** Keeps a figure: {id, width, height, caption, ocr}. */
  async keep(file, caption, signal) {
    const form = new FormData();
    form.append("image", file, file.name || "figure");
    form.append("caption", caption);
    const response = await this.#ask("v1/figures", { method: "POST", body: form }, UPLOAD_MS, signal);
    return response.json().catch(fail);
  }

  /** The pixels of a kept figure as every browser shows them, upright. */
  async image(figureId, signal) {
    const response = await this.#ask(`v1/figures/${figureId}/image`, {}, UPLOAD_MS, signal);
    return response.blob().catch(fail);
  }

  /**
   * The events of one answer as they come, {name, data}: `figure`, `ocr`, `delta`…, `done`.
   * `request` is the call's body. Raises a Refusal for an `error` event and for a line that breaks.
   */
  async *chat(figureId, request, signal) {
    const silence = new AbortController();
    const giveUp = () => silence.abort(new Refusal("connection_lost", "", { retryable: true }));
    let timer = setTimeout(giveUp, SILENCE_MS);
    try {
      const response = await this.#send(
        `v1/figures/${figureId}/chat`,
        {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ ...request, stream: true }),
        },
        AbortSignal.any([signal, silence.signal]),
      );
      for await (const event of readEvents(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(giveUp, SILENCE_MS);
        if (event.name === null) continue;
        const data = JSON.parse(event.data);
        if (event.name === "error") throw new Refusal(data.code, data.message, data);
        yield { name: event.name, data };
        if (event.name === "done") return;
      }
    } catch (error) {
      if (silence.signal.aborted) throw silence.signal.reason;
      fail(error);
    } finally {
      clearTimeout(timer);
    }
    throw new Refusal("connection_lost", "", { retryable: true });
  }

  /** The models that are served, [{id, max_tokens}], the default one first. */
  async models() {
    const response = await this.#ask("v1/models", {}, ASK_MS);
    const { data } = await response.json().catch(fail);
    return data;
  }

  /** Stores feedback on an answer: {id, image}. */
  async feedback(given) {
    const headers = { "Content-Type": "application/json" };
    const response = await this.#ask("v1/feedback", { method: "POST", headers, body: JSON.stringify(given) }, ASK_MS);
    return response.json().catch(fail);
  }

  /** What the operator has turned on: {feedback, feedback_images}. */
  async options() {
    const response = await this.#ask("page/options.json", {}, ASK_MS);
    return response.json().catch(fail);
  }

  /** Whether figures can be explained now: the document of /readyz, which comes with 503 when they cannot. */
  async readiness() {
    const response = await this.#fetch("readyz", {}, AbortSignal.timeout(ASK_MS));
    return response.json().catch(fail);
  }

  /** The example figures: [{image, caption}], where `image` is an address. */
  async examples() {
    const response = await this.#ask("page/examples.json", {}, ASK_MS);
    return response.json().catch(fail);
  }

  async exampleImage(address) {
    const response = await this.#ask(address, {}, UPLOAD_MS);
    const image = await response.blob().catch(fail);
    return new File([image], address.split("/").pop(), { type: image.type });
  }

  #ask(address, options, deadlineMs, signal) {
    const deadline = AbortSignal.timeout(deadlineMs);
    return this.#send(address, options, signal ? AbortSignal.any([signal, deadline]) : deadline);
  }

  async #send(address, options, signal) {
    const response = await this.#fetch(address, options, signal);
    if (!response.ok) throw await refusalOf(response);
    return response;
  }

  async #fetch(address, options, signal) {
    const headers = new Headers(options.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    try {
      return await fetch(address, { ...options, headers, signal });
    } catch (error) {
      const isOurs = error instanceof Refusal || error.name === "AbortError";
      throw isOurs ? error : new Refusal("gateway_unreachable", "", { retryable: true });
    }
  }
}

/** Throws what reading a response failed with, as a Refusal where the line or the other end is to blame. */
function fail(error) {
  if (error instanceof SyntaxError) throw new Refusal("unexpected_response", "", { retryable: true });
  const isLine = error instanceof TypeError || error.name === "TimeoutError";
  throw isLine ? new Refusal("connection_lost", "", { retryable: true }) : error;
}

/** An RFC 9457 problem as a Refusal; anything else, a proxy's page for instance, is `unexpected_response`. */
async function refusalOf(response) {
  try {
    const problem = await response.json();
    if (problem.code) {
      return new Refusal(problem.code, problem.detail || problem.title, {
        retryable: problem.retryable,
        reference: problem.instance,
      });
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const code = response.status === 401 ? "unauthorized" : "unexpected_response";
  return new Refusal(code, `HTTP ${response.status}`, { retryable: response.status >= 500 });
}
