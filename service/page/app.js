// The page's story: a figure is chosen, explained, asked about. Every text that comes from the service, the model or a
// file goes in as text, never as markup; the Content-Security-Policy holds the page to that.

import { ChartView } from "./chart-view.js";
import { amount, claimed, csvOf } from "./chart-data.js";
import { Conversation, EXPLAIN } from "./conversation.js";
import { FigureView } from "./figure-view.js";
import { Gateway, Refusal } from "./gateway.js";
import { Settings } from "./settings.js";
import { Spotlight } from "./spotlight.js";
import { Tip } from "./tip.js";
import { TurnView } from "./turn-view.js";
import { count, feedbackWords, problemWords } from "./words.js";

const COPIED_MS = 2000;
const FOCUS_GAP_PX = 16;

const $ = (id) => document.getElementById(id);
const gateway = new Gateway();
const spotlight = new Spotlight();
const tip = new Tip($("tip"));
const figureView = new FigureView(
  {
    chooser: $("chooser"),
    frame: $("frame"),
    image: $("image"),
    boxes: $("boxes"),
    noPreview: $("no-preview"),
    stageBar: $("stage-bar"),
    showBoxes: $("show-boxes"),
    showBoxesLabel: $("show-boxes-label"),
    reading: $("reading"),
    readingTitle: $("reading-title"),
    list: $("lines"),
  },
  spotlight,
  tip,
  (line) => goToPhrase({ line }),
);
const chartView = new ChartView(
  {
    frame: $("frame"),
    traces: $("traces"),
    names: $("trace-names"),
    showData: $("show-data"),
    showDataLabel: $("show-data-label"),
    data: $("data"),
    dataTitle: $("data-title"),
    head: $("data-head"),
    body: $("data-body"),
    cut: $("data-cut"),
    notRead: $("not-read"),
  },
  spotlight,
  tip,
  goToPhrase,
);

spotlight.addEventListener("change", () => turnViews.forEach((view) => view.light()));

const settings = new Settings({
  details: $("settings"),
  modelField: $("model-field"),
  model: $("model"),
  temperature: $("temperature"),
  topP: $("top-p"),
  maxTokens: $("max-tokens"),
});

let file = null;
let conversation = null;
let options = { feedback: false, feedback_images: false };
let turnViews = [];
let running = null; // AbortController of the answer that is coming

/** Leads from a place in the figure to the last answer that speaks of it. */
function goToPhrase(place) {
  return [...turnViews].reverse().some((view) => view.goTo(place));
}

/** Leads from a phrase of an answer to its place in the figure. */
function goToPlace(place) {
  if (place.line === undefined) chartView.goTo(place);
  else figureView.goTo(place.line);
}

// A figure is chosen.

function choose(chosen, caption = null) {
  if (file || caption !== null) $("caption").value = caption ?? "";
  file = chosen;
  endConversation();
  figureView.show(chosen, chosen.name ? `The figure ${chosen.name}` : "The figure");
  $("wanting").textContent = "";
}

function endConversation() {
  running?.abort();
  conversation = null;
  turnViews = [];
  chartView.clear();
  spotlight.light(null);
  $("turns").replaceChildren();
  $("ask").hidden = $("keep-actions").hidden = true;
  $("intro").hidden = false;
}

function chooseByHand(chosen) {
  if (!chosen) return;
  choose(chosen);
  $("caption").focus();
}

$("file").addEventListener("change", () => {
  chooseByHand($("file").files[0]);
  $("file").value = ""; // so that choosing the same file again counts as a choice
});

document.addEventListener("paste", (event) => {
  const [pasted] = event.clipboardData.files;
  // Spreadsheets and word processors copy a picture of the text along with it.
  const isText = event.target.matches("textarea, input") && event.clipboardData.types.includes("text/plain");
  if (!pasted || isText) return;
  event.preventDefault();
  chooseByHand(pasted);
});

document.addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  $("drop-veil").hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) $("drop-veil").hidden = true;
});
document.addEventListener("drop", (event) => {
  $("drop-veil").hidden = true;
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  chooseByHand(event.dataTransfer.files[0]);
});

// The figure stays in sight, with what scrolls going underneath; what the Tab key reaches there comes out again.
document.addEventListener("focusin", ({ target }) => {
  if ($("stage").contains(target) || !target.matches(":focus-visible")) return;
  const stage = $("stage").getBoundingClientRect();
  const { top, left } = target.getBoundingClientRect();
  if (left < stage.right && top < stage.bottom) window.scrollBy(0, top - stage.bottom - FOCUS_GAP_PX);
});

// It is explained, and asked about.

