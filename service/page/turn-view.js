// One question and its answer on the page: progress, the text while it comes, its marks, notes, problems.

import { placeOf } from "./chart-data.js";
import { blocksOf } from "./markdown.js";
import { isUnsupported, passages } from "./passages.js";
import { isOfSeries, isSame } from "./spotlight.js";
import { Votes } from "./votes.js";
import { CONTEXT_WORDS, contradictedWords, count, duration, ocrNote, problemWords, unsupportedReason } from "./words.js";

/** An answer is set anew at most in this share of the time, however long it becomes. */
const LARGEST_SHARE = 0.2;

let notesWithId = 0;

export class TurnView {
  #parts;
  #text = "";
  #nextSetting = null; // timer
  #isSettled = false; // others were asked after it
  #spotlight;
  #tip;
  #onLink;
  #votes;
  #chart = null;
  #phrases = []; // [{element, place}]
  #noteOf = new Map(); // from a check that is contradicted to the note that says so

  /**
   * `onLink(place)` is called when a phrase that stands on the figure is followed, `onAnother()` when another answer is
   * wanted. `onVote(verdict, note)` is called when the answer is rated, and null where feedback is off.
   */
  constructor(template, question, { spotlight, tip, onLink, onAgain, onAnother, onCopy, onVote }) {
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
      another: part("another"),
      timings: part("timings"),
    };
    this.#votes = onVote && new Votes(this.element, onVote);
    this.#spotlight = spotlight;
    this.#tip = tip;
    this.#onLink = onLink;
    part("question").textContent = question;
    this.#parts.again.addEventListener("click", onAgain);
    this.#parts.another.addEventListener("click", onAnother);
    this.#parts.copy.addEventListener("click", () => onCopy(this.#parts.copy));
  }

  begin() {
    const { answer, notes, problem, foot } = this.#parts;
    this.#text = "";
    this.#phrases = [];
    answer.replaceChildren();
    notes.replaceChildren();
    problem.hidden = foot.hidden = true;
    this.#votes?.hide();
    this.element.classList.add("running");
  }

  progress(words) {
    this.#parts.progress.textContent = words;
    this.#parts.progress.hidden = words === "";
  }

  write(piece) {
    this.progress("");
    this.#text += piece;
    if (this.#nextSetting === null) this.#set();
  }

  /** Sets what has come so far, and again when more has come and it is time. */
  #set() {
    const [text, began] = [this.#text, performance.now()];
    this.#parts.answer.replaceChildren(...blocksOf(text, [], null));
    const pause = (performance.now() - began) / LARGEST_SHARE;
    this.#nextSetting = setTimeout(() => {
      this.#nextSetting = null;
      if (this.#text !== text) this.#set();
    }, pause);
  }

  /** The whole answer with its marks. */
  finish(turn, context, { isOfSeveral }) {
    const { answer, another, foot, timings } = this.#parts;
    const { done, ocr, chart } = turn;
    const { grounding, checks } = done;
    const contradicted = checks.filter(({ verdict }) => verdict === "contradicted");
    const unsupported = checks.filter(isUnsupported);
    this.#end();
    this.#chart = chart;
    if (turn.text === "") this.#note("The model gave no answer.");
    this.#note(ocrNote(ocr.status));
    if (done.finish_reason === "length") this.#note("The answer was cut at its greatest length.");
    if (done.finish_reason === "repetition") this.#note("The model began to repeat itself and was stopped.");
    this.#noteOf = new Map(
      contradicted.map((check) => [check, this.#note(contradictedNote(turn.text, check), "contradicted-note")]),
    );
    if (unsupported.length) this.#note(unsupportedNote(turn.text, unsupported), "unsupported-note");
    const marks = passages(turn.text, grounding, checks).filter(({ mark }) => this.#isShown(mark));
    answer.replaceChildren(...blocksOf(turn.text, marks, (mark, nodes, isFirst) => this.#marked(mark, nodes, isFirst)));
    foot.hidden = false;
    another.hidden = this.#isSettled;
    this.#votes?.show();
    timings.textContent = [isOfSeveral ? done.receipt.model.id : "", timingWords(turn, context)].filter(Boolean).join(" · ");
  }

  /** The answer as it is read: what stands there, without Markdown's signs. */
  get words() {
    return this.#parts.answer.innerText;
  }

  /** Other answers are asked for only to the last question: what follows was said to this one. */
  settle() {
    this.#isSettled = this.#parts.another.hidden = true;
  }

  stop(turn) {
    this.#end();
    this.#note(turn.text ? "Stopped: this answer is not complete." : "Stopped before the answer began.");
    this.#parts.foot.hidden = turn.text === "";
    this.#parts.another.hidden = this.#isSettled;
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

  /** The places of which the answer speaks. */
  get places() {
    return this.#phrases.map(({ place }) => place);
  }

  /** Leads the reader from a place in the figure to the first phrase that stands on it; says whether there is one. */
  goTo(place) {
    const isThere = (phrase) => isSame(phrase.place, place);
    const isOfIt = (phrase) => place.point === null && isOfSeries(phrase.place, place);
    const phrase = this.#phrases.find(isThere) ?? this.#phrases.find(isOfIt);
    phrase?.element.focus();
    return phrase !== undefined;
  }

  /** Lights the phrases that stand on what is lit. */
  light() {
    for (const { element, place } of this.#phrases) element.classList.toggle("lit", this.#spotlight.isOn(place));
  }

  /** Ends the writing with all that has come. */
  #end() {
    clearTimeout(this.#nextSetting);
    this.#nextSetting = null;
    if (this.#text !== "") this.#parts.answer.replaceChildren(...blocksOf(this.#text, [], null));
    this.progress("");
    this.element.classList.remove("running");
    this.#parts.timings.textContent = "";
  }

  #note(words, className = "") {
    if (words === "") return null;
    const note = document.createElement("li");
    note.className = className;
    note.textContent = words;
    this.#parts.notes.append(note);
    return note;
  }

  /** What agrees with the data is marked only where the figure has a place to lead to. */
  #isShown(mark) {
    return mark.kind !== "read" || placeOf(mark.check, this.#chart) !== null;
  }

  /** A mark around nodes. What is cut by the setting, as by bold words, is one stop of the Tab key. */
  #marked(mark, nodes, isFirst) {
    const element = this.#elementOf(mark, nodes);
    if (!isFirst && element.href) element.tabIndex = -1;
    return element;
  }

  #elementOf(mark, nodes) {
    if (mark.kind === "grounded") return this.#phrase("grounded", nodes, { line: mark.line });
    if (mark.kind === "unsupported") return this.#mark("unsupported", nodes, unsupportedReason(mark.check));
    const place = placeOf(mark.check, this.#chart);
    if (mark.kind === "read") return this.#phrase("read", nodes, place);
    return this.#contradicted(nodes, place, mark.check);
  }

  /** A statement that the data contradicts, with what was read instead: as a tip, and described by its note. */
  #contradicted(nodes, place, check) {
    const words = contradictedWords(check);
    const note = this.#noteOf.get(check);
    note.id ||= `note-${++notesWithId}`;
    const element = place ? this.#phrase("contradicted", nodes, place) : this.#mark("contradicted", nodes, words);
    if (place) this.#tip.explain(element, words);
    element.setAttribute("aria-describedby", note.id);
    return element;
  }

  #mark(className, nodes, words) {
    const mark = document.createElement("mark");
    mark.className = className;
    mark.append(...nodes);
    this.#tip.explain(mark, words);
    return mark;
  }

  /** A phrase that lights its place in the figure and leads there. */
  #phrase(className, nodes, place) {
    const element = document.createElement("a");
    element.className = className;
    element.href = place.line === undefined ? "#traces" : "#boxes";
    element.append(...nodes);
    element.addEventListener("click", (event) => {
      event.preventDefault();
      this.#onLink(place);
    });
    this.#spotlight.follow(element, place);
    this.#phrases.push({ element, place });
    return element;
  }
}

function contradictedNote(text, check) {
  const said = Array.from(text).slice(check.start, check.end).join("");
  return `Contradicted by the data read in the figure: “${said}”${check.instead ? `, where it has: ${check.instead}` : ""}.`;
}

function unsupportedNote(text, mentions) {
  const points = Array.from(text);
  const names = new Set(mentions.map(({ start, end }) => `“${points.slice(start, end).join("")}”`));
  return `Printed neither in the figure nor in the caption: ${[...names].join(", ")}. Check before you rely on it.`;
}

function timingWords({ done, ocr, chart }, context) {
  const { timings_ms: ms, usage } = done;
  const words = [];
  if (context !== "all") words.push(CONTEXT_WORDS[context]);
  if (ocr.status === "ok") words.push(`text read in ${duration(ocr.ms)}`);
  if (chart?.status === "ok") words.push(`data in ${duration(chart.ms)}`);
  if (ms.first_token !== null) words.push(`first word after ${duration(ms.first_token)}`);
  words.push(usage ? `${count(usage.completion_tokens, "token")} in ${duration(ms.answer)}` : duration(ms.answer));
  return words.join(" · ");
}
