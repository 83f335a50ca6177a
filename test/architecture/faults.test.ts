/** Every fault this release answers for is named by a test, and no row is put off that a test already covers. The rows: docs/FAULTS.md. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface Row {
  readonly name: string;
  readonly covered: string;
}

function rowsOf(page: string): Row[] {
  return [...page.matchAll(/^\| ([FI][0-9]+) \|.*\| ([^|]+) \|$/gm)].map(([, name, covered]) => ({
    name: name as string,
    covered: covered as string,
  }));
}

/** Rows named at the beginning of a title: `F7: …`, `F19, F21: …`. */
function namedRows(source: string): string[] {
  return [...source.matchAll(/["'`]([FI][0-9]+(?:, ?[FI][0-9]+)*): /g)].flatMap(([, names]) => (names as string).split(/, ?/));
}

function faults(rows: readonly Row[], named: ReadonlySet<string>): string[] {
  const known = new Set(rows.map((row) => row.name));
  return [
    ...rows
      .filter(({ covered, name }) => !covered.startsWith("later: ") && !named.has(name))
      .map(({ name }) => `${name}: no test names it`),
    ...rows
      .filter(({ covered, name }) => covered.startsWith("later: ") && named.has(name))
      .map(({ name }) => `${name}: says later, but a test names it`),
    ...[...named].filter((name) => !known.has(name)).map((name) => `${name}: a test names it, but there is no such row`),
  ];
}

function testSources(): string[] {
  return readdirSync(join(ROOT, "test"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && entry.name !== "faults.test.ts")
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"));
}

describe("the table of faults", () => {
  const rows = rowsOf(readFileSync(join(ROOT, "docs/FAULTS.md"), "utf8"));

  it("has every row once, each with a word on whether it is covered", () => {
    const expected = [
      ...Array.from({ length: 29 }, (_, index) => `F${index + 1}`),
      ...Array.from({ length: 24 }, (_, index) => `I${index + 1}`),
    ];
    expect(rows.map((row) => row.name)).toEqual(expected);
    for (const { covered } of rows) expect(covered).toMatch(/^now$|^in part: .|^later: ./);
  });

  it("and the titles of the tests agree", () => {
    expect(faults(rows, new Set(testSources().flatMap(namedRows)))).toEqual([]);
  });
});

describe("the comparison", () => {
  const page =
    "| row | fault |\n|---|---|\n| F1 | killed | works | now |\n| F2 | stands still | refused | later: not yet |\n| F3 | full | 507 | in part: half |\n";

  it("finds a row no test names, one that is put off although named, and a name without a row", () => {
    expect(faults(rowsOf(page), new Set(["F2", "F3", "F9"]))).toEqual([
      "F1: no test names it",
      "F2: says later, but a test names it",
      "F9: a test names it, but there is no such row",
    ]);
    expect(faults(rowsOf(page), new Set(["F1", "F3"]))).toEqual([]);
  });

  it("reads titles with one row or several, and not the rest of a source", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the source under test has a template
    expect(namedRows('it("F1: a", f); it.each(x)(`F3, I4: b ${y}`, g); // F7: no\nconst F8 = "see F9: no";')).toEqual(["F1", "F3", "I4"]);
  });
});
