// What of the figure is lit: the one thing that the figure, its data and the answers share, so that none knows another.

/**
 * A place is {line}, the index of an OCR line, or {panel, series, point} in the data, where `point` is null for the
 * series as a whole.
 */
export class Spotlight extends EventTarget {
  #lit = null;

  /** The place that is lit, or null. */
  get lit() {
    return this.#lit;
  }

  light(place) {
    if (isSame(place, this.#lit)) return;
    this.#lit = place;
    this.dispatchEvent(new Event("change"));
  }

  /** Whether a place is lit: by itself, or with the series that it belongs to. */
  isOn(place) {
    const lit = this.#lit;
    if (lit === null) return false;
    return isSame(place, lit) || (lit.point === null && isOfSeries(place, lit));
  }

  /** Whether a series is lit, or a point of it. */
  isOnSeries(place) {
    return this.#lit !== null && isOfSeries(place, this.#lit);
  }

  /** Makes an element light a place while it is pointed at or has the focus. */
  follow(element, place) {
    element.addEventListener("pointerenter", () => this.light(place));
    element.addEventListener("pointerleave", () => this.light(null));
    element.addEventListener("focus", () => this.light(place));
    element.addEventListener("blur", () => this.light(null));
  }
}

export function isSame(a, b) {
  if (a === null || b === null) return a === b;
  return a.line === b.line && a.panel === b.panel && a.series === b.series && a.point === b.point;
}

export function isOfSeries(a, b) {
  return a.panel !== undefined && a.panel === b.panel && a.series === b.series;
}
