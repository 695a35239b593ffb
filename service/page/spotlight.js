// Which line of the figure is lit: the one thing that the figure and the answers share, so that neither knows the other.

export class Spotlight extends EventTarget {
  #line = null;

  /** Index of the OCR line that is lit, or null. */
  get line() {
    return this.#line;
  }

  light(line) {
    if (line === this.#line) return;
    this.#line = line;
    this.dispatchEvent(new Event("change"));
  }

  /** Makes an element light a line while it is pointed at or has the focus. */
  follow(element, line) {
    element.addEventListener("pointerenter", () => this.light(line));
    element.addEventListener("pointerleave", () => this.light(null));
    element.addEventListener("focus", () => this.light(line));
    element.addEventListener("blur", () => this.light(null));
  }
}
