// The marked passages of an answer. The service counts Unicode code points and JavaScript UTF-16 units: this is the one
// place that knows both.

/** Which mark stays where two overlap: what may mislead the reader goes before what helps. */
const RANKS = { contradicted: 0, grounded: 1, read: 2, unsupported: 3 };

/**
 * The passages as [{start, end, mark}] in order, in UTF-16 units. A mark is {kind: "grounded", line} where a passage stands
 * on an OCR line, {kind: "read", check} where it agrees with the data, {kind: "contradicted", check} where the data says
 * otherwise, and {kind: "unsupported", check} for a number or name that stands on nothing. Of marks that overlap one
 * stays; those that lie outside of the text are left out.
 */
export function passages(text, grounding, checks) {
  const units = unitsOf(text);
  return kept(marksOf(grounding, checks), units.length - 1).map(({ start, end, mark }) => ({
    start: units[start],
    end: units[end],
    mark,
  }));
}

/** For each code point, and the end of the text, the UTF-16 unit at which it begins. */
function unitsOf(text) {
  const units = [0];
  for (const point of text) units.push(units.at(-1) + point.length);
  return units;
}

/** Whether a check of an answer says that a number or name stands on nothing. */
export function isUnsupported({ kind, verdict }) {
  return verdict === "unsupported" && (kind === "number" || kind === "name");
}

function marksOf(grounding, checks) {
  const shown = checks.filter((check) => ["read", "contradicted"].includes(check.verdict) || isUnsupported(check));
  return [
    ...grounding.map(({ start, end, line }) => ({ start, end, mark: { kind: "grounded", line } })),
    ...shown.map((check) => ({ start: check.start, end: check.end, mark: { kind: check.verdict, check } })),
  ];
}

function kept(marks, length) {
  const chosen = [];
  const inText = marks.filter(({ start, end }) => start >= 0 && start < end && end <= length);
  for (const mark of inText.sort((a, b) => RANKS[a.mark.kind] - RANKS[b.mark.kind] || a.start - b.start)) {
    if (chosen.every(({ start, end }) => mark.end <= start || mark.start >= end)) chosen.push(mark);
  }
  return chosen.sort((a, b) => a.start - b.start);
}
