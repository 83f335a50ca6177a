import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DIGEST_ALGORITHMS, DIGEST_BYTES, isDigestHex, parseContentDigest } from "../../src/core/digest.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { digestClaim } from "../../src/core/shapes.ts";
import { anyText } from "../support/any-text.ts";

const NAMES = { "sha-256": "sha256", "sha-512": "sha512", md5: "md5", blake3: "blake3" } as const;
type Name = keyof typeof NAMES;

const member = fc
  .constantFrom(...(Object.keys(NAMES) as Name[]))
  .chain((name) =>
    fc
      .uint8Array({ minLength: DIGEST_BYTES[NAMES[name]], maxLength: DIGEST_BYTES[NAMES[name]] })
      .map((bytes) => ({ name, bytes: Buffer.from(bytes) })),
  );

describe("digests in hex", () => {
  it("have their algorithm's length and lowercase digits", () => {
    for (const algorithm of DIGEST_ALGORITHMS) {
      const digest = "0a".repeat(DIGEST_BYTES[algorithm]);
      expect(isDigestHex(algorithm, digest)).toBe(true);
      for (const bad of ["", digest.slice(1), `${digest}0`, digest.toUpperCase(), digest.replace("0", "g"), `${digest.slice(1)}\n`])
        expect(isDigestHex(algorithm, bad)).toBe(false);
    }
  });

  it("are claimed in either case and kept in lowercase", () => {
    expect(digestClaim.parse({ algorithm: "sha1", value: "AB".repeat(20) })).toEqual({ algorithm: "sha1", value: "ab".repeat(20) });
    for (const bad of [
      { algorithm: "sha1", value: "ab".repeat(32) },
      { algorithm: "sha512", value: "ab".repeat(64) },
      { algorithm: "crc32", value: "abcd" },
      { algorithm: "md5" },
    ]) {
      expect(digestClaim.safeParse(bad).success).toBe(false);
    }
  });
});

describe("a Content-Digest field", () => {
  it("gives the digests of the algorithms known here", () => {
    const sha256 = createHash("sha256").update("hello").digest();
    const md5 = createHash("md5").update("hello").digest();
    expect(parseContentDigest(`sha-256=:${sha256.toString("base64")}:`)).toEqual([{ algorithm: "sha256", value: sha256.toString("hex") }]);
    expect(
      parseContentDigest(` sha-256=:${sha256.toString("base64")}: , md5=:${md5.toString("base64")}:`).map((each) => each.algorithm),
    ).toEqual(["sha256", "md5"]);
  });

  it("passes over algorithms that are not known here", () => {
    expect(parseContentDigest("unixsum=:AAAA:, crc32c=::")).toEqual([]);
  });

  it("round trip: any list of digests comes back", () => {
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 6 }), (members) => {
        const field = members.map(({ name, bytes }) => `${name}=:${bytes.toString("base64")}:`).join(", ");
        expect(parseContentDigest(field)).toEqual(
          members.map(({ name, bytes }) => ({ algorithm: NAMES[name], value: bytes.toString("hex") })),
        );
      }),
    );
  });

  it("of the wrong length or form is BAD_DIGEST", () => {
    const digest = Buffer.alloc(32).toString("base64");
    for (const field of [
      "",
      ",",
      "sha-256",
      "sha-256=",
      "sha-256=::",
      `sha-256=${digest}`,
      `sha-256=:${digest}`,
      `sha-256=:${digest}:;q=1`,
      `sha-256=:${digest.slice(4)}:`,
      `md5=:${digest}:`,
      `SHA-256=:${digest}:`,
      `sha-256=:${digest}:,`,
      `sha-256=:${digest}:\0`,
    ]) {
      expect(() => parseContentDigest(field), JSON.stringify(field)).toThrow(expect.objectContaining({ code: "BAD_DIGEST" }));
    }
  });

  it("fuzz: whatever is sent, the answer is digests of the right form or BAD_DIGEST", () => {
    const pieces = fc.array(
      fc.oneof(anyText({ maxLength: 20 }), fc.constantFrom("sha-256", "md5", "=", ":", ",", " ", "AAAA", "==", "AAAAAAAAAAAAAAAAAAAAAA==")),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(pieces, (texts) => {
        try {
          return parseContentDigest(texts.join("")).every(({ algorithm, value }) => isDigestHex(algorithm, value));
        } catch (error) {
          return error instanceof TroupeError && error.code === "BAD_DIGEST";
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("a very long field is answered in no time", () => {
    for (const field of [
      "a".repeat(500_000),
      `${" ".repeat(500_000)}x`,
      `a=:${"A".repeat(500_000)}`,
      ",".repeat(100_000),
      `a=:AAAA:${" ".repeat(500_000)}x`,
    ]) {
      expect(() => parseContentDigest(field)).toThrow(expect.objectContaining({ code: "BAD_DIGEST" }));
    }
  }, 2000);
});
