/**
 * The files the pages are made of, read when the process starts: our own without their types, and the libraries as npm installed them.
 * There is no build: line for line a browser runs what stands in `src/page` and, of what draws machines, in `src/inspector`.
 *
 * N1: they lie side by side whatever folder they come from, so each has a name of its own, and an import becomes the name it ends in. That of a
 *     package becomes the address of its file, for a worker knows no import map.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { basename, extname } from "node:path";
import { withoutWarnings } from "../core/without-warnings.ts";
import type { PageFile } from "../gateway/routes/page.ts";
import { CHART_STYLE } from "../inspector/chart-style.ts";

const OWN = ["../page/", "../page/inspect/"].map((folder) => new URL(folder, import.meta.url));
const INSPECTOR = new URL("../inspector/", import.meta.url);
/** What the pages draw with; the layout of charts, and the machines, stay here. */
const DRAWING = [
  "chart.ts",
  "chart-style.ts",
  "element.ts",
  "inspection-marks.ts",
  "paint.ts",
  "replay.ts",
  "sequence.ts",
  "sequence-paint.ts",
  "text-width.ts",
];
const STATECHARTS = new URL("statecharts/", INSPECTOR);
const INSTALLED = new URL("../../node_modules/", import.meta.url);
const LIBRARIES = [
  { name: "preact.js", specifier: "preact", file: "preact/dist/preact.mjs" },
  { name: "preact-hooks.js", specifier: "preact/hooks", file: "preact/hooks/dist/hooks.mjs" },
  { name: "htm.js", specifier: "htm", file: "htm/dist/htm.mjs" },
  { name: "hash-wasm.js", specifier: "hash-wasm", file: "hash-wasm/dist/index.esm.min.js" },
] as const;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml; charset=utf-8",
  ".ts": "text/javascript; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
};

export function readPageFiles(): PageFile[] {
  const own = OWN.flatMap((folder) => readdirSync(folder).map((name) => new URL(name, folder))).filter(isServed);
  const drawing = DRAWING.map((name) => new URL(name, INSPECTOR));
  const charts = readdirSync(STATECHARTS).map((name) => new URL(name, STATECHARTS));
  const read = [...own, ...drawing, ...charts].map((url) => ({ name: nameOf(url), text: asServed(url, readFileSync(url, "utf8")) }));
  const libraries = LIBRARIES.map(({ name, file }) => ({ name, text: forBrowser(readFileSync(new URL(file, INSTALLED), "utf8")) }));
  const files = [...read, ...libraries, { name: "chart.css", text: CHART_STYLE }];
  // N1
  assert.equal(new Set(files.map(({ name }) => name)).size, files.length, "two files of the pages have one name");
  return files.map((file) => ({ ...file, contentType: TYPES[extname(file.name)] as string }));
}

const nameOf = ({ pathname }: URL): string => basename(pathname);
const isServed = (url: URL): boolean => extname(url.pathname) in TYPES && nameOf(url) !== "tsconfig.json";
const asServed = ({ pathname }: URL, text: string): string => (extname(pathname) === ".ts" ? forBrowser(withoutTypes(text)) : text);

/** N1; and no mention of a source map that nobody serves. */
function forBrowser(script: string): string {
  return script
    .replace(/\b(from|import)\s*"([\w./-]+)"/g, (found, word: string, specifier: string) => {
      if (specifier.startsWith(".")) return `${word} "./${basename(specifier)}"`;
      const library = LIBRARIES.find((candidate) => candidate.specifier === specifier);
      return library === undefined ? found : `${word} "./${library.name}"`;
    })
    .replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

/** Node runs our own files through this very function; that others may call it is new. */
const withoutTypes = (text: string): string => withoutWarnings(() => stripTypeScriptTypes(text));
