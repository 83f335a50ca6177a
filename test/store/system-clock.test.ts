import { describe, expect, it, vi } from "vitest";
import { SystemClock } from "../../src/store/system-clock.ts";

describe("SystemClock", () => {
  it("monotonic time never goes back, and wall time is the machine's", () => {
    const clock = new SystemClock();
    let previousMs = clock.nowMs();
    for (let round = 0; round < 1000; round += 1) {
      const nowMs = clock.nowMs();
      expect(nowMs).toBeGreaterThanOrEqual(previousMs);
      previousMs = nowMs;
    }
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1000);
  });

  it("a timer runs once, and never before its time", async () => {
    const clock = new SystemClock();
    const startedMs = clock.nowMs();
    // A timer does not keep the process alive; here the test runner's own does.
    await new Promise<void>((resolve) => clock.setTimer(12.5, resolve));
    expect(clock.nowMs() - startedMs).toBeGreaterThanOrEqual(12.5);
  });

  it("a cancelled timer does not run, and cancelling twice or afterwards is harmless", async () => {
    const clock = new SystemClock();
    const ran = vi.fn();
    const timer = clock.setTimer(1, ran);
    timer.cancel();
    timer.cancel();
    const other = await new Promise<{ cancel(): void }>((resolve) => {
      const own = clock.setTimer(5, () => resolve(own));
    });
    other.cancel();
    expect(ran).not.toHaveBeenCalled();
  });

  it("no delay, a negative one and one that is not a number run soon", async () => {
    const clock = new SystemClock();
    for (const delayMs of [0, -5, Number.NaN]) await new Promise<void>((resolve) => clock.setTimer(delayMs, resolve));
  });

  it("a delay beyond 2^31 ms waits its whole time", () => {
    vi.useFakeTimers();
    try {
      const clock = new SystemClock();
      const ran = vi.fn();
      const never = vi.fn();
      const dayMs = 86_400_000;
      clock.setTimer(40 * dayMs, ran);
      const endless = clock.setTimer(Number.POSITIVE_INFINITY, never);
      vi.advanceTimersByTime(39 * dayMs);
      expect(ran).not.toHaveBeenCalled();
      vi.advanceTimersByTime(dayMs);
      expect(ran).toHaveBeenCalledTimes(1);
      vi.advanceTimersByTime(100 * dayMs);
      expect(ran).toHaveBeenCalledTimes(1);
      expect(never).not.toHaveBeenCalled();
      endless.cancel();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
