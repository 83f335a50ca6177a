/** How often somebody may do something: so many times in a window that begins with the first. */
import type { LRUCache } from "lru-cache";
import { TroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import { remembered } from "./remembered.ts";

export interface RateLimitOptions {
  readonly countMax: number;
  readonly windowMs: number;
  /** A sentence for whoever is refused. */
  readonly why: string;
}

export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #clock: Clock;
  readonly #windows: LRUCache<string, { count: number; readonly untilMs: number }>;

  constructor(clock: Clock, options: RateLimitOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#windows = remembered(clock, options.windowMs);
  }

  /** @throws {TroupeError} `TOO_MANY` with `retryAfterMs` */
  take(who: string): void {
    const { countMax, windowMs, why } = this.#options;
    const nowMs = this.#clock.nowMs();
    const known = this.#windows.get(who);
    if (known === undefined) this.#windows.set(who, { count: 1, untilMs: nowMs + windowMs });
    else if (known.count < countMax) known.count += 1;
    else throw new TroupeError("TOO_MANY", why, { facts: { retryAfterMs: Math.max(0, known.untilMs - nowMs) } });
  }
}