$("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!file) {
    $("wanting").textContent = "Choose a figure first.";
    $("file").focus();
    return;
  }
  if (settings.check()) explain();
});

function explain() {
  endConversation();
  const context = new FormData($("compose")).get("context");
  conversation = new Conversation(file, $("caption").value.trim(), context);
  figureView.lines({ width: 1, height: 1 }, []);
  $("intro").hidden = true;
  $("examples").open = false;
  ask(EXPLAIN);
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question || running || !settings.check()) return;
  $("question").value = "";
  ask(question);
});

$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});

$("stop").addEventListener("click", () => running?.abort());

function ask(question) {
  const about = conversation;
  const turn = about.ask(question);
  const asked = settings.chosen();
  const view = new TurnView($("turn-template"), question, {
    spotlight,
    tip,
    onLink: goToPlace,
    onAgain: () => answer(about, turn, view, settings.chosen()),
    onAnother: () => another(about, turn, view),
    onCopy: (button) => copy(turn.text, button),
    onVote: options.feedback ? (given) => rate(about, turn, given) : null,
  });
  turnViews.at(-1)?.settle();
  turnViews.push(view);
  $("turns").append(view.element);
  answer(about, turn, view, asked);
  // What begins low on the screen moves up, so that there is room to read.
  if (view.element.getBoundingClientRect().top > window.innerHeight / 2) view.element.scrollIntoView();
}

/** Another answer to the same question, drawn anew: with another seed, and not greedily. */
function another(about, turn, view) {
  if (!settings.check()) return;
  turn.putAside();
  answer(about, turn, view, settings.anew(turn.done?.receipt.sampling));
}

/** Stores what a person thinks of an answer; returns the id of the feedback. Raises a Refusal. */
async function rate(about, turn, given) {
  const { text, receipt } = turn.done;
  const figure = options.feedback_images ? { figure: about.kept?.id } : {};
  return (await gateway.feedback({ ...given, ...figure, answer: text, receipt })).id;
}

/** `asked` holds the model and the sampling that were chosen. */
async function answer(about, turn, view, asked) {
  running?.abort();
  const abort = new AbortController();
  running = abort;
  showRunning();
  announce(""); // so that the same words are heard again when the same thing happens again
  turn.begin();
  view.begin();
  try {
    for await (const event of answered(about, turn, view, asked, abort.signal)) {
      turn.take(event);
      show(event, turn, view);
    }
    view.finish(turn, about.context, { isOfSeveral: settings.hasSeveralModels });
    chartView.point(places());
    announce(`The answer is complete. ${view.words}${contradictedInAll(turn)}`);
  } catch (error) {
    settle(error, about, turn, view, asked, abort.signal);
  } finally {
    if (running === abort) {
      running = null;
      showRunning();
      showService();
    }
  }
}

/** The events of a turn's answer. A figure that the service no longer keeps is sent again, once. */
async function* answered(about, turn, view, asked, signal) {
  for (const isLastTry of [false, true]) {
    try {
      await keep(about, view, signal);
      const request = { messages: about.messagesFor(turn), context: about.context, ...asked };
      yield* gateway.chat(about.kept.id, request, signal);
      return;
    } catch (error) {
      if (error.code !== "figure_unknown" || isLastTry) throw error;
      about.kept = null;
    }
  }
}

async function keep(about, view, signal) {
  if (!about.kept) {
    view.progress("Sending the figure…");
    about.kept = await gateway.keep(about.file, about.caption, signal);
    if (!figureView.hasPixels(about.kept)) {
      figureView.show(await gateway.image(about.kept.id, signal), $("image").alt);
    }
  }
  view.progress(about.usesOcr ? "Reading the figure…" : "Waiting for the model…");
}

function show({ name, data }, turn, view) {
  if (name === "delta") view.write(data.text);
  if (name === "ocr" && data.lines.length) figureView.lines(turn.figure, data.lines);
  if (name === "chart") chartView.show(turn.figure, data, places());
  if (name !== "ocr" && name !== "chart") return;
  const read = readWords(turn);
  view.progress(`${read}Waiting for the model…`);
  announce(`${read}The answer is being written.`);
}

function readWords({ ocr, chart }) {
  const lines = ocr?.lines.length ? `${count(ocr.lines.length, "line")} of text read. ` : "";
  return chart && claimed(chart).length ? `${lines}Data read: ${amount(chart)}. ` : lines;
}

/** All places of the figure of which answers speak. */
function places() {
  return turnViews.flatMap((view) => view.places);
}

