/** A Clock on which pauses pass at once, and are written down. A time as long as the client's patience with a silent server never passes. */
import { CLIENT_SILENCE_MS_MAX } from "../../src/core/limits.ts";
import type { Clock, Timer } from "../../src/core/ports/clock.ts";

export class QuickClock implements Clock {
  readonly pausesMs: number[] = [];
  #nowMs = 1_000;

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Date.UTC(2026, 0, 1) + this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    if (delayMs >= CLIENT_SILENCE_MS_MAX) return { cancel() {} };
    const handle = setImmediate(() => {
      this.pausesMs.push(delayMs);
      this.#nowMs += delayMs;
      callback();
    });
    return { cancel: () => clearImmediate(handle) };
  }
}
