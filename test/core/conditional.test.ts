import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { evaluateConditions, rangeApplies } from "../../src/core/conditional.ts";
import { formatHttpDate, parseHttpDate } from "../../src/core/http-date.ts";

const NOW = Date.UTC(2026, 0, 1);
const MODIFIED = Date.UTC(2025, 5, 1, 12, 0, 0, 500);
const current = { etag: '"b3-abc"', modifiedMs: MODIFIED };
const evaluate = (method: string, fields: Record<string, string>) => evaluateConditions(method, fields, current, NOW);
const same = formatHttpDate(MODIFIED);
const before = formatHttpDate(MODIFIED - 1000);
const after = formatHttpDate(MODIFIED + 1000);

describe("conditions", () => {
  test.each<[string, Record<string, string>, string]>([
    ["GET", {}, "proceed"],
    ["GET", { "if-match": '"b3-abc"' }, "proceed"],
    ["GET", { "if-match": "*" }, "proceed"],
    ["GET", { "if-match": '"x", "b3-abc"' }, "proceed"],
    ["GET", { "if-match": 'W/"b3-abc"' }, "failed"],
    ["GET", { "if-match": '"x"' }, "failed"],
    ["GET", { "if-match": "b3-abc" }, "failed"],
    ["GET", { "if-match": '"b3-abc"', "if-unmodified-since": before }, "proceed"],
    ["GET", { "if-unmodified-since": same }, "proceed"],
    ["GET", { "if-unmodified-since": before }, "failed"],
    ["GET", { "if-unmodified-since": "yesterday" }, "proceed"],
    ["GET", { "if-none-match": '"b3-abc"' }, "not-modified"],
    ["HEAD", { "if-none-match": 'W/"b3-abc"' }, "not-modified"],
    ["GET", { "if-none-match": '"x,y", W/"z" , "b3-abc"' }, "not-modified"],
    ["GET", { "if-none-match": "*" }, "not-modified"],
    ["PUT", { "if-none-match": "*" }, "failed"],
    ["GET", { "if-none-match": '"x"', "if-modified-since": after }, "proceed"],
    ["GET", { "if-modified-since": same }, "not-modified"],
    ["GET", { "if-modified-since": after }, "not-modified"],
    ["GET", { "if-modified-since": before }, "proceed"],
    ["PUT", { "if-modified-since": after }, "proceed"],
    ["GET", { "if-match": '"x"', "if-none-match": '"b3-abc"' }, "failed"],
  ])("%s with %j: %s", (method, fields, outcome) => {
    expect(evaluate(method, fields)).toBe(outcome);
  });

  test("I8: If-Range holds for the strong entity tag and the exact date only", () => {
    expect(rangeApplies(undefined, current, NOW)).toBe(true);
    expect(rangeApplies('"b3-abc"', current, NOW)).toBe(true);
    expect(rangeApplies(same, current, NOW)).toBe(true);
    for (const stale of ['"x"', 'W/"b3-abc"', before, after, "b3-abc", "", "*"]) expect(rangeApplies(stale, current, NOW)).toBe(false);
  });
});

describe("dates in HTTP", () => {
  test("all three forms mean the same instant", () => {
    const instant = Date.UTC(1994, 10, 6, 8, 49, 37);
    for (const text of ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
      expect(parseHttpDate(text, NOW)).toBe(instant);
  });

  test("a two-digit year is never more than 50 years ahead", () => {
    expect(parseHttpDate("Sunday, 06-Nov-76 08:49:37 GMT", NOW)).toBe(Date.UTC(2076, 10, 6, 8, 49, 37));
    expect(parseHttpDate("Sunday, 06-Nov-77 08:49:37 GMT", NOW)).toBe(Date.UTC(1977, 10, 6, 8, 49, 37));
  });

  test.each([
    "Sun, 31 Feb 2025 00:00:00 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:49:37",
    "2025-01-01T00:00:00Z",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "",
  ])("%s is no date", (text) => {
    expect(parseHttpDate(text, NOW)).toBeUndefined();
  });

  test("what is written is read back, without its milliseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (wallMs) => {
        expect(parseHttpDate(formatHttpDate(wallMs), NOW)).toBe(Math.floor(wallMs / 1000) * 1000);
      }),
    );
  });
});
