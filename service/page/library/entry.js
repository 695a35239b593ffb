// What ../markdown-library.js is made of; README.md beside this file says how.

import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmTableFromMarkdown } from "mdast-util-gfm-table";
import { mathFromMarkdown } from "mdast-util-math";
import { gfmTable } from "micromark-extension-gfm-table";
import { math } from "micromark-extension-math";
import temml from "temml";

/** What a model has no use for, or must not have: HTML above all. */
const OFF = { disable: { null: ["htmlFlow", "htmlText", "definition", "autolink", "codeIndented"] } };

/** The tree of a Markdown text (mdast), each node with its place in the text. */
export function parseMarkdown(text) {
  return fromMarkdown(text, {
    extensions: [gfmTable(), math(), OFF],
    mdastExtensions: [gfmTableFromMarkdown(), mathFromMarkdown()],
  });
}

/** Puts a formula in TeX into `element` as MathML. Raises an Error for what is no formula. */
export function renderFormula(tex, element, isDisplayed) {
  temml.render(tex, element, {
    displayMode: isDisplayed,
    throwOnError: true,
    trust: false, // no links, images, classes or ids out of a formula
    maxSize: [20, 20],
    maxExpand: 200,
  });
}
