/** The Clock port over the operating system: `performance.now` for durations, `Date.now` to be shown, timers of the event loop. */
import type { Clock, Timer } from "../core/ports/clock.ts";

/** Node fires a longer timer at once, with only a warning. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const wantedMs = Number.isNaN(delayMs) ? 0 : Math.max(0, delayMs);
    const dueMs = this.nowMs() + wantedMs;
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const remainingMs = dueMs - this.nowMs();
      // The event loop counts whole milliseconds, so a timer may fire a fraction of one early; nobody is called before time.
      if (remainingMs <= 0) return callback();
      handle = setTimeout(arm, Math.min(DELAY_MS_MAX, Math.ceil(remainingMs))).unref();
    };
    handle = setTimeout(arm, Math.min(DELAY_MS_MAX, Math.ceil(wantedMs))).unref();
    return { cancel: () => clearTimeout(handle) };
  }
}
