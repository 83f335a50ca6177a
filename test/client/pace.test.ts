/** A limit on bytes a second. */
import { describe, expect, it } from "vitest";
import { Pace, paced } from "../../src/client/pace.ts";
import { READ_BLOCK_BYTES } from "../../src/core/limits.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

const RATE = 1_000_000;

async function* blocksOf(count: number, blockBytes = READ_BLOCK_BYTES): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield new Uint8Array(blockBytes);
}

/** Takes blocks as fast as they come, and counts. */
function drain(pace: Pace, count: number, signal?: AbortSignal) {
  const taken = { bytes: 0, largest: 0, error: undefined as unknown };
  const work = (async () => {
    for await (const { length } of paced(blocksOf(count), pace, signal)) {
      taken.bytes += length;
      taken.largest = Math.max(taken.largest, length);
    }
  })();
  work.catch((error: unknown) => {
    taken.error = error;
  });
  return taken;
}

describe("a pace", () => {
  it.each([1, 4])("holds over all of %i lanes that share it", async (lanes) => {
    const clock = new VirtualClock();
    const pace = new Pace(clock, RATE);
    const taken = Array.from({ length: lanes }, () => drain(pace, 100));
    const sum = (): number => taken.reduce((bytes, each) => bytes + each.bytes, 0);
    for (let second = 1; second <= 10; second += 1) {
      await clock.advance(1_000);
      // P1: never ahead by more than a block, nor behind by more than one.
      expect(Math.abs(sum() - second * RATE)).toBeLessThanOrEqual(READ_BLOCK_BYTES);
    }
    expect(Math.max(...taken.map(({ bytes }) => bytes)) - Math.min(...taken.map(({ bytes }) => bytes))).toBeLessThanOrEqual(
      READ_BLOCK_BYTES,
    );
  });

  it("makes nothing up after a rest", async () => {
    const clock = new VirtualClock();
    const pace = new Pace(clock, RATE);
    await clock.advance(60_000);
    const taken = drain(pace, 100);
    await settle();
    expect(taken.bytes).toBeLessThanOrEqual(READ_BLOCK_BYTES);
    await clock.advance(1_000);
    expect(taken.bytes).toBeLessThanOrEqual(RATE + READ_BLOCK_BYTES);
  });

  it("moves several times a second, however slow it is", async () => {
    const clock = new VirtualClock();
    const taken = drain(new Pace(clock, 8_000), 1);
    let before = 0;
    for (let quarter = 0; quarter < 8; quarter += 1) {
      await clock.advance(250);
      expect(taken.bytes).toBeGreaterThan(before);
      before = taken.bytes;
    }
    expect(taken.largest).toBeLessThanOrEqual(1_000);
  });

  it("is left at once upon the signal, and keeps no timer", async () => {
    const clock = new VirtualClock();
    const controller = new AbortController();
    const taken = drain(new Pace(clock, 1_000), 1, controller.signal);
    await clock.advance(1_000);
    controller.abort();
    await settle();
    expect(taken.error).toMatchObject({ code: "CANCELLED" });
    expect(clock.timerCount).toBe(0);
  });

  it("none passes blocks as they are", async () => {
    const lengths: number[] = [];
    for await (const { length } of paced(blocksOf(2, 7), undefined, undefined)) lengths.push(length);
    expect(lengths).toEqual([7, 7]);
  });
});
