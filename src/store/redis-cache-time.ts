/**
 * How far the clock of a server of somebody else's may be believed. It is a wall clock: it can be set back, and after a failover it is
 * another machine's. Then what was written before seems to be from the future, and later to be fresh.
 *
 * T1: once the server's time was seen to be earlier than it must be, only what was written after the latest time it can have shown
 *     before is believed. Until the server's clock has come so far again, that is nothing.
 *
 * Our own monotonic clock tells how late it must be there. Clocks run differently fast, a thousandth at most.
 */
import { CACHE_CLOCK_SLACK_MS } from "../core/limits.ts";

const DRIFT = 1 / 1000;

interface Observation {
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly serverMs: number;
}

export class ServerTime {
  #last: Observation | undefined;
  #believedAfterMs = Number.NEGATIVE_INFINITY;

  /**
   * The server's clock showed `serverMs` at some moment between the two of ours.
   * @returns whether it was found set back
   */
  observe(sentMs: number, answeredMs: number, serverMs: number): boolean {
    const last = this.#last;
    this.#last = { sentMs, answeredMs, serverMs };
    if (last === undefined) return false;
    // Questions overlap: this one may have been asked before the last one was answered.
    const passedMsMin = Math.max(0, sentMs - last.answeredMs);
    const passedMsMax = answeredMs - last.sentMs;
    const isSetBack = serverMs < last.serverMs + passedMsMin * (1 - DRIFT) - CACHE_CLOCK_SLACK_MS;
    if (isSetBack) this.#believedAfterMs = Math.max(this.#believedAfterMs, last.serverMs + passedMsMax * (1 + DRIFT));
    return isSetBack;
  }

  isBelieved(serverMs: number): boolean {
    return serverMs > this.#believedAfterMs;
  }
}
