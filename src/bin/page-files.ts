/**
 * The files the page is made of, read when the process starts: our own without their types, and the libraries as npm installed them.
 * There is no build: line for line a browser runs what stands in `src/page`.
 *
 * Imports by a package's name become the address of its file, for a worker knows no import map.
 */
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { extname } from "node:path";
import type { PageFile } from "../gateway/routes/page.ts";

const OWN = new URL("../page/", import.meta.url);
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
};

export function readPageFiles(): PageFile[] {
  const own = readdirSync(OWN)
    .filter((name) => extname(name) in TYPES)
    .map((name) => ({ name, text: asServed(name, readFileSync(new URL(name, OWN), "utf8")) }));
  const libraries = LIBRARIES.map(({ name, file }) => ({ name, text: forBrowser(readFileSync(new URL(file, INSTALLED), "utf8")) }));
  return [...own, ...libraries].map((file) => ({ ...file, contentType: TYPES[extname(file.name)] as string }));
}

const asServed = (name: string, text: string): string => (extname(name) === ".ts" ? forBrowser(withoutTypes(text)) : text);

/** Package names as addresses, and no mention of a source map that nobody serves. */
function forBrowser(script: string): string {
  return script
    .replace(/\b(from|import)\s*"([\w./-]+)"/g, (found, word: string, specifier: string) => {
      const library = LIBRARIES.find((candidate) => candidate.specifier === specifier);
      return library === undefined ? found : `${word} "./${library.name}"`;
    })
    .replace(/^\/\/# sourceMappingURL=.*$/m, "");
}

/** Node runs our own files through this very function; that others may call it is new, which it would tell every administrator. */
function withoutTypes(text: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}