function contradictedInAll({ done }) {
  const number = done.checks.filter(({ verdict }) => verdict === "contradicted").length;
  return number ? ` The data contradicts ${count(number, "statement")} of it.` : "";
}

function settle(error, about, turn, view, asked, signal) {
  if (signal.aborted) {
    turn.state = "stopped";
    view.stop(turn);
    announce("Stopped.");
  } else if (error instanceof Refusal) {
    turn.state = "failed";
    turn.problem = error;
    view.fail(error);
    announce(problemWords(error).what);
    if (error.code === "unauthorized") askForKey(() => answer(about, turn, view, asked));
  } else {
    throw error;
  }
}

function showRunning() {
  const wasOnStop = document.activeElement === $("stop");
  $("ask").hidden = $("keep-actions").hidden = conversation === null;
  $("stop").hidden = running === null;
  $("ask-button").hidden = running !== null;
  if (wasOnStop) $("question").focus(); // what is hidden loses the focus to nowhere
}

/** To those who listen to the page: what has happened, and an answer once it is whole, not token by token. */
function announce(words) {
  $("announcer").textContent = words;
}

// What can be forgotten, and taken away.

$("clear").addEventListener("click", () => {
  endConversation();
  announce("The conversation is cleared.");
  $("caption").focus();
});

async function copy(text, button) {
  const label = button.textContent;
  button.textContent = (await toClipboard(text)) ? "Copied" : "Could not copy";
  announce(button.textContent);
  setTimeout(() => (button.textContent = label), COPIED_MS);
}

async function toClipboard(text) {
  // Browsers give the clipboard only to https and localhost; elsewhere the old way still works.
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  return isCopied;
}

$("download").addEventListener("click", () => {
  save(JSON.stringify(conversation.record(), null, 2), "application/json", "-explained.json");
});

$("download-data").addEventListener("click", () => {
  save(csvOf(chartView.chart), "text/csv;charset=utf-8", "-data.csv");
});

$("copy-data").addEventListener("click", () => copy(csvOf(chartView.chart), $("copy-data")));

/** As a file named after the figure. */
function save(text, type, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${(conversation.file.name || "figure").replace(/\.[^.]*$/, "")}${ending}`;
  link.click();
  URL.revokeObjectURL(link.href);
}

// A key, where the service asks for one.

function askForKey(goOn) {
  const dialog = $("key-dialog");
  $("key").value = "";
  $("key-form").onsubmit = (event) => {
    event.preventDefault();
    gateway.key = $("key").value.trim();
    dialog.close();
    offerModels();
    goOn();
  };
  $("key-cancel").onclick = () => dialog.close();
  dialog.showModal();
}

// Examples, and how the service stands.

async function offerExamples() {
  const examples = await gateway.examples().catch(orElse([]));
  $("examples").hidden = examples.length === 0;
  $("example-list").replaceChildren(...examples.map(exampleItem));
}

function exampleItem({ image, caption }) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const picture = document.createElement("img");
  const words = document.createElement("span");
  button.type = "button";
  picture.src = image;
  picture.alt = "";
  words.textContent = caption;
  button.append(picture, words);
  button.addEventListener("click", async () => {
    const example = await gateway.exampleImage(image).catch(orElse(null));
    if (example === null) {
      $("wanting").textContent = "The example could not be fetched.";
      return;
    }
    choose(example, caption);
    explain();
    $("talk").focus({ preventScroll: true });
  });
  item.append(button);
  return item;
}

async function showService() {
  const { status, engine } = await gateway.readiness().catch(orElse({ status: "unreachable" }));
  const words = {
    ready: engine?.model,
    degraded: `${engine?.model} · the text in figures is not being read at the moment`,
    unavailable: "The model is not running",
    draining: "The service is being stopped",
    unreachable: "The service cannot be reached",
  };
  $("service").className = `service ${status}`;
  $("service-words").textContent = words[status] ?? status;
  $("service").hidden = false;
}

/** For what the page can do without: a Refusal becomes `value`. */
function orElse(value) {
  return (error) => {
    if (error instanceof Refusal) return value;
    throw error;
  };
}

/** The models to choose from, where callers may see them and there are several. */
async function offerModels() {
  settings.offer(await gateway.models().catch(orElse([])));
}

async function offerFeedback() {
  options = await gateway.options().catch(orElse(options));
  $("feedback-told").hidden = !options.feedback;
  $("feedback-told").textContent = feedbackWords(options);
}

// A figure may have been chosen before the scripts came; Firefox also keeps one over a reload.
chooseByHand($("file").files[0]);
$("loading").remove();
$("explain-button").disabled = false;
offerExamples();
offerModels();
offerFeedback();
showService();
