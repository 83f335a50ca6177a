import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { pauseMs, withRetry } from "../../src/core/retry.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

const POLICY = { attemptsMax: 4, pauseMinMs: 100, pauseMaxMs: 1000 };

const ports = () => ({ clock: new VirtualClock(), random: new SeededRandom(1) });

describe("pauses between attempts", () => {
  it("double up to their bound, and half of each is random", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5000 }), fc.integer(), (attempt, seed) => {
        const pause = pauseMs(POLICY, attempt, new SeededRandom(seed));
        const full = Math.min(1000, 100 * 2 ** Math.min(30, attempt - 2));
        return pause >= full / 2 && pause <= full;
      }),
    );
    const pauses = new Set(Array.from({ length: 50 }, (_, seed) => pauseMs(POLICY, 2, new SeededRandom(seed))));
    expect(pauses.size).toBeGreaterThan(10);
  });
});

describe("withRetry", () => {
  it("gives the first success, and counts attempts from 1", async () => {
    const { clock, random } = ports();
    const attempts: number[] = [];
    const result = withRetry(POLICY, { clock, random }, async (attempt) => {
      attempts.push(attempt);
      if (attempt < 3) throw new TroupeError("UNAVAILABLE");
      return "done";
    });
    await clock.advance(5000);
    expect(await result).toBe("done");
    expect(attempts).toEqual([1, 2, 3]);
    expect(clock.timerCount).toBe(0);
  });

  it("F10: waits between attempts, and gives up after the last with the last error", async () => {
    const { clock, random } = ports();
    const startedMs: number[] = [];
    const outcome = withRetry(POLICY, { clock, random }, async (attempt) => {
      startedMs.push(clock.nowMs());
      throw new TroupeError("UNAVAILABLE", `attempt ${attempt}`);
    }).catch((error: unknown) => error);
    await clock.advance(60_000);
    expect(await outcome).toMatchObject({ code: "UNAVAILABLE", detail: "attempt 4" });
    expect(startedMs.length).toBe(4);
    const gaps = startedMs.slice(1).map((at, index) => at - (startedMs[index] ?? 0));
    expect(gaps[0]).toBeGreaterThanOrEqual(50);
    expect(gaps[0]).toBeLessThanOrEqual(100);
    expect(gaps[2]).toBeGreaterThanOrEqual(200);
    expect(gaps[2]).toBeLessThanOrEqual(400);
  });

  it("does not repeat what cannot succeed, unless told which errors to repeat", async () => {
    const { clock, random } = ports();
    let calls = 0;
    const work = async (): Promise<never> => {
      calls += 1;
      throw new TroupeError("FORBIDDEN");
    };
    await expect(withRetry(POLICY, { clock, random }, work)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(calls).toBe(1);
    const told = withRetry(POLICY, { clock, random }, work, () => true).catch((error: unknown) => error);
    await clock.advance(5000);
    expect(await told).toMatchObject({ code: "FORBIDDEN" });
    expect(calls).toBe(5);
  });

  it("an abort ends the pause at once and leaves no timer", async () => {
    const { clock, random } = ports();
    const abort = new AbortController();
    let calls = 0;
    const outcome = withRetry(
      POLICY,
      { clock, random },
      async () => {
        calls += 1;
        throw new TroupeError("UNAVAILABLE");
      },
      undefined,
      abort.signal,
    ).catch((error: unknown) => error);
    await settle(2);
    expect(clock.timerCount).toBe(1);
    const reason = new TroupeError("STOPPING");
    abort.abort(reason);
    expect(await outcome).toBe(reason);
    expect(clock.timerCount).toBe(0);
    expect(calls).toBe(1);
  });
});
