// The data of a figure, as the `chart` event has it: what of it is claimed, what was not read, and its file. Knows
// nothing of the page.

import { abstentionWords, count } from "./words.js";

const COLUMNS = ["panel", "series", "x", "y", "x_tolerance", "y_tolerance"];
/** Facts that speak of one place along x. */
const PLACED_FACTS = ["first", "last", "maximum", "minimum", "crossing"];
/** Of digits after the point, those that a float shows before it turns to an exponent, as Python writes it. */
const FIXED_FROM = -4;
const FIXED_UP_TO = 16;
const TOLERANCE_DIGITS = 3;

/** The series of which something is claimed, as [{panel, series, at}]: `at` is its place. */
export function claimed(chart) {
  return chart.panels.flatMap((panel, panelIndex) =>
    panel.abstained !== null
      ? []
      : panel.series
          .map((series, index) => ({ panel, series, at: { panel: panelIndex, series: index, point: null } }))
          .filter(({ series }) => series.abstained === null && series.points.length > 0),
  );
}

/** What a series is called, where nothing in the figure names it too. */
export function nameOf({ series, at }) {
  return series.name || `Series ${at.series + 1}`;
}

/** Where the data says it that a check of an answer rests on: a place, or null where there is none. */
export function placeOf(check, chart) {
  if (check.panel === null || check.series === null) return null;
  const series = chart?.panels[check.panel]?.series[check.series];
  if (!series) return null;
  const fact = check.fact === null ? null : series.facts[check.fact];
  return { panel: check.panel, series: check.series, point: check.point ?? pointOf(fact, series.points) };
}

function pointOf(fact, points) {
  if (!fact || !PLACED_FACTS.includes(fact.kind) || fact.x === null || points.length === 0) return null;
  if (typeof fact.x === "string") {
    const index = points.findIndex(({ x }) => x === fact.x);
    return index < 0 ? null : index;
  }
  const away = points.map(({ x }) => Math.abs(x - fact.x));
  return away.indexOf(Math.min(...away));
}

/** What was not read of a figure and why, in one line; empty where nothing is missing. */
export function notRead(chart) {
  if (chart.status === "timeout") return "The data of this figure was not read in time.";
  if (chart.status === "failed") return "The data of this figure could not be read.";
  if (chart.abstained !== null) return `The data of this figure was not read: ${abstentionWords(chart.abstained)}.`;
  const missing = chart.panels.flatMap((panel, number) => missingOf(panel, chart.panels.length > 1 ? number + 1 : null));
  return missing.length ? `Not read: ${missing.join("; ")}.` : "";
}

function missingOf(panel, number) {
  const where = number === null ? "the data" : `panel ${number}`;
  if (panel.abstained !== null) return [`${where} (${abstentionWords(panel.abstained)})`];
  const byReason = new Map();
  panel.series.forEach((series, index) => {
    if (series.abstained === null) return;
    const name = series.name ? `“${series.name}”` : `series ${index + 1}`;
    byReason.set(series.abstained, [...(byReason.get(series.abstained) ?? []), name]);
  });
  const of = number === null ? "" : ` of panel ${number}`;
  return [...byReason].map(([reason, names]) => `${names.join(", ")}${of} (${abstentionWords(reason)})`);
}

/** "3 series, 41 points" */
export function amount(chart) {
  const all = claimed(chart);
  const points = all.reduce((sum, { series }) => sum + series.points.length, 0);
  return `${all.length} series, ${count(points, "point")}`;
}

/** A row for each point that is claimed: {at, name, x, y, xTolerance, yTolerance}, numbers as numbers, tolerances in
 *  units of the axis or null. */
export function rows(chart) {
  return claimed(chart).flatMap(({ panel, series, at }) =>
    series.points.map(({ x, y }, point) => ({
      at: { ...at, point },
      name: nameOf({ series, at }),
      x,
      y,
      xTolerance: tolerance(panel.x, x, series.x_tolerance),
      yTolerance: tolerance(panel.y, y, series.y_tolerance),
    })),
  );
}

/**
 * The file that GET /v1/figures/{id}/chart.csv gives, made here so that it can be had when the figure is no longer kept.
 * The gateway's is written by llava_graph/chart_csv.py; a test holds the two together.
 */
export function csvOf(chart) {
  const lines = rows(chart).map(({ at, x, y, xTolerance, yTolerance }) => {
    const { name } = chart.panels[at.panel].series[at.series];
    return [
      String(at.panel + 1),
      name ? harmless(name) : String(at.series + 1),
      typeof x === "string" ? harmless(x) : float(x),
      float(y),
      xTolerance === null ? "" : written(xTolerance, TOLERANCE_DIGITS, TOLERANCE_DIGITS),
      yTolerance === null ? "" : written(yTolerance, TOLERANCE_DIGITS, TOLERANCE_DIGITS),
    ];
  });
  return [COLUMNS, ...lines].map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}

/** A text from the figure that no spreadsheet takes for a formula. */
function harmless(text) {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

/** As RFC 4180 has it. */
function quoted(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function tolerance(axis, value, share) {
  if (typeof value === "string" || axis.low === null || axis.high === null) return null;
  if (axis.scale === "log") {
    const decades = axis.low > 0 && axis.high > 0 ? Math.abs(Math.log10(axis.high / axis.low)) : 0;
    return Math.abs(value) * (10 ** (share * decades) - 1);
  }
  return Math.abs(axis.high - axis.low) * share;
}

/** A number in as few digits as tell it from every other, as Python's repr does. */
function float(value) {
  const text = written(value, undefined, FIXED_UP_TO);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A number as Python's format "g" writes it: `digits` significant ones, an exponent from 10 ** `upTo` on. */
function written(value, digits, upTo) {
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const [mantissa, power] = Math.abs(value)
    .toExponential(digits && digits - 1)
    .split("e");
  const shown = mantissa.replace(".", "").replace(/(?<=.)0+$/, "");
  const exponent = Number(power);
  if (exponent < FIXED_FROM || exponent >= upTo) {
    const rest = shown.length > 1 ? `.${shown.slice(1)}` : "";
    return `${sign}${shown[0]}${rest}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${shown}`;
  const whole = shown.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const rest = shown.slice(exponent + 1);
  return sign + whole + (rest && `.${rest}`);
}
