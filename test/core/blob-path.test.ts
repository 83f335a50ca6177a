import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blobIdOfPath, blobPath } from "../../src/core/blob-path.ts";
import { BLOB_ID_LIMIT } from "../../src/core/limits.ts";

const blobId = fc.integer({ min: 0, max: BLOB_ID_LIMIT - 1 });
const seconds = fc.integer({ min: 0, max: 2 ** 40 });

describe("a blob's path", () => {
  it("has the base-512 digits of the streaming server document", () => {
    const time = 0x6640c418;
    expect(blobPath(0, time)).toBe("000/000/000/6640C418_000");
    expect(blobPath(100, time)).toBe("000/000/000/6640C418_064");
    expect(blobPath(512, time)).toBe("000/000/001/6640C418_000");
    expect(blobPath(134_217_727, time)).toBe("000/1FF/1FF/6640C418_1FF");
    expect(blobPath(134_217_728, time)).toBe("001/000/000/6640C418_000");
    expect(blobPath(BLOB_ID_LIMIT - 1, time)).toBe("1FF/1FF/1FF/6640C418_1FF");
  });

  it("gives its ID back, for any ID and time", () => {
    fc.assert(fc.property(blobId, seconds, (id, time) => blobIdOfPath(blobPath(id, time)) === id));
  });

  it("is another one for another ID", () => {
    fc.assert(fc.property(blobId, blobId, seconds, (a, b, time) => a === b || blobPath(a, time) !== blobPath(b, time)));
  });

  it("takes a fraction of a second", () => {
    expect(blobPath(1, 1.999)).toBe(blobPath(1, 1));
  });

  it("does not exist past the last ID", () => {
    expect(() => blobPath(BLOB_ID_LIMIT, 0)).toThrow(expect.objectContaining({ code: "ID_SPACE_EXHAUSTED" }));
    for (const id of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) expect(() => blobPath(id, 0)).toThrow();
  });

  it("I3: any other text is none, so nothing else reaches the disk", () => {
    const good = blobPath(100, 0x6640c418);
    const others = [
      "",
      "/",
      `/${good}`,
      `${good}/`,
      `${good}\n`,
      `../${good}`,
      `000/../000/6640C418_064`,
      `000/000/000/../../etc`,
      good.toLowerCase(),
      good.replace("000/", "200/"),
      good.replaceAll("/", "\\"),
      good.replace("_064", "_0640"),
      good.replace("6640C418", "6640C41"),
      good.replace("6640C418", "6640C4186640C4186"),
    ];
    for (const other of others) expect(blobIdOfPath(other)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => blobIdOfPath(text) === undefined || /^[0-9A-F/_]{21,29}$/.test(text)));
  });
});
