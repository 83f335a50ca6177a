import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isIdentity } from "../../src/core/identity.ts";
import { randomIdentity } from "../../src/core/ports/random.ts";
import { SystemRandom } from "../../src/store/system-random.ts";

describe("SystemRandom", () => {
  it("gives as many bytes as asked, in memory of their own", () => {
    const random = new SystemRandom();
    for (const count of [0, 1, 16, 255, 256, 257, 5000]) {
      const bytes = random.bytes(count);
      expect(bytes.length).toBe(count);
      expect(bytes.buffer.byteLength).toBe(count);
    }
  });

  it("never repeats a request's bytes", () => {
    const random = new SystemRandom();
    const seen = new Set(Array.from({ length: 20_000 }, () => Buffer.from(random.bytes(16)).toString("hex")));
    expect(seen.size).toBe(20_000);
  });

  it("every value of a byte comes up about equally often", () => {
    const random = new SystemRandom();
    const counts = new Array<number>(256).fill(0);
    for (let round = 0; round < 20_000; round += 1) for (const byte of random.bytes(13)) counts[byte] = (counts[byte] ?? 0) + 1;
    // 260,000 bytes, 1016 expected of each; ten standard deviations are about 320.
    for (const count of counts) expect(Math.abs(count - 1016)).toBeLessThan(320);
  });

  it("integers are below their limit, whatever the limit", () => {
    const random = new SystemRandom();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (limit) => {
        const value = random.integer(limit);
        return Number.isInteger(value) && value >= 0 && value < limit;
      }),
    );
    expect(random.integer(1)).toBe(0);
    expect(random.integer(2 ** 31)).toBeLessThan(2 ** 31);
  });

  it("integers do not favour small numbers", () => {
    const random = new SystemRandom();
    // 2^32 is two and a half times this: with a plain remainder, six of ten numbers would be in the lower half.
    const limit = 1_717_986_918;
    let low = 0;
    const rounds = 30_000;
    for (let round = 0; round < rounds; round += 1) if (random.integer(limit) < limit / 2) low += 1;
    expect(Math.abs(low - rounds / 2)).toBeLessThan(900);
    const counts = [0, 0, 0];
    for (let round = 0; round < rounds; round += 1) {
      const value = random.integer(3);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - rounds / 3)).toBeLessThan(800);
  });

  it("refuses a limit or a count that is none", () => {
    const random = new SystemRandom();
    for (const limit of [0, -1, 1.5, Number.NaN, 2 ** 31 + 1]) expect(() => random.integer(limit)).toThrow();
    for (const count of [-1, 1.5, Number.NaN]) expect(() => random.bytes(count)).toThrow();
  });

  it("makes identities that are identities", () => {
    const random = new SystemRandom();
    for (let round = 0; round < 2000; round += 1) expect(isIdentity(randomIdentity(random))).toBe(true);
  });
});
