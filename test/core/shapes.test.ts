import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BLOB_ID_LIMIT, FILE_BYTES_LIMIT, NAME_BYTES_MAX } from "../../src/core/limits.ts";
import {
  app,
  blobId,
  contentType,
  cursor,
  ENDED_STATES,
  fileBytes,
  fileDigests,
  fileId,
  fileName,
  idempotencyKey,
  isEnded,
  limit,
  nameFault,
  UPLOAD_STATES,
  user,
} from "../../src/core/shapes.ts";
import { anyText } from "../support/any-text.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/;

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown): boolean => schema.safeParse(value).success;

describe("file names", () => {
  it("may be any text a person would give a file, folders included", () => {
    for (const name of [
      "a",
      "movie.mp4",
      "two words.txt",
      "été.txt",
      "电影.mkv",
      "folder/sub/file",
      ".hidden",
      "...",
      "a..b",
      "-rf",
      "%2e%2e",
      "C:x",
      "a\\b",
      'say "hi"',
      "\u202egpj.exe",
      "🎬",
      "x".repeat(255),
    ]) {
      expect(nameFault(name), name).toBeUndefined();
      expect(accepts(fileName, name)).toBe(true);
    }
  });

  it("I11: no control characters, nothing over 255 bytes, no path tricks, only valid Unicode", () => {
    for (const name of [
      "",
      "a\r\nSet-Cookie: x",
      "a\nb",
      "a\0b",
      "\u007f",
      "\t",
      "x".repeat(256),
      "é".repeat(128),
      "x".repeat(10_240),
      ".",
      "..",
      "a/../b",
      "a/./b",
      "/a",
      "a/",
      "a//b",
      "/",
      "\ud800",
      "a\udc00b",
    ]) {
      expect(nameFault(name), JSON.stringify(name)).toBeTypeOf("string");
      expect(accepts(fileName, name)).toBe(false);
    }
    for (const value of [5, null, undefined, {}, ["a"]]) expect(accepts(fileName, value)).toBe(false);
  });

  it("I11: whatever is accepted fits, is printable, and stays below its folder", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyText({ maxLength: 30 }), fc.constantFrom("/", ".", "..", "\r\n", "a", "é")), {
          maxLength: 40,
        }),
        (pieces) => {
          const name = pieces.join("");
          if (nameFault(name) !== undefined) return true;
          const segments = name.split("/");
          return (
            Buffer.byteLength(name) <= NAME_BYTES_MAX &&
            !CONTROL_CHARACTERS.test(name) &&
            name.isWellFormed() &&
            segments.every((segment) => !["", ".", ".."].includes(segment))
          );
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("labels", () => {
  it("have the sizes of the streaming server document, in bytes", () => {
    expect(accepts(app, "x".repeat(16))).toBe(true);
    expect(accepts(app, "x".repeat(17))).toBe(false);
    expect(accepts(user, "x".repeat(256))).toBe(true);
    expect(accepts(user, "é".repeat(129))).toBe(false);
  });

  it("forge no log lines", () => {
    for (const bad of ["", "a\nb", "a\u001b[2J", "\0", "\ud800"]) expect(accepts(user, bad), JSON.stringify(bad)).toBe(false);
  });
});

describe("content types", () => {
  it("are media types, with parameters", () => {
    for (const good of ["video/mp4", "application/vnd.api+json", "text/plain; charset=utf-8", 'text/plain;charset="utf-8"; format=flowed'])
      expect(accepts(contentType, good), good).toBe(true);
  });

  it("I10: inject nothing into a header", () => {
    for (const bad of [
      "",
      "video",
      "video/",
      "/mp4",
      "text/html\r\nX: y",
      'text/html;a="\r\n"',
      "text/html;",
      "text /html",
      `text/${"x".repeat(300)}`,
    ])
      expect(accepts(contentType, bad), JSON.stringify(bad)).toBe(false);
  });

  it("a very long one is answered in no time", () => {
    expect(accepts(contentType, `text/plain${"; a=b".repeat(20_000)};`)).toBe(false);
    expect(accepts(contentType, `text/plain${" ".repeat(200)}`)).toBe(false);
  }, 2000);
});

describe("keys and numbers", () => {
  it("idempotency keys are visible ASCII of at most 128 characters", () => {
    expect(accepts(idempotencyKey, "a-Key:1")).toBe(true);
    for (const bad of ["", "a b", "é", "x".repeat(129), "a\n"]) expect(accepts(idempotencyKey, bad)).toBe(false);
  });

  it("I1: sizes are whole numbers up to the largest file", () => {
    expect(accepts(fileBytes, 0)).toBe(true);
    expect(accepts(fileBytes, FILE_BYTES_LIMIT)).toBe(true);
    for (const bad of [-1, 1.5, FILE_BYTES_LIMIT + 1, 2 ** 63, Number.NaN, Number.POSITIVE_INFINITY, "5", 5n])
      expect(accepts(fileBytes, bad)).toBe(false);
    expect(accepts(blobId, BLOB_ID_LIMIT - 1)).toBe(true);
    expect(accepts(blobId, BLOB_ID_LIMIT)).toBe(false);
  });

  it("pages have 100 items unless asked, and never more than 1000", () => {
    expect(limit.parse(undefined)).toBe(100);
    expect(accepts(limit, 1000)).toBe(true);
    for (const bad of [0, -1, 1001, 1.5, "10"]) expect(accepts(limit, bad)).toBe(false);
    expect(accepts(cursor, "x".repeat(513))).toBe(false);
  });

  it("file IDs and file digests have their forms", () => {
    expect(accepts(fileId, "6640c41807ffea386043bad2c6ee25000197")).toBe(true);
    expect(accepts(fileId, "6640c41807ffea386043bad2c6ee2500019x")).toBe(false);
    expect(accepts(fileDigests, { blake3: "ab".repeat(32) })).toBe(true);
    expect(accepts(fileDigests, { sha256: "ab".repeat(32) })).toBe(false);
    expect(accepts(fileDigests, { blake3: "AB".repeat(32) })).toBe(false);
  });
});

describe("upload states", () => {
  it("are the words users know, four of them ends", () => {
    expect(UPLOAD_STATES).toEqual([
      "init",
      "receiving",
      "verifying",
      "replicating",
      "committing",
      "merged",
      "cancelled",
      "expired",
      "failed",
    ]);
    expect(UPLOAD_STATES.filter(isEnded)).toEqual([...ENDED_STATES]);
  });
});
