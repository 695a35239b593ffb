// Writes ../markdown-library.js: everything that entry.js needs in one file, under the names and licences of what is in it.

import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

import { build } from "esbuild";

const { metafile } = await build({ ...options(""), write: false, metafile: true });
const [{ inputs }] = Object.values(metafile.outputs);
const held = Object.keys(inputs).filter((path) => isPackage(path) && inputs[path].bytesInOutput > 0);
const folders = new Set(held.map(folderOf));
const named = [...folders].sort().map(licenceOf);
const terms = [...new Set(named.map(({ licence }) => withoutCopyright(licence)))];
const lines = [
  "Made by library/build.js; not written by hand. It holds these packages, each under the MIT licence:",
  ...named.map(({ name, version, copyright }) => `  ${name} ${version}  ${copyright}`),
  ...terms,
];
await build(options(`/*\n${lines.join("\n\n").replaceAll("\n\n  ", "\n  ")}\n*/`));

function options(banner) {
  return {
    entryPoints: ["entry.js"],
    outfile: "../markdown-library.js",
    bundle: true,
    format: "esm",
    // Not "browser": there, entities are decoded with innerHTML, which the page's Content-Security-Policy forbids.
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    minify: true,
    legalComments: "none",
    banner: { js: banner },
  };
}

function isPackage(path) {
  return path.startsWith("node_modules/");
}

function folderOf(path) {
  return /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)[0];
}

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (license !== "MIT") throw new Error(`${name} is under ${license}`);
  const file = readdirSync(folder).find((one) => /^licen[cs]e(\.\w+)?$/i.test(one));
  if (!file) throw new Error(`${name} brings no text of its licence`);
  const licence = readFileSync(join(folder, file), "utf8").trim();
  const copyright = (/^.*copyright \(c\).*$/im.exec(licence) ?? [""])[0].trim();
  if (!copyright) throw new Error(`${name} names no holder of its copyright`);
  return { name, version, licence, copyright };
}

/** The terms alone, with line ends and quotes made the same, since packages differ in them. */
function withoutCopyright(licence) {
  const at = licence.indexOf("Permission is hereby granted");
  return licence
    .slice(at)
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, " ").replace(/['‘](Software|AS IS)['’]/g, '"$1"').trim())
    .join("\n");
}
