/** What a file gets from the metadata of its upload, whatever the client calls it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../../src/core/errors.ts";
import { TUS_METADATA_CHARACTERS_MAX } from "../../../src/core/limits.ts";
import { describe as describeUpload, parseMetadata } from "../../../src/gateway/tus/upload-metadata.ts";
import { metadata } from "./rig.ts";

const of = (values: Record<string, string>) => describeUpload(metadata(values));
function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof TroupeError ? error.code : String(error);
  }
}

describe("metadata", () => {
  it("names and types a file in the words that clients use", () => {
    expect(of({ filename: "a/b.mp4", filetype: "video/mp4" })).toMatchObject({ name: "a/b.mp4", contentType: "video/mp4" });
    expect(of({ name: "b.webm", type: "video/webm" })).toMatchObject({ name: "b.webm", contentType: "video/webm" });
    expect(of({ name: "later", filename: "first" }).name).toBe("first");
    expect(of({ filename: "", name: "b" }).name).toBe("b");
    expect(of({ filename: "b.pdf", contentType: "nonsense" }).contentType).toBe("application/pdf");
    expect(of({ filename: "b", "content-type": "image/png" }).contentType).toBe("image/png");
  });

  it("labels a file, and the default is the default", () => {
    expect(of({ filename: "a" })).toMatchObject({ app: "default", user: "default" });
    expect(of({ filename: "a", app: "films", user: "ann" })).toMatchObject({ app: "films", user: "ann" });
    expect(codeOf(() => of({ app: "x".repeat(17) }))).toBe("BAD_REQUEST");
    expect(codeOf(() => of({ user: "a\nb" }))).toBe("BAD_REQUEST");
  });

  it("a file that came without a name has one that its type tells apart", () => {
    expect(describeUpload(undefined)).toMatchObject({ name: "unnamed", contentType: "application/octet-stream" });
    expect(of({ filetype: "video/mp4" })).toMatchObject({ name: "unnamed.mp4", contentType: "video/mp4" });
  });

  it("a name that no file can have is refused as such", () => {
    for (const name of ["..", "/abs", "a//b", "a\u0000b", "x".repeat(256)])
      expect([name, codeOf(() => of({ filename: name }))]).toEqual([name, "BAD_NAME"]);
    expect(codeOf(() => describeUpload("filename /w=="))).toBe("BAD_REQUEST");
  });

  it("a digest is the file's, and one that is none is refused", () => {
    const value = "0".repeat(64);
    expect(of({ filename: "a", digest: `sha256:${value}` }).digest).toEqual({ algorithm: "sha256", value });
    for (const digest of ["sha256:", "sha256", value, `crc32:${value}`, `md5:${value}`])
      expect([digest, codeOf(() => of({ digest }))]).toEqual([digest, "BAD_DIGEST"]);
  });

  it("longer than it may be is 431", () => {
    const field = `a ${"YWFh".repeat(TUS_METADATA_CHARACTERS_MAX / 4)}`;
    expect(codeOf(() => parseMetadata(field))).toBe("HEADERS_TOO_LARGE");
  });

  it("of any pairs is read as they were, and of any text at all ends in pairs or a refusal", () => {
    const key = fc.stringMatching(/^[!-+\--~]{1,20}$/);
    fc.assert(
      fc.property(fc.dictionary(key, fc.string({ unit: "grapheme", maxLength: 30 }), { maxKeys: 8 }), (values) => {
        const read = [...parseMetadata(metadata(values))].map(([name, base64]) => [name, Buffer.from(base64, "base64").toString()]);
        expect(Object.fromEntries(read)).toEqual({ ...values });
      }),
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (field) => ["BAD_REQUEST", undefined].includes(codeOf(() => parseMetadata(field)))),
    );
  });
});
