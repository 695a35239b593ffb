// A conversation about one figure: what was asked, what came, what may be sent back. Knows neither page nor wire.

export const EXPLAIN = "Explain this figure.";

/** One question and what became of it. `state` is running, done, stopped or failed. */
export class Turn {
  constructor(question) {
    this.question = question;
    this.earlier = []; // answers that were had before this one was asked for: their `done` events
    this.begin();
  }

  /** Puts a whole answer aside for another one. */
  putAside() {
    if (this.done) this.earlier.push(this.done);
  }

  /** From the start, also when it is tried again. */
  begin() {
    this.state = "running";
    this.text = "";
    this.figure = null;
    this.ocr = null;
    this.chart = null;
    this.done = null;
    this.problem = null;
  }

  take({ name, data }) {
    if (name === "figure") this.figure = data;
    if (name === "ocr") this.ocr = data;
    if (name === "chart") this.chart = data;
    if (name === "delta") this.text += data.text;
    if (name === "done") {
      this.done = data;
      this.text = data.text;
      this.state = "done";
    }
  }
}

/** `context` is one of all, both, caption, ocr, none: what the model is told besides the image. */
export class Conversation {
  constructor(file, caption, context) {
    this.file = file;
    this.caption = caption;
    this.context = context;
    this.kept = null;
    this.turns = [];
  }

  get usesOcr() {
    return ["all", "both", "ocr"].includes(this.context);
  }

  ask(question) {
    const turn = new Turn(question);
    this.turns.push(turn);
    return turn;
  }

  /** What is sent for a turn: earlier questions with their answers, word for word as they came, then its own. */
  messagesFor(turn) {
    const earlier = this.turns.slice(0, this.turns.indexOf(turn));
    const answered = earlier.filter(({ state, text }) => state === "done" || (state === "stopped" && text));
    const said = answered.flatMap(({ question, text }) => [
      { role: "user", content: question },
      { role: "assistant", content: text },
    ]);
    return [...said, { role: "user", content: turn.question }];
  }

  /** Everything known, for keeping. */
  record() {
    const { file, caption, context, kept, turns } = this;
    const answers = turns.map(({ question, state, text, figure, ocr, chart, done, earlier, problem }) => ({
      question,
      state,
      figure,
      ocr,
      chart,
      ...(done ?? { text }),
      ...(earlier.length ? { earlier } : {}),
      ...(problem ? { problem: { code: problem.code, message: problem.message, reference: problem.reference } } : {}),
    }));
    return { saved_at: new Date().toISOString(), file: file.name, caption, context, figure: kept, answers };
  }
}
