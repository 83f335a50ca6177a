import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { actorSubject, defineContract, eventSubject } from "../../src/bus/contract.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { checkIdentity, isIdentity } from "../../src/core/identity.ts";
import { randomIdentity } from "../../src/core/ports/random.ts";
import { identity } from "../../src/core/shapes.ts";
import { anyText } from "../support/any-text.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const BAD = [
  "*",
  ">",
  "a.b",
  "..",
  ".",
  "",
  " ",
  "a b",
  "a\n",
  "\n",
  "a\0",
  "é",
  "a/b",
  "a\\b",
  "%2e",
  "$SYS",
  "x".repeat(65),
  "x".repeat(4096),
  5,
  null,
  undefined,
  {},
  ["a"],
];

describe("identities", () => {
  it("are 1 to 64 letters, digits, '-' and '_'", () => {
    for (const good of ["a", "node-1", "A_b-9", "-", "_", "x".repeat(64), "0"]) {
      expect(isIdentity(good)).toBe(true);
      expect(checkIdentity(good, "a node")).toBe(good);
      expect(identity.parse(good)).toBe(good);
    }
  });

  it("I16: anything else is refused, before a subject is built", () => {
    const contract = defineContract({ name: "sample", doc: "", subject: "troupe.v1.sample.{id}", requests: {} });
    for (const bad of BAD) {
      expect(isIdentity(bad)).toBe(false);
      expect(identity.safeParse(bad).success).toBe(false);
      expect(() => checkIdentity(bad, "a node")).toThrow(expect.objectContaining({ code: "BAD_IDENTITY" }));
      expect(() => actorSubject(contract, { id: bad as string })).toThrow(expect.objectContaining({ code: "BAD_IDENTITY" }));
      expect(() => eventSubject("upload", bad as string, "merged")).toThrow(expect.objectContaining({ code: "BAD_IDENTITY" }));
    }
  });

  it("I16: a refusal never repeats a long value", () => {
    const error = ((): unknown => {
      try {
        return checkIdentity("*".repeat(4096), "a node");
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(TroupeError);
    expect((error as TroupeError).message.length).toBeLessThan(200);
  });

  it("I16: whatever is accepted has no character with a meaning in a subject, a path or a URL", () => {
    fc.assert(
      fc.property(anyText({ maxLength: 80 }), (text) => !isIdentity(text) || (encodeURIComponent(text) === text && !/[.*>/\s]/.test(text))),
    );
  });

  it("made at random are identities that do not read like a flag", () => {
    const random = new SeededRandom(3);
    for (let round = 0; round < 2000; round += 1) {
      const made = randomIdentity(random);
      expect(isIdentity(made)).toBe(true);
      expect(made.length).toBe(22);
      expect(made.startsWith("-")).toBe(false);
    }
    expect(randomIdentity(random, 8).length).toBe(8);
  });
});
