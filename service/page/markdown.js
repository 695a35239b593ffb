// An answer's Markdown and formulas as nodes of the page, with its marks in their places. Nodes are made one by one: no
// text becomes markup. HTML stays the text that it is, links are words with their address behind them and lead nowhere,
// and images are words: what a model writes may be what a figure told it to write.

import { parseMarkdown, renderFormula } from "./markdown-library.js";

const ELEMENTS = {
  paragraph: "p",
  blockquote: "blockquote",
  emphasis: "em",
  strong: "strong",
  listItem: "li",
  tableRow: "tr",
};
/** The question is a heading of the second rank. */
const LOWEST_HEADING = 3;
const ENTITY = /^&(?:#\d+|#x[\da-f]+|\w+);/i;

/**
 * The blocks of a text. `marks` are {start, end, mark} in UTF-16 units, in order and apart. `markUp(mark, nodes, isFirst)`
 * makes the element of a mark; one that goes through several nodes, as over bold words, has an element in each.
 */
export function blocksOf(text, marks, markUp) {
  const tree = parseMarkdown(withDollars(text));
  return new Blocks(text, marks, markUp).all(tree.children);
}

/** TeX's own brackets, as models write them, in the form that the library knows and of the same length. */
function withDollars(text) {
  return text
    .replace(/\\\[([^$]+?)\\\]/g, (_, formula) => `$$$$${formula}$$$$`)
    .replace(/\\\(([^$\n]+?)\\\)/g, (_, formula) => `$$$$${formula}$$$$`);
}

class Blocks {
  #text;
  #marks;
  #markUp;
  #begun = new Set(); // marks that have an element

  constructor(text, marks, markUp) {
    this.#text = text;
    this.#marks = marks;
    this.#markUp = markUp;
  }

  all(nodes) {
    return nodes.flatMap((node) => this.#made(node));
  }

  #made(node) {
    switch (node.type) {
      case "text":
        return this.#leaf(node.value, this.#placesIn(node));
      case "break":
        return [document.createElement("br")];
      case "thematicBreak":
        return [document.createElement("hr")];
      case "heading":
        return [this.#element(`h${Math.min(node.depth + LOWEST_HEADING - 1, 6)}`, node)];
      case "list":
        return [this.#list(node)];
      case "table":
        return [this.#table(node)];
      case "inlineCode":
        return [this.#code(node)];
      case "code":
        return [wrapped("pre", [this.#code(node)])];
      case "inlineMath":
        return this.#formula(node);
      case "math":
        return [wrapped("p", this.#formula(node))];
      case "link":
        return [...this.all(node.children), ...addressOf(node)];
      case "image":
        return [new Text(node.alt ? `${node.alt} (${node.url})` : node.url)];
      default:
        return ELEMENTS[node.type] ? [this.#element(ELEMENTS[node.type], node)] : this.#asWritten(node);
    }
  }

  #element(name, node) {
    return wrapped(name, this.all(node.children));
  }

  #list(node) {
    const list = this.#element(node.ordered ? "ol" : "ul", node);
    if (node.ordered && node.start !== 1) list.start = node.start;
    return list;
  }

  /** In a region of its own that scrolls, since a table may be wider than the page. */
  #table(node) {
    const [head, ...rows] = node.children.map((row, at) =>
      wrapped("tr", row.children.map((cell) => this.#element(at === 0 ? "th" : "td", cell))),
    );
    const table = wrapped("table", [wrapped("thead", [head]), wrapped("tbody", rows)]);
    const region = wrapped("div", [table]);
    region.className = "table";
    region.tabIndex = 0;
    region.role = "region";
    region.ariaLabel = "Table in the answer";
    return region;
  }

  #code(node) {
    return wrapped("code", this.#leaf(node.value, this.#placesIn(node)));
  }

  /** A formula has the marks of all that stands in it, as a whole: it cannot be cut. */
  #formula(node) {
    const { start, end } = rangeOf(node);
    const written = this.#text.slice(start, end);
    if (!isFormula(written, this.#text[end])) return this.#asWritten(node);
    const element = document.createElement("span");
    const isDisplayed = node.type === "math" || written.startsWith("\\[") || written.startsWith("$$");
    element.className = isDisplayed ? "formula displayed" : "formula";
    try {
      renderFormula(node.value, element, isDisplayed);
    } catch (error) {
      if (!(error instanceof Error)) throw error; // the library's own are plain Errors of another name
      return this.#asWritten(node);
    }
    const [mark] = this.#marksWithin(start, end);
    return mark ? [this.#marked(mark, [element])] : [element];
  }

  /** What is not shown as what it is, as the text that it was. */
  #asWritten(node) {
    const { start, end } = rangeOf(node);
    const written = this.#text.slice(start, end);
    return this.#leaf(written, (at) => start + at);
  }

  /** A text cut where marks begin and end. `placeOf(at)` tells where a character of it stands in the answer. */
  #leaf(value, placeOf) {
    const nodes = [];
    const [first, end] = [placeOf(0), placeOf(value.length)];
    let at = 0;
    for (const mark of this.#marksWithin(first, end)) {
      const from = indexOf(mark.start, value.length, placeOf, at);
      const to = indexOf(mark.end, value.length, placeOf, from);
      if (from === to) continue;
      if (from > at) nodes.push(new Text(value.slice(at, from)));
      nodes.push(this.#marked(mark, [new Text(value.slice(from, to))]));
      at = to;
    }
    if (at < value.length) nodes.push(new Text(value.slice(at)));
    return nodes;
  }

  #marked(mark, nodes) {
    const isFirst = !this.#begun.has(mark);
    this.#begun.add(mark);
    return this.#markUp(mark.mark, nodes, isFirst);
  }

  #marksWithin(start, end) {
    return this.#marks.filter((mark) => mark.start < end && mark.end > start);
  }

  /** Where each character of a node's text stands in the answer: some were written in more characters than they are. */
  #placesIn(node) {
    const { start, end } = rangeOf(node);
    const written = this.#text.slice(start, end);
    const found = written.lastIndexOf(node.value); // the last: a fence of code may name its language before
    if (found !== -1) return (at) => start + found + at;
    const places = aligned(node.value, written);
    return (at) => start + places[at];
  }
}

/** For each character of `value`, and its end, where it stands in `written`, which has escapes, entities or signs of Markdown more. */
function aligned(value, written) {
  const places = [];
  let at = 0;
  for (let i = 0; i < value.length; i++) {
    for (;;) {
      const entity = written[at] === "&" ? ENTITY.exec(written.slice(at, at + 40)) : null;
      if (entity && !value.startsWith(entity[0], i)) {
        places.push(at);
        if (isHighSurrogate(value, i)) places.push(at), i++;
        at += entity[0].length;
        break;
      }
      if (at >= written.length || written[at] === value[i]) {
        places.push(at++);
        break;
      }
      at++;
    }
  }
  places.push(Math.min(at, written.length));
  return places;
}

function isHighSurrogate(text, at) {
  return /[\uD800-\uDBFF]/.test(text[at]);
}

/** The first character from `from` on that stands at `place` or behind it. */
function indexOf(place, length, placeOf, from) {
  let at = from;
  while (at < length && placeOf(at) < place) at++;
  return at;
}

/** Whether what stands between single dollars is a formula, and not two prices (as Pandoc tells them apart). */
function isFormula(written, next) {
  if (!written.startsWith("$") || written.startsWith("$$")) return true;
  return !/^\$\s|\s\$$/.test(written) && !/\d/.test(next ?? "");
}

function addressOf({ children, url }) {
  const isSame = children.length === 1 && children[0].value === url;
  return url === "" || isSame ? [] : [new Text(` (${url})`)];
}

function wrapped(name, nodes) {
  const element = document.createElement(name);
  element.append(...nodes);
  return element;
}

function rangeOf({ position }) {
  return { start: position.start.offset, end: position.end.offset };
}
