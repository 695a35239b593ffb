// What the page says: problems in plain words with what to do about them, and numbers as people write them.

const DAY_MS = 86_400_000;
const SHOWN_DIGITS = 4;

const PROBLEMS = {
  image_undecodable: [
    "This file is not a picture that can be read.",
    "Use a PNG, JPEG, WebP, GIF or TIFF. From a PDF, take a screenshot of the figure and paste it here.",
  ],
  image_empty: ["The file is empty.", "Choose the figure again, or export it anew."],
  image_too_large: ["The figure is too large.", "Export it with fewer pixels: 2000 across are plenty."],
  image_too_small: ["The figure is too small to see anything in it.", "Export it with more pixels."],
  body_too_large: ["The figure is too large to be sent.", "Export it with fewer pixels, or as a PNG with fewer colours."],
  host_not_allowed: [
    "The service does not know the address under which you reached it.",
    "Tell the operator of the service: LLAVA_GRAPH_ALLOWED_HOSTS lists its names.",
  ],
  request_too_slow: ["The figure took too long to be sent.", "Try again, or export it with fewer pixels."],
  caption_too_long: ["The caption is too long.", "Keep what says what the figure shows."],
  question_too_long: ["The question is too long.", "Ask it in fewer words."],
  conversation_too_long: ["This conversation has become too long.", "Press Explain to begin a new one."],
  prompt_too_long: [
    "Caption, text of the figure and conversation together are more than this model can take in.",
    "Shorten the caption, give the model less besides the image, or press Explain to begin anew.",
  ],
  figure_unknown: ["The service no longer keeps this figure.", "Press Explain to send it again."],
  figures_unavailable: [
    "The service cannot keep figures at the moment.",
    "A part of it is away. Try again in a few seconds; if that does not help, tell the operator of the service.",
  ],
  model_not_found: ["The service no longer has this model.", "Choose another one under Settings."],
  feedback_off: ["The service does not take feedback.", ""],
  feedback_full: ["The service has no room for more feedback.", "Tell the operator of the service."],
  feedback_unavailable: ["The feedback could not be stored.", "Try again in a few seconds."],
  receipt_mismatch: ["The feedback could not be stored.", "Ask again, and rate the new answer."],
  draining: ["The service is being stopped.", "Try again in a few seconds: it may come back, or another take over."],
  overloaded: ["The service has more to do than it can.", "Try again in a few seconds."],
  rate_limited: ["You have asked more than your share for the moment.", "Wait a little, then try again."],
  unauthorized: ["This service asks for a key.", "Enter the key that the operator of the service gave you."],
  engine_unavailable: [
    "The model is not running.",
    "It may still be starting: try again in a moment. If that does not help, tell the operator of the service.",
  ],
  engine_timeout: ["The model did not answer in time.", "It may have much to do: try again in a moment."],
  engine_refused: ["The model did not accept this request.", "Tell the operator of the service."],
  engine_error: ["The model failed while it was answering.", "Try again. If it fails again, tell the operator of the service."],
  engine_garbled: ["The model sent something that is not an answer.", "Tell the operator of the service."],
  engine_interrupted: ["The answer broke off.", "What had arrived stays. Try again to have the whole answer."],
  internal_error: ["Something went wrong in the service.", "Tell the operator; the reference below helps to find it."],
  gateway_unreachable: [
    "The service cannot be reached.",
    "Check your connection, and whether the service is running. Then try again.",
  ],
  connection_lost: ["The connection was lost.", "What had arrived stays. Try again to have the whole answer."],
  unexpected_response: [
    "Something other than the service answered.",
    "A proxy may stand in between. Try again; if that does not help, tell the operator of the service.",
  ],
};

/** A Refusal in plain words: what happened and what to do. For a code that is not known here, the service's own words. */
export function problemWords(refusal) {
  const [what, advice] = PROBLEMS[refusal.code] ?? [refusal.said || "The service did not do this.", ""];
  return { what, advice };
}

/** What to say of an answer whose figure was not read as it should have been; empty when all is well. */
export function ocrNote(status) {
  if (status === "timeout") return "The text in the figure was not read in time: this answer does without it.";
  if (status === "failed") return "The text in the figure could not be read: this answer does without it.";
  return "";
}

/** Why data was not read, by the codes of llava_graph/chart.py, whose words these are; a test holds the two together. */
const ABSTENTIONS = {
  no_axes: "no plot area with axes was found",
  axis_not_calibrated: "fewer than three tick labels agree on a scale",
  twin_axes: "there are two different value axes",
  broken_axis: "an axis is interrupted",
  unsupported_scale: "an axis is neither linear, logarithmic, dates nor categories",
  kind_unknown: "the kind of chart is not clear",
  kind_not_read: "charts of this kind are not read",
  same_colour_dashes: "curves of one colour differ only in their dashes or markers",
  same_colour_series: "series have colours too alike to be told apart",
  too_many_series: "there are more series than are read",
  unnamed_series: "no legend entry or label names the series",
  unexplained_ink: "too much of what is drawn belongs to no series that was read",
  redrawing_differs: "the samples, drawn again, do not match the figure",
  low_coverage: "too little of the series could be traced",
  points_overlap: "points overlap, so they cannot be told apart",
  values_disagree: "lengths of bars and the values printed on them disagree",
  low_resolution: "the figure is too small for its values to be read",
  deadline: "reading took longer than allowed",
  reader_failed: "the reader failed",
};

/** A reason to abstain in words; of a newer service's that is not known here, its code. */
export function abstentionWords(code) {
  return ABSTENTIONS[code] ?? code.replaceAll("_", " ");
}

/** A value or a date (days since 1970) as people write it; a category's text is itself. */
export function valueWords(value, scale) {
  if (typeof value === "string") return value;
  const date = scale === "date" ? new Date(value * DAY_MS) : null;
  if (date && !Number.isNaN(date.getTime())) return date.toISOString().slice(0, 10);
  return String(Number(value.toPrecision(SHOWN_DIGITS)));
}

export const CONTEXT_WORDS = {
  all: "Told: image, caption, text and data",
  both: "Told: image, caption and text",
  caption: "Told: image and caption",
  ocr: "Told: image and text",
  none: "Told: the image alone",
};

/** Why a mention is underlined; `kind` is number or name. */
export function unsupportedReason({ kind }) {
  if (kind === "name") return "This name is printed neither in the figure nor in the caption.";
  return "This number is printed neither in the figure nor in the caption, nor does the data that was read have it.";
}

/** What is said of a statement that the data contradicts; `instead` is what was read, in the service's words. */
export function contradictedWords({ instead }) {
  return instead ? `The data read in the figure says otherwise: ${instead}` : "The data read in the figure says otherwise.";
}

/** What becomes of feedback, said beforehand. */
export function feedbackWords({ feedback_images: withImages }) {
  const stored = withImages ? "the figure, its caption and the questions" : "its caption and the questions, not the figure";
  return `If you rate an answer, the service stores your rating with the answer, ${stored}.`;
}

/** "0.7 s", "38 s", "2 min 5 s" */
export function duration(ms) {
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 100) return `${Math.round(s)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

/** "1 line", "14 lines" */
export function count(n, one) {
  return `${n} ${one}${n === 1 ? "" : "s"}`;
}
