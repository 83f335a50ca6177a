import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FileIdMaker, formatFileId, isFileId } from "../../src/core/file-id.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const parts = fc.record({
  seconds: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  microseconds: fc.integer({ min: 0, max: 999_999 }),
  maker: fc.string(),
  counter: fc.nat(),
  random: fc.nat(),
});

describe("a file ID", () => {
  it("of the streaming server document is accepted", () => {
    expect(isFileId("6640c41807ffea386043bad2c6ee25000197")).toBe(true);
  });

  it("has 36 characters, whatever its parts", () => {
    fc.assert(fc.property(parts, (each) => isFileId(formatFileId(each)) && formatFileId(each).length === 36));
  });

  it("begins with its time and ends with its counter and random digits", () => {
    const id = formatFileId({ seconds: 0x6640c418, microseconds: 0x07ffea, maker: "n1", counter: 2500, random: 97 });
    expect(id.slice(0, 14)).toBe("6640c41807ffea");
    expect(id.slice(30)).toBe("250097");
  });

  it("sorts by time of making", () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const earlier = a.seconds < b.seconds || (a.seconds === b.seconds && a.microseconds < b.microseconds);
        return !earlier || formatFileId(a) < formatFileId(b);
      }),
    );
  });

  it("made later sorts later, across seconds and milliseconds", async () => {
    const clock = new VirtualClock();
    const maker = new FileIdMaker(clock, new SeededRandom(1), "n1");
    let previous = maker.next("user");
    for (const pauseMs of [1, 7, 993, 1000, 3_600_000]) {
      await clock.advance(pauseMs);
      const next = maker.next("user");
      expect(next > previous).toBe(true);
      previous = next;
    }
  });

  it("is refused in any other form", () => {
    const id = "6640c41807ffea386043bad2c6ee25000197";
    const others = [
      "",
      id.slice(1),
      `${id}0`,
      id.toUpperCase(),
      `${id.slice(0, 35)}a`,
      `${id}\n`,
      `../${id.slice(3)}`,
      ` ${id.slice(1)}`,
      5,
      undefined,
      null,
      {},
    ];
    for (const other of others) expect(isFileId(other)).toBe(false);
  });
});

describe("file ID makers", () => {
  it("never make the same ID, many makers of one name at one instant included", () => {
    const clock = new VirtualClock();
    const seen = new Set<string>();
    const makers = Array.from({ length: 50 }, (_, seed) => new FileIdMaker(clock, new SeededRandom(seed), "same-name"));
    for (let round = 0; round < 400; round += 1) for (const maker of makers) seen.add(maker.next("user"));
    expect(seen.size).toBe(50 * 400);
    for (const id of seen) expect(isFileId(id)).toBe(true);
  });

  it("go on without a repeat when the counter comes round within one instant", () => {
    const maker = new FileIdMaker(new VirtualClock(), new SeededRandom(9), "n1");
    const seen = new Set(Array.from({ length: 25_000 }, () => maker.next("user")));
    expect(seen.size).toBe(25_000);
  });

  it("F9: go on without a repeat when the wall clock is set back", () => {
    const clock = new VirtualClock();
    const maker = new FileIdMaker(clock, new SeededRandom(9), "n1");
    const seen = new Set<string>();
    for (let round = 0; round < 100; round += 1) {
      seen.add(maker.next("user"));
      clock.jumpWall(round % 2 === 0 ? -3_600_000 : 3_600_000);
    }
    expect(seen.size).toBe(100);
  });
});
