/** Listings without end are seen; long ones are not taken for such. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { CursorWatch } from "../../src/core/cursor-watch.ts";

/** How many pages came before a fault was seen; `undefined` when none was. */
function pagesUntilFault(cursors: Iterable<string>, itemCount = 1): number | undefined {
  const watch = new CursorWatch();
  let count = 0;
  for (const cursor of cursors) {
    count += 1;
    if (watch.fault(cursor, itemCount) !== undefined) return count;
  }
  return undefined;
}

it("a circle of cursors is seen wherever it begins and however long it is", () => {
  fc.assert(
    fc.property(fc.nat(200), fc.integer({ min: 1, max: 200 }), (before, length) => {
      function* cursors() {
        for (let page = 0; page < 4 * (before + length) + 4; page += 1)
          yield String(page < before ? page : before + ((page - before) % length));
      }
      expect(pagesUntilFault(cursors())).toBeGreaterThan(before);
    }),
  );
  expect(pagesUntilFault(["again", "again"])).toBe(2);
});

it("a long listing is none without end", () => {
  expect(pagesUntilFault(Array.from({ length: 100_000 }, (_, page) => String(page)))).toBeUndefined();
});

it("pages with nothing in them end, though each has a new cursor", () => {
  expect(
    pagesUntilFault(
      Array.from({ length: 1_000 }, (_, page) => String(page)),
      0,
    ),
  ).toBe(101);
});
