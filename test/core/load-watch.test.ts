import { describe, expect, test } from "vitest";
import type { TroupeError } from "../../src/core/errors.ts";
import { DESCRIPTORS_COUNTED_MS, DESCRIPTORS_FREE_MIN, LOAD_CALM_MS, LOAD_CHECK_MS } from "../../src/core/limits.ts";
import { LoadWatch } from "../../src/core/load-watch.ts";
import { recordingLog } from "../gateway/rig.ts";
import { StallingClock } from "../support/stalling-clock.ts";

const OPEN_MAX = 1_000;
const STALL_MS_MAX = 1_000;
const CALM_MS_MAX = STALL_MS_MAX / 4;
const FEW = OPEN_MAX / 8;

function rig({ mostOpen = OPEN_MAX, stallMsMax = STALL_MS_MAX } = {}) {
  const clock = new StallingClock();
  const lines: string[] = [];
  const process: { openCount: number; openMax: number | undefined; countedTimes: number } = {
    openCount: 50,
    openMax: mostOpen,
    countedTimes: 0,
  };
  const descriptors = {
    counts: () => {
      process.countedTimes += 1;
      return process.openMax === undefined ? undefined : { openCount: process.openCount, openMax: process.openMax };
    },
  };
  const load = new LoadWatch({ clock, log: recordingLog(lines), descriptors }, stallMsMax);
  load.start();
  const takesNew = (): boolean => {
    try {
      load.mustTakeNew();
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: "OVERLOADED", status: 503, facts: { retryAfterMs: expect.any(Number) } });
      return false;
    }
  };
  return { clock, lines, process, load, takesNew };
}

/** For how long whoever is refused now is to wait. */
function toldWaitMs(load: LoadWatch): number {
  try {
    load.mustTakeNew();
  } catch (error) {
    return (error as TroupeError).facts["retryAfterMs"] as number;
  }
  return 0;
}

describe("F28: an event loop that stands still", () => {
  test.each([0, 30, LOAD_CHECK_MS, LOAD_CALM_MS / 2, LOAD_CALM_MS])(
    "whoever is refused %i ms after it went on, and comes back when it was told to, is taken, and was not told to wait much longer than that",
    async (afterMs) => {
      const { clock, load, takesNew } = rig();
      await clock.advance(LOAD_CHECK_MS);
      clock.stall(STALL_MS_MAX + 1);
      await clock.advance(LOAD_CHECK_MS + afterMs);
      const waitMs = toldWaitMs(load);
      expect(waitMs).toBeGreaterThan(0);
      const earlyMs = Math.min(waitMs, 2 * LOAD_CHECK_MS);
      await clock.advance(waitMs - earlyMs);
      expect(takesNew()).toBe(false);
      await clock.advance(earlyMs);
      expect(takesNew()).toBe(true);
    },
  );

  test.each([400, STALL_MS_MAX])(
    "for more than %i ms, where that is set, sheds new work from the first look on until it was calm for a while",
    async (stallMsMax) => {
      const { clock, takesNew, lines } = rig({ stallMsMax });
      await clock.advance(10 * LOAD_CHECK_MS);
      expect(takesNew()).toBe(true);
      clock.stall(stallMsMax + 1);
      await clock.advance(LOAD_CHECK_MS);
      expect(takesNew()).toBe(false);
      await clock.advance(LOAD_CALM_MS - LOAD_CHECK_MS);
      expect(takesNew()).toBe(false);
      await clock.advance(2 * LOAD_CHECK_MS);
      expect(takesNew()).toBe(true);
      expect(lines).toHaveLength(2);
      expect(lines[0]).toContain(`the event loop stood still for ${stallMsMax + 1} ms`);
      expect(lines[1]).toMatch(/begins new work again.*"refusedCount":2/);
    },
  );

  test("for a moment is nothing", async () => {
    const { clock, takesNew, lines } = rig();
    for (let times = 0; times < 20; times += 1) {
      clock.stall(STALL_MS_MAX);
      await clock.advance(LOAD_CHECK_MS);
      expect(takesNew()).toBe(true);
    }
    expect(lines).toEqual([]);
  });

  test("again and again, also for less, keeps new work away, and is logged once", async () => {
    const { clock, takesNew, lines } = rig();
    clock.stall(2 * STALL_MS_MAX);
    await clock.advance(LOAD_CHECK_MS);
    for (let times = 0; times < 10; times += 1) {
      await clock.advance(LOAD_CALM_MS - 2 * LOAD_CHECK_MS);
      clock.stall(CALM_MS_MAX + 1);
      await clock.advance(LOAD_CHECK_MS);
      expect(takesNew()).toBe(false);
    }
    expect(lines).toHaveLength(1);
    await clock.advance(LOAD_CALM_MS + LOAD_CHECK_MS);
    expect(takesNew()).toBe(true);
  });

  test("is no reason, however long, where it is not to be one; few descriptors are", async () => {
    const { clock, process, takesNew, lines } = rig({ stallMsMax: 0 });
    clock.stall(3_600_000);
    await clock.advance(LOAD_CHECK_MS);
    expect([takesNew(), lines]).toEqual([true, []]);
    process.openCount = OPEN_MAX;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect(takesNew()).toBe(false);
    process.openCount = 0;
    for (let looks = 0; looks <= LOAD_CALM_MS / LOAD_CHECK_MS + 1; looks += 1) {
      clock.stall(2 * STALL_MS_MAX);
      await clock.advance(LOAD_CHECK_MS);
    }
    expect(takesNew()).toBe(true);
  });
});

