// A small note beside whatever is pointed at or has the focus. Escape takes it away.

const GAP_PX = 8;

export class Tip {
  #element;
  #shownFor = null; // {element, top}

  constructor(element) {
    this.#element = element;
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
    window.addEventListener("scroll", () => this.#hideIfLeftBehind(), { passive: true });
  }

  /** Shows `words` while the pointer or the focus is on `element`. */
  explain(element, words) {
    element.addEventListener("pointerenter", () => this.#show(element, words));
    element.addEventListener("pointerleave", () => this.hide());
    element.addEventListener("focus", () => this.#show(element, words));
    element.addEventListener("blur", () => this.hide());
  }

  hide() {
    this.#element.hidden = true;
  }

  /** The event of a scroll can come after the tip that was shown where the scroll had led. */
  #hideIfLeftBehind() {
    if (this.#shownFor?.element.getBoundingClientRect().top !== this.#shownFor?.top) this.hide();
  }

  #show(element, words) {
    const tip = this.#element;
    tip.textContent = words;
    tip.hidden = false;
    const place = element.getBoundingClientRect();
    this.#shownFor = { element, top: place.top };
    const isBelow = place.top < tip.offsetHeight + GAP_PX;
    const left = place.left + place.width / 2 - tip.offsetWidth / 2;
    const most = document.documentElement.clientWidth - tip.offsetWidth - GAP_PX;
    tip.style.left = `${Math.max(GAP_PX, Math.min(left, most))}px`;
    tip.style.top = `${isBelow ? place.bottom + GAP_PX : place.top - tip.offsetHeight - GAP_PX}px`;
  }
}
