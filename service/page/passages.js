// An answer cut into passages. The service counts Unicode code points and JavaScript UTF-16 units: this is the one place
// that knows both.

/**
 * The text as [{text, line?, mention?}] in order: `line` where a passage stands on an OCR line, `mention` (the entry of
 * `unsupported`) where it stands on nothing. Marks that overlap an earlier one, or lie outside of the text, are left out.
 */
export function passages(text, grounding, unsupported) {
  const points = Array.from(text);
  const marks = [
    ...grounding.map(({ start, end, line }) => ({ start, end, mark: { line } })),
    ...unsupported.map((mention) => ({ start: mention.start, end: mention.end, mark: { mention } })),
  ].sort((a, b) => a.start - b.start);
  const found = [];
  let at = 0;
  for (const { start, end, mark } of marks) {
    if (start < at || end <= start || end > points.length) continue;
    if (start > at) found.push({ text: points.slice(at, start).join("") });
    found.push({ text: points.slice(start, end).join(""), ...mark });
    at = end;
  }
  if (at < points.length) found.push({ text: points.slice(at).join("") });
  return found;
}
