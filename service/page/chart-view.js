// The data of a figure: its curves and points drawn over the figure, as a table, and what was not read.

import { amount, claimed, nameOf, notRead, rows } from "./chart-data.js";
import { isOfSeries, isSame } from "./spotlight.js";
import { count, valueWords } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
/** Shares of the figure's longer side, so that points and names are as large on every screen. */
const POINT_RADIUS = 1 / 90;
const NAME_GAP = 1 / 22;
/** Share of the height above which a name would stand outside of the figure. */
const ROOM_FOR_NAME = 1 / 10;
/** Past which a table is slow to draw and no one reads on; the file has all. */
const MOST_ROWS = 500;
const MOST_DECIMALS = 6;
const COLOUR = /^#[0-9a-f]{6}$/i;
const NO_COLOUR = "#12586f";

export class ChartView {
  #elements;
  #spotlight;
  #tip;
  #chart = null;
  #figure = null;
  #options = []; // [{element, at}] in the order of the arrow keys
  #names = [];
  #rows = [];
  #dot = null;

  /** `onPick(place)` is called when a curve or point is clicked or chosen by Enter. */
  constructor(elements, spotlight, tip, onPick) {
    this.#elements = elements;
    this.#spotlight = spotlight;
    this.#tip = tip;
    spotlight.addEventListener("change", () => this.#showLight());
    elements.traces.addEventListener("click", ({ target }) => {
      const option = this.#options.find(({ element }) => element.contains(target));
      if (option) onPick(option.at);
    });
    elements.traces.addEventListener("keydown", (event) => {
      const from = this.#options.findIndex(({ element }) => element === event.target);
      if (from < 0) return;
      if (event.key === "Enter") onPick(this.#options[from].at);
      else this.#move(event, from);
    });
    elements.showData.addEventListener("change", () => this.#showResting());
    this.clear();
  }

  /** The chart that is shown, or null. */
  get chart() {
    return this.#chart;
  }

  clear() {
    const { traces, names, showDataLabel, data, notRead: line } = this.#elements;
    this.#chart = this.#figure = this.#dot = null;
    this.#options = this.#names = this.#rows = [];
    traces.replaceChildren();
    names.replaceChildren();
    traces.toggleAttribute("hidden", true); // an SVG element has no `hidden` of its own
    showDataLabel.hidden = data.hidden = line.hidden = true;
  }

  /** Shows what was read. Points of curves are drawn where an answer speaks of them: `places`. */
  show(figure, chart, places) {
    this.clear();
    const { notRead: line } = this.#elements;
    line.textContent = notRead(chart);
    line.hidden = line.textContent === "";
    const all = claimed(chart);
    if (all.length === 0) return;
    this.#chart = chart;
    this.#figure = figure;
    this.#showTable(all);
    this.point(places);
  }

  /** Draws curves and points anew, those points of curves included of which answers speak. */
  point(places) {
    if (this.#chart === null) return;
    const { traces, names, showDataLabel } = this.#elements;
    const { width, height } = this.#figure;
    const all = claimed(this.#chart);
    traces.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#options = all.flatMap((one) => [...this.#curve(one), ...this.#points(one, places)]);
    this.#options.forEach(({ element }, index) => element.setAttribute("tabindex", index === 0 ? "0" : "-1"));
    this.#dot = circle({ r: 1.5 * this.#radius(), class: "dot" });
    traces.replaceChildren(...this.#options.map(({ element }) => element), this.#dot);
    this.#names = this.#namesOf(all);
    names.replaceChildren(...this.#names.map(({ element }) => element));
    traces.toggleAttribute("hidden", false);
    showDataLabel.hidden = false;
    this.#showResting();
    this.#showLight();
  }

  /** Leads the reader from a number of an answer to its place in the figure. */
  goTo(place) {
    const found = this.#options.find(({ at }) => isSame(at, place)) ?? this.#options.find(({ at }) => isOfSeries(at, place));
    found?.element.focus({ preventScroll: true });
    this.#elements.frame.scrollIntoView({ block: "nearest" });
  }

  #radius() {
    return Math.max(this.#figure.width, this.#figure.height) * POINT_RADIUS;
  }

  /** The curve of a line, as one option; bars and clouds are their points, and have none. */
  #curve(one) {
    const { panel, series, at } = one;
    if (panel.kind !== "line") return [];
    const option = this.#option("trace", at, `${nameOf(one)} · ${count(series.points.length, "point")} read`);
    const d = series.points.map(({ px, py }, index) => `${index ? "L" : "M"}${px} ${py}`).join("");
    const colour = COLOUR.test(series.colour) ? series.colour : NO_COLOUR;
    for (const layer of ["reach", "casing", "gap", "core"]) {
      const path = svg("path", { d, class: layer });
      if (layer === "core") path.setAttribute("stroke", colour);
      option.element.append(path);
    }
    return [option];
  }

  #points(one, places) {
    const { panel, series, at } = one;
    const colour = COLOUR.test(series.colour) ? series.colour : NO_COLOUR;
    const shown = series.points.map((point, index) => ({ ...point, at: { ...at, point: index } }));
    const isNamed = (place) => places.some((named) => isSame(named, place));
    return shown
      .filter((point) => panel.kind !== "line" || isNamed(point.at))
      .map((point) => {
        const { px: cx, py: cy } = point;
        const option = this.#option("mark", point.at, this.#pointWords(one, point));
        const casing = circle({ cx, cy, r: 1.25 * this.#radius(), class: "casing" });
        const core = circle({ cx, cy, r: this.#radius(), class: "core", fill: colour });
        option.element.append(casing, core);
        return option;
      });
  }

  #pointWords(one, { x, y }) {
    return `${nameOf(one)} · ${valueWords(x, one.panel.x.scale)}: ${valueWords(y, one.panel.y.scale)}`;
  }

  #option(className, at, words) {
    const role = { role: "option", "aria-label": words, "aria-selected": "false", class: className };
    const element = svg("g", role);
    this.#spotlight.follow(element, at);
    this.#tip.explain(element, words);
    return { element, at };
  }

  /** Each name above the right end of its series, or below where there is no room; further down where two would touch. */
  #namesOf(all) {
    const { width, height } = this.#figure;
    const gap = Math.max(width, height) * NAME_GAP;
    const ends = all.map((one) => ({ ...one, end: one.series.points.reduce((a, b) => (b.px > a.px ? b : a)) }));
    let lowest = -Infinity;
    return ends
      .sort((a, b) => a.end.py - b.end.py)
      .map((one) => {
        const element = document.createElement("span");
        element.textContent = nameOf(one);
        lowest = Math.max(one.end.py, lowest + gap);
        element.style.left = `${(100 * one.end.px) / width}%`;
        element.style.top = `${(100 * lowest) / height}%`;
        element.classList.toggle("below", lowest < height * ROOM_FOR_NAME);
        return { element, at: one.at };
      });
  }

  #showTable(all) {
    const { data, dataTitle, head, body, cut } = this.#elements;
    const chart = this.#chart;
    const hasPanels = new Set(all.map(({ at }) => at.panel)).size > 1;
    const told = rows(chart);
    const labels = hasPanels ? ["x", "y"] : [axisWords("x", all[0].panel.x), axisWords("y", all[0].panel.y)];
    dataTitle.textContent = `Data read in the figure: ${amount(chart)}`;
    head.replaceChildren(...[...(hasPanels ? ["Panel"] : []), "Series", ...labels].map(columnHead));
    this.#rows = told.slice(0, MOST_ROWS).map((row) => this.#row(row, hasPanels));
    body.replaceChildren(...this.#rows.map(({ element }) => element));
    cut.textContent = `The first ${MOST_ROWS} of ${told.length} points; the file has all.`;
    cut.hidden = told.length <= MOST_ROWS;
    data.hidden = false;
  }

  #row({ at, name, x, y, xTolerance, yTolerance }, hasPanels) {
    const element = document.createElement("tr");
    const panel = this.#chart.panels[at.panel];
    const cells = [name, measured(x, panel.x, xTolerance), measured(y, panel.y, yTolerance)];
    if (hasPanels) cells.unshift(String(at.panel + 1));
    for (const words of cells) {
      const cell = document.createElement("td");
      cell.textContent = words;
      element.append(cell);
    }
    element.addEventListener("pointerenter", () => this.#spotlight.light(at));
    element.addEventListener("pointerleave", () => this.#spotlight.light(null));
    return { element, at };
  }

  #move(event, from) {
    const last = this.#options.length - 1;
    let to = from + (STEPS[event.key] ?? 0);
    if (event.key === "Home") to = 0;
    if (event.key === "End") to = last;
    if (to === from || to < 0 || to > last) return;
    event.preventDefault();
    this.#options[from].element.setAttribute("tabindex", "-1");
    this.#options[to].element.setAttribute("tabindex", "0");
    this.#options[to].element.focus();
  }

  #showResting() {
    const { showData, traces, names } = this.#elements;
    for (const drawn of [traces, names]) drawn.classList.toggle("resting", !showData.checked);
  }

  #showLight() {
    if (this.#chart === null) return;
    const { traces } = this.#elements;
    const lit = this.#spotlight.lit;
    const isOn = (at) => (at.point === null ? this.#spotlight.isOnSeries(at) : this.#spotlight.isOn(at));
    traces.classList.toggle("one-lit", this.#options.some(({ at }) => isOn(at)));
    for (const { element, at } of this.#options) {
      element.classList.toggle("lit", isOn(at));
      element.setAttribute("aria-selected", String(this.#spotlight.isOn(at)));
    }
    for (const { element, at } of this.#names) element.classList.toggle("lit", isOn(at));
    for (const { element, at } of this.#rows) element.classList.toggle("lit", this.#spotlight.isOn(at));
    this.#showDot(lit);
  }

  /** The one point that is lit, ringed: also one that is not drawn otherwise. */
  #showDot(lit) {
    const point = this.#chart.panels[lit?.panel]?.series[lit.series]?.points[lit.point];
    this.#dot.toggleAttribute("hidden", point === undefined);
    if (!point) return;
    this.#dot.setAttribute("cx", point.px);
    this.#dot.setAttribute("cy", point.py);
  }
}

function axisWords(name, { label, unit, scale }) {
  const measure = unit && !label?.includes(unit) ? `${label ?? name} (${unit})` : (label ?? name);
  return scale === "log" ? `${measure}, logarithmic` : measure;
}

/** A value with as many decimals as its tolerance has a use for. */
function measured(value, { scale }, tolerance) {
  if (!tolerance) return valueWords(value, scale);
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(tolerance)));
  const isShort = scale !== "date" && decimals <= MOST_DECIMALS && Math.abs(value) < 1 / Number.EPSILON;
  const words = isShort ? value.toFixed(decimals) : valueWords(value, scale);
  return `${words} ± ${Number(tolerance.toPrecision(2))}${scale === "date" ? " days" : ""}`;
}

function columnHead(words) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.textContent = words;
  return cell;
}

function circle(attributes) {
  return svg("circle", attributes);
}

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}