describe("F28: few descriptors", () => {
  test("shed new work until twice as many are free, for a while", async () => {
    const { clock, process, takesNew, lines } = rig();
    process.openCount = OPEN_MAX - FEW;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect(takesNew()).toBe(true);
    process.openCount += 1;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect(takesNew()).toBe(false);
    process.openCount = OPEN_MAX - 2 * FEW + 1;
    await clock.advance(10 * LOAD_CALM_MS);
    expect(takesNew()).toBe(false);
    process.openCount -= 1;
    await clock.advance(DESCRIPTORS_COUNTED_MS + LOAD_CALM_MS + LOAD_CHECK_MS);
    expect(takesNew()).toBe(true);
    expect(lines).toHaveLength(2);
  });

  test("are noticed between two looks when connections take them, and the last half is kept for what is under way", () => {
    const { process, load, takesNew } = rig();
    let stayed = 0;
    const connect = (): boolean => {
      process.openCount += 1;
      const may = load.mayStay();
      if (may) stayed += 1;
      else process.openCount -= 1;
      return may;
    };
    while (load.reason === undefined) connect();
    expect(takesNew()).toBe(false);
    expect(OPEN_MAX - process.openCount).toBe(FEW - 1);
    for (let times = 0; times < OPEN_MAX; times += 1) connect();
    expect(OPEN_MAX - process.openCount).toBe(Math.ceil(FEW / 2));
    expect(stayed).toBe(OPEN_MAX - 50 - Math.ceil(FEW / 2));
  });

  test("are not taken for granted: connections that have gone meanwhile are not counted against new work", () => {
    const { load, takesNew } = rig();
    const stayed = Array.from({ length: 3 * OPEN_MAX }, () => load.mayStay());
    expect([stayed.every(Boolean), takesNew()]).toEqual([true, true]);
  });

  test("are given back at every look by whoever holds some for nothing, until there are enough for new work again", async () => {
    const { clock, process, load, takesNew } = rig();
    let told = 0;
    const end = load.onShortage(() => {
      told += 1;
      process.openCount -= FEW / 5;
    });
    process.openCount = OPEN_MAX - FEW + 1;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect([told, takesNew()]).toEqual([1, false]);
    await clock.advance(LOAD_CALM_MS);
    expect([told, takesNew()]).toEqual([6, false]);
    await clock.advance(LOAD_CALM_MS);
    expect([told, takesNew()]).toEqual([6, true]);
    end();
    process.openCount = OPEN_MAX;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect(told).toBe(6);
  });

  test("are counted rarely while there are many", async () => {
    const { clock, process } = rig();
    await clock.advance(10 * DESCRIPTORS_COUNTED_MS);
    expect(process.countedTimes).toBeLessThanOrEqual(11);
  });

  test("are few at some hundred, however many there may be", async () => {
    const { clock, process, takesNew } = rig({ mostOpen: 1_000_000 });
    process.openCount = 1_000_000 - DESCRIPTORS_FREE_MIN;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect(takesNew()).toBe(true);
  });

  test("are no matter where the system does not tell", async () => {
    const { clock, load, process, takesNew } = rig();
    process.openMax = undefined;
    await clock.advance(DESCRIPTORS_COUNTED_MS);
    expect([load.mayStay(), takesNew()]).toEqual([true, true]);
  });
});

test("a watch that is stopped, or not started, takes everything and keeps no timer", async () => {
  const { clock, load, takesNew } = rig();
  clock.stall(2 * STALL_MS_MAX);
  await clock.advance(LOAD_CHECK_MS);
  expect(load.reason).toBeDefined();
  load.stop();
  expect([clock.timerCount, load.reason, load.mayStay(), takesNew()]).toEqual([0, undefined, true, true]);
});
