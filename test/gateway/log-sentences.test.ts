/** What the gateway says in the log, seen in its source: sentences, and errors under the key that the log spells out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const FOLDER = fileURLToPath(new URL("../../src/gateway", import.meta.url));

/** The facts and the sentence of each call. */
function calls(text: string): { readonly facts: string; readonly sentence: string }[] {
  return [...text.matchAll(/\blog\s*\.(?:debug|info|warn|error)\(\s*(\{[^"]*?\})\s*,\s*"([^"]*)"/g)].map(
    ([, facts = "", sentence = ""]) => ({
      facts,
      sentence,
    }),
  );
}

test("the log is told sentences, and errors as `err`", () => {
  const found = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(FOLDER, name), "utf8"));
  const said = found.flatMap(calls);
  // Every call is seen.
  expect(said).toHaveLength(found.join("\n").match(/\blog\s*\.(?:debug|info|warn|error)\(/g)?.length ?? 0);
  expect(said.length).toBeGreaterThan(10);
  expect(said.filter(({ sentence }) => !/^[A-Z].*\.$/.test(sentence))).toEqual([]);
  expect(said.filter(({ facts }) => /[{,]\s*(error|cause)\s*[,:}]/.test(facts))).toEqual([]);
});
