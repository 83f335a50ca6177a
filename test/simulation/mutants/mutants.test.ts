import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { changed } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

const read = (file: string): string => readFileSync(fileURLToPath(new URL(`../../../${file}`, import.meta.url)), "utf8");

describe("planted bugs", () => {
  test("there are fifteen at least, each with a name of its own", () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(15);
  });

  test.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
    "%s fits the sources, and what it makes of them can be run",
    (_, { changes }) => {
      const sources = new Map<string, string>();
      for (const change of changes) sources.set(change.file, changed(sources.get(change.file) ?? read(change.file), change));
      for (const [file, source] of sources) {
        expect(source).not.toBe(read(file));
        expect(() => stripTypeScriptTypes(source)).not.toThrow();
      }
    },
  );

  test("a change whose place is gone, or is there twice, is refused", () => {
    const change = { file: "a.ts", find: "b", replace: "c" };
    expect(changed("abd", change)).toBe("acd");
    expect(() => changed("ad", change)).toThrow("a.ts has 0 places");
    expect(() => changed("abb", change)).toThrow("a.ts has 2 places");
  });
});
