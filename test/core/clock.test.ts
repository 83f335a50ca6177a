import { describe, expect, it } from "vitest";
import { sleep } from "../../src/core/ports/clock.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

describe("sleep", () => {
  it("ends after its time and not before", async () => {
    const clock = new VirtualClock();
    let awake = false;
    void sleep(clock, 100).then(() => (awake = true));
    await clock.advance(99);
    expect(awake).toBe(false);
    await clock.advance(1);
    expect(awake).toBe(true);
  });

  it("rejects with the signal's reason, and cancels its timer", async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    const outcome = sleep(clock, 100, abort.signal).catch((error: unknown) => error);
    abort.abort("enough");
    expect(await outcome).toBe("enough");
    expect(clock.timerCount).toBe(0);
    await expect(sleep(clock, 100, abort.signal)).rejects.toBe("enough");
    expect(clock.timerCount).toBe(0);
  });

  it("an abort after its end changes nothing", async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    const slept = sleep(clock, 10, abort.signal);
    await clock.advance(10);
    abort.abort();
    await slept;
  });
});

describe("VirtualClock", () => {
  it("runs timers in order of time, then of setting, also those set by timers", async () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    clock.setTimer(20, () => order.push("20"));
    clock.setTimer(10, () => {
      order.push("10");
      clock.setTimer(5, () => order.push("15"));
      clock.setTimer(1000, () => order.push("never"));
    });
    clock.setTimer(10, () => order.push("10 again"));
    await clock.advance(50);
    expect(order).toEqual(["10", "10 again", "15", "20"]);
    expect(clock.timerCount).toBe(1);
  });

  it("F9: the wall clock jumps without moving monotonic time or timers", async () => {
    const clock = new VirtualClock(1_000_000);
    const ran: string[] = [];
    clock.setTimer(100, () => ran.push("timer"));
    const nowMs = clock.nowMs();
    clock.jumpWall(3_600_000);
    expect(clock.nowMs()).toBe(nowMs);
    expect(clock.wallMs()).toBe(4_600_000);
    await settle(2);
    expect(ran).toEqual([]);
    await clock.advance(100);
    expect(ran).toEqual(["timer"]);
  });
});
