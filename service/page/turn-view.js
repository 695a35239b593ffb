// One question and its answer on the page: progress, the text while it comes, its marks, notes, problems.

import { passages } from "./passages.js";
import { CONTEXT_WORDS, count, duration, ocrNote, problemWords, unsupportedReason } from "./words.js";

export class TurnView {
  #parts;
  #text;
  #spotlight;
  #tip;
  #onLink;

  /** `onLink(line)` is called when a grounded phrase is followed. */
  constructor(template, question, { spotlight, tip, onLink, onAgain, onCopy }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    const part = (name) => this.element.querySelector(`.${name}`);
    this.#parts = {
      progress: part("progress"),
      answer: part("answer"),
      notes: part("notes"),
      problem: part("problem"),
      what: part("problem-what"),
      advice: part("problem-advice"),
      reference: part("problem-reference"),
      again: part("again"),
      foot: part("turn-foot"),
      copy: part("copy"),
      timings: part("timings"),
    };
    this.#spotlight = spotlight;
    this.#tip = tip;
    this.#onLink = onLink;
    part("question").textContent = question;
    this.#parts.again.addEventListener("click", onAgain);
    this.#parts.copy.addEventListener("click", () => onCopy(this.#parts.copy));
  }

  begin() {
    const { answer, notes, problem, foot } = this.#parts;
    this.#text = new Text();
    answer.replaceChildren(this.#text);
    notes.replaceChildren();
    problem.hidden = foot.hidden = true;
    this.element.classList.add("running");
  }

  progress(words) {
    this.#parts.progress.textContent = words;
    this.#parts.progress.hidden = words === "";
  }

  write(piece) {
    this.progress("");
    this.#text.appendData(piece);
  }

  /** The whole answer with its marks. */
  finish(turn, context) {
    const { answer, foot, timings } = this.#parts;
    const { done, ocr } = turn;
    const { grounding, unsupported } = done;
    this.#end();
    answer.replaceChildren(...passages(turn.text, grounding, unsupported).map((passage) => this.#passage(passage)));
    if (turn.text === "") this.#note("The model gave no answer.");
    this.#note(ocrNote(ocr.status));
    if (done.finish_reason === "length") this.#note("The answer was cut at its greatest length.");
    if (done.finish_reason === "repetition") this.#note("The model began to repeat itself and was stopped.");
    if (unsupported.length) this.#note(unsupportedNote(turn.text, unsupported), "unsupported-note");
    foot.hidden = false;
    timings.textContent = timingWords(done, ocr, context);
  }

  stop(turn) {
    this.#end();
    this.#note(turn.text ? "Stopped: this answer is not complete." : "Stopped before the answer began.");
    this.#parts.foot.hidden = turn.text === "";
  }

  fail(refusal) {
    const { problem, what, advice, reference, again } = this.#parts;
    const words = problemWords(refusal);
    this.#end();
    what.textContent = words.what;
    advice.textContent = words.advice;
    reference.textContent = [refusal.code, refusal.reference].filter(Boolean).join(" · ");
    again.hidden = !refusal.retryable && refusal.code !== "unauthorized";
    problem.hidden = false;
  }

  /** Leads the reader from a box in the figure to the first phrase that names it; says whether there is one. */
  goTo(line) {
    const phrase = this.#phrases().find((element) => Number(element.dataset.line) === line);
    phrase?.focus();
    return phrase !== undefined;
  }

  /** Lights the phrases that name a line; null lights none. */
  light(line) {
    for (const phrase of this.#phrases()) phrase.classList.toggle("lit", Number(phrase.dataset.line) === line);
  }

  #end() {
    this.progress("");
    this.element.classList.remove("running");
    this.#parts.timings.textContent = "";
  }

  #note(words, className = "") {
    if (words === "") return;
    const note = document.createElement("li");
    note.className = className;
    note.textContent = words;
    this.#parts.notes.append(note);
  }

  #passage({ text, line, mention }) {
    if (line !== undefined) return this.#grounded(text, line);
    if (mention === undefined) return new Text(text);
    const mark = document.createElement("mark");
    mark.className = "unsupported";
    mark.textContent = text;
    this.#tip.explain(mark, unsupportedReason(mention));
    return mark;
  }

  #grounded(text, line) {
    const phrase = document.createElement("a");
    phrase.className = "grounded";
    phrase.href = "#boxes";
    phrase.dataset.line = line;
    phrase.textContent = text;
    phrase.addEventListener("click", (event) => {
      event.preventDefault();
      this.#onLink(line);
    });
    this.#spotlight.follow(phrase, line);
    return phrase;
  }

  #phrases() {
    return [...this.#parts.answer.querySelectorAll(".grounded")];
  }
}

function unsupportedNote(text, mentions) {
  const points = Array.from(text);
  const names = new Set(mentions.map(({ start, end }) => `“${points.slice(start, end).join("")}”`));
  return `Printed neither in the figure nor in the caption: ${[...names].join(", ")}. Check before you rely on it.`;
}

function timingWords({ timings_ms: ms, usage }, ocr, context) {
  const words = [];
  if (context !== "both") words.push(CONTEXT_WORDS[context]);
  if (ocr.status === "ok") words.push(`text read in ${duration(ocr.ms)}`);
  if (ms.first_token !== null) words.push(`first word after ${duration(ms.first_token)}`);
  words.push(usage ? `${count(usage.completion_tokens, "token")} in ${duration(ms.answer)}` : duration(ms.answer));
  return words.join(" · ");
}
