// What a person thinks of one answer: good, bad or to be flagged, with a note. Knows no gateway.

import { Refusal } from "./gateway.js";
import { problemWords } from "./words.js";

const THANKS = { up: "Thank you.", down: "Thank you.", flag: "Thank you. It is flagged." };

export class Votes {
  #parts;
  #onVote;
  #stored = null; // {id, verdict} of what counts
  #isSending = false;

  /** `onVote({verdict, note, replaces})` stores it and returns its id, or raises a Refusal. */
  constructor(turn, onVote) {
    const part = (name) => turn.querySelector(`.${name}`);
    this.#parts = {
      votes: part("votes"),
      buttons: [...turn.querySelectorAll(".vote")],
      form: part("note-form"),
      note: part("note"),
      state: part("feedback-state"),
    };
    this.#onVote = onVote;
    for (const button of this.#parts.buttons) {
      button.addEventListener("click", () => this.#vote(button.dataset.verdict));
    }
    this.#parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#vote(this.#stored.verdict);
    });
    this.#parts.state.ariaLive = "polite";
  }

  /** For an answer that has just come. */
  show() {
    this.#parts.votes.hidden = false;
  }

  /** Until another answer has come: what was said was said of the one before. */
  hide() {
    const { votes, form, note, state } = this.#parts;
    this.#stored = null;
    note.value = "";
    this.#press();
    state.textContent = "";
    votes.hidden = form.hidden = state.hidden = true;
  }

  async #vote(verdict) {
    const { form, note, state } = this.#parts;
    if (this.#isSending) return;
    this.#isSending = true;
    state.hidden = false;
    try {
      const replaces = this.#stored ? { replaces: this.#stored.id } : {};
      const id = await this.#onVote({ verdict, note: note.value.trim(), ...replaces });
      this.#stored = { id, verdict };
      form.hidden = false;
      this.#press();
      state.textContent = `${THANKS[verdict]}${note.value.trim() ? " Your note is stored, too." : ""}`;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      state.textContent = Object.values(problemWords(error)).filter(Boolean).join(" ");
    } finally {
      this.#isSending = false;
    }
  }

  #press() {
    for (const button of this.#parts.buttons) {
      button.ariaPressed = String(button.dataset.verdict === this.#stored?.verdict);
    }
  }
}
