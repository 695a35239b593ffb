// The figure with a box over every text that was read in it, and the same texts as a list.

import { count } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export class FigureView {
  #elements;
  #spotlight;
  #tip;
  #boxes = [];
  #items = [];
  #address = null;

  /** `onPick(line)` is called when a box is clicked or chosen by Enter. */
  constructor(elements, spotlight, tip, onPick) {
    this.#elements = elements;
    this.#spotlight = spotlight;
    this.#tip = tip;
    spotlight.addEventListener("change", () => this.#showLight());
    elements.image.addEventListener("error", () => this.#showPreview(false));
    elements.boxes.addEventListener("click", (event) => {
      const line = this.#boxes.indexOf(event.target);
      if (line >= 0) onPick(line);
    });
    elements.boxes.addEventListener("keydown", (event) => {
      const line = this.#boxes.indexOf(event.target);
      if (line < 0) return;
      if (event.key === "Enter") onPick(line);
      else this.#move(event, line);
    });
    elements.showBoxes.addEventListener("change", () => {
      elements.boxes.classList.toggle("resting", !elements.showBoxes.checked);
    });
  }

  /** Shows a picture without any boxes yet; `words` describe it to those who do not see it. */
  show(blob, words) {
    const { chooser, frame, image, stageBar } = this.#elements;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = URL.createObjectURL(blob);
    image.src = this.#address;
    image.alt = words;
    this.#showPreview(true);
    this.lines({ width: 1, height: 1 }, []);
    chooser.hidden = true;
    frame.hidden = false;
    stageBar.hidden = false;
  }

  /** Whether the picture that is shown has these pixels: a browser may not know the format or which way is up. */
  hasPixels({ width, height }) {
    const { image } = this.#elements;
    return image.complete && image.naturalWidth === width && image.naturalHeight === height;
  }

  /** Puts the box of every line over the figure. Boxes are in pixels of the upright image. */
  lines({ width, height }, lines) {
    const { boxes, list, reading, readingTitle, showBoxesLabel } = this.#elements;
    boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#boxes = lines.map((line, index) => this.#box(line, index));
    this.#items = lines.map((line, index) => this.#item(line, index));
    boxes.replaceChildren(...this.#boxes);
    list.replaceChildren(...this.#items);
    readingTitle.textContent = `Text read in the figure: ${count(lines.length, "line")}`;
    for (const element of [reading, showBoxesLabel]) element.hidden = lines.length === 0;
    // An SVG element has no `hidden` of its own.
    boxes.toggleAttribute("hidden", lines.length === 0);
  }

  /** Leads the reader from a phrase to its place in the figure. */
  goTo(line) {
    this.#boxes[line]?.focus({ preventScroll: true });
    this.#elements.frame.scrollIntoView({ block: "nearest" });
  }

  #showPreview(isShown) {
    this.#elements.image.parentElement.hidden = !isShown;
    this.#elements.noPreview.hidden = isShown;
  }

  #box({ text, box: [x0, y0, x1, y1], confidence }, index) {
    const rect = document.createElementNS(SVG, "rect");
    const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    // One stop for the Tab key, arrows within: a figure may hold a hundred texts.
    const role = { role: "option", "aria-label": text, "aria-selected": "false", tabindex: index === 0 ? "0" : "-1" };
    for (const [name, value] of Object.entries({ ...place, ...role })) rect.setAttribute(name, value);
    this.#spotlight.follow(rect, { line: index });
    this.#tip.explain(rect, `${text} · read with ${Math.round(confidence * 100)} % confidence`);
    return rect;
  }

  #item({ text, confidence }, index) {
    const item = document.createElement("li");
    const words = document.createElement("span");
    words.textContent = text;
    const sure = document.createElement("span");
    sure.className = "hint";
    sure.textContent = `${Math.round(confidence * 100)} %`;
    item.append(words, sure);
    this.#spotlight.follow(item, { line: index });
    return item;
  }

  #move(event, from) {
    const last = this.#boxes.length - 1;
    let to = from + (STEPS[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = last;
    if (to === from || to < 0 || to > last) return;
    event.preventDefault();
    this.#boxes[from].setAttribute("tabindex", "-1");
    this.#boxes[to].setAttribute("tabindex", "0");
    this.#boxes[to].focus();
  }

  #showLight() {
    const lit = this.#spotlight.lit?.line ?? null;
    this.#elements.boxes.classList.toggle("one-lit", lit !== null);
    this.#boxes.forEach((box, index) => {
      box.classList.toggle("lit", index === lit);
      box.setAttribute("aria-selected", String(index === lit));
    });
    this.#items.forEach((item, index) => item.classList.toggle("lit", index === lit));
  }
}
