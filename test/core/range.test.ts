import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RANGE_COUNT_MAX } from "../../src/core/limits.ts";
import { parseRange } from "../../src/core/range.ts";

const ranges = (field: string, sizeBytes: number) => {
  const decision = parseRange(field, sizeBytes);
  return decision.kind === "ranges" ? decision.ranges.map(({ first, last }) => [first, last]) : decision.kind;
};

describe("a Range field", () => {
  test.each([
    ["bytes=0-0", [[0, 0]]],
    ["bytes=0-99", [[0, 99]]],
    ["bytes=90-", [[90, 99]]],
    ["bytes=-10", [[90, 99]]],
    ["bytes=95-200", [[95, 99]]],
    ["Bytes = 1-2", [[1, 2]]],
    [
      "bytes=5-6, ,0-1,",
      [
        [5, 6],
        [0, 1],
      ],
    ],
    [
      "bytes=0-1,100-,2-3",
      [
        [0, 1],
        [2, 3],
      ],
    ],
    ["bytes=0001-0002", [[1, 2]]],
  ])("%s of 100 bytes is what was asked, in that order", (field, expected) => {
    expect(ranges(field, 100)).toEqual(expected);
  });

  test.each([
    "bytes=5-2",
    "bytes=-",
    "bytes=a-b",
    "bytes=1",
    "bytes=",
    "bytes=,",
    "bytes=1-2-3",
    "bytes= 1 - 2",
    "bytes=+1-2",
    "bytes=0-1,9-3",
    "items=0-1",
    "0-1",
    "bytes=0x1-2",
  ])("I5: %s is malformed or of another unit, hence ignored", (field) => expect(ranges(field, 100)).toBe("whole"));

  test("I4: more ranges than the limit, or more bytes than twice the file, are answered with the whole file", () => {
    const count = (n: number) => `bytes=${Array.from({ length: n }, (_, index) => `${index}-${index}`).join(",")}`;
    expect(ranges(count(RANGE_COUNT_MAX), 100)).toHaveLength(RANGE_COUNT_MAX);
    expect(ranges(count(RANGE_COUNT_MAX + 1), 100)).toBe("whole");
    expect(ranges(count(100_000), 100)).toBe("whole");
    expect(ranges("bytes=0-,0-", 100)).toHaveLength(2);
    expect(ranges("bytes=0-,0-,0-0", 100)).toBe("whole");
  });

  test("I6: 2^63 as a start is past the end, as an end it is clamped, as a suffix it is the whole file", () => {
    const huge = 2n ** 63n;
    expect(ranges(`bytes=${huge}-`, 100)).toBe("unsatisfiable");
    expect(ranges(`bytes=0-${huge}`, 100)).toEqual([[0, 99]]);
    expect(ranges(`bytes=-${huge}`, 100)).toEqual([[0, 99]]);
    expect(ranges(`bytes=1-${"9".repeat(10_000)}`, 100)).toEqual([[1, 99]]);
    // As numbers these two would be equal, and the range not be malformed.
    expect(ranges("bytes=9007199254740993-9007199254740992", 100)).toBe("whole");
  });

  test("I7: a start at or past the end, an empty suffix, and any range of an empty file cannot be satisfied", () => {
    for (const field of ["bytes=100-", "bytes=100-200", "bytes=-0"]) expect(ranges(field, 100)).toBe("unsatisfiable");
    for (const field of ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"]) expect(ranges(field, 0)).toBe("unsatisfiable");
  });

  test("no text makes an answer outside the file or beyond the bounds", () => {
    const spec = fc.oneof(
      fc.tuple(fc.bigInt(0n, 2n ** 66n), fc.option(fc.bigInt(0n, 2n ** 66n))).map(([first, last]) => `${first}-${last ?? ""}`),
      fc.tuple(fc.nat(300), fc.option(fc.nat(300))).map(([first, last]) => `${first}-${last ?? ""}`),
      fc.nat(300).map((suffix) => `-${suffix}`),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 20 }), fc.nat(256), (specs, sizeBytes) => {
        const decision = parseRange(`bytes=${specs.join(",")}`, sizeBytes);
        if (decision.kind !== "ranges") return;
        expect(decision.ranges.length).toBeGreaterThan(0);
        expect(decision.ranges.length).toBeLessThanOrEqual(RANGE_COUNT_MAX);
        let sum = 0;
        for (const { first, last } of decision.ranges) {
          expect(first >= 0 && first <= last && last < sizeBytes).toBe(true);
          sum += last - first + 1;
        }
        expect(sum).toBeLessThanOrEqual(2 * sizeBytes);
      }),
    );
  });

  test("a single well-formed range says exactly the bytes a slice would", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(50), fc.integer({ min: 1, max: 60 }), (a, b, sizeBytes) => {
        const [first, last] = a <= b ? [a, b] : [b, a];
        const bytes = Array.from({ length: sizeBytes }, (_, index) => index);
        const decision = parseRange(`bytes=${first}-${last}`, sizeBytes);
        const expected = bytes.slice(first, last + 1);
        if (decision.kind === "ranges")
          expect(bytes.slice(decision.ranges[0]?.first, (decision.ranges[0]?.last ?? 0) + 1)).toEqual(expected);
        else expect([decision.kind, expected]).toEqual(["unsatisfiable", []]);
      }),
    );
  });
});
