// What the page says: problems in plain words with what to do about them, and numbers as people write them.

const PROBLEMS = {
  image_undecodable: [
    "This file is not a picture that can be read.",
    "Use a PNG, JPEG, WebP, GIF or TIFF. From a PDF, take a screenshot of the figure and paste it here.",
  ],
  image_empty: ["The file is empty.", "Choose the figure again, or export it anew."],
  image_too_large: ["The figure is too large.", "Export it with fewer pixels: 2000 across are plenty."],
  image_too_small: ["The figure is too small to see anything in it.", "Export it with more pixels."],
  body_too_large: ["The figure is too large to be sent.", "Export it with fewer pixels, or as a PNG with fewer colours."],
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
    "A part of it is away. Try again in a few seconds; if that does not help, tell whoever runs the service.",
  ],
  draining: ["The service is being stopped.", "Try again in a few seconds: it may come back, or another take over."],
  overloaded: ["The service has more to do than it can.", "Try again in a few seconds."],
  rate_limited: ["You have asked more than your share for the moment.", "Wait a little, then try again."],
  unauthorized: ["This service asks for a key.", "Enter the key that whoever runs the service gave you."],
  engine_unavailable: [
    "The model is not running.",
    "It may still be starting: try again in a moment. If that does not help, tell whoever runs the service.",
  ],
  engine_timeout: ["The model did not answer in time.", "It may have much to do: try again in a moment."],
  engine_refused: ["The model did not accept this request.", "Tell whoever runs the service."],
  engine_error: ["The model failed while it was answering.", "Try again. If it fails again, tell whoever runs the service."],
  engine_garbled: ["The model sent something that is not an answer.", "Tell whoever runs the service."],
  engine_interrupted: ["The answer broke off.", "What had arrived stays. Try again to have the whole answer."],
  internal_error: ["Something went wrong in the service.", "Tell whoever runs it; the reference below helps to find it."],
  gateway_unreachable: [
    "The service cannot be reached.",
    "Check your connection, and whether the service is running. Then try again.",
  ],
  connection_lost: ["The connection was lost.", "What had arrived stays. Try again to have the whole answer."],
  unexpected_response: [
    "Something other than the service answered.",
    "A proxy may stand in between. Try again; if that does not help, tell whoever runs the service.",
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

export const CONTEXT_WORDS = {
  both: "Told: image, caption and text",
  caption: "Told: image and caption",
  ocr: "Told: image and text",
  none: "Told: the image alone",
};

/** Why a mention is underlined; `kind` is number or name. */
export function unsupportedReason({ kind }) {
  if (kind === "name") return "This name is printed neither in the figure nor in the caption.";
  return "This number is printed neither in the figure nor in the caption: read off the figure, or made up.";
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
