/** How long nothing has come for an upload, by the monotonic clock. */
import type { Clock, Timer } from "../../core/ports/clock.ts";

/** Idle for this long, a session gives its descriptors back. */
const REST_AFTER_MS = 30_000;
/** Past its time, an upload may still be waiting for a body to end: it is looked at again, not at once. */
const AGAIN_AFTER_MS = 1_000;

export class IdleWatch {
  readonly #clock: Clock;
  readonly #expireAfterMs: number;
  readonly #onIdle: () => void;
  #activeMs: number;
  #timer: Timer | undefined;

  /** @param onIdle it is time to look at {@link isResting} and {@link isExpired}; {@link watch} again after that */
  constructor(clock: Clock, expireAfterMs: number, onIdle: () => void) {
    this.#clock = clock;
    this.#expireAfterMs = expireAfterMs;
    this.#onIdle = onIdle;
    this.#activeMs = clock.nowMs();
  }

  get isResting(): boolean {
    return this.#idleMs() >= REST_AFTER_MS;
  }

  get isExpired(): boolean {
    return this.#idleMs() >= this.#expireAfterMs;
  }

  touch(): void {
    this.#activeMs = this.#clock.nowMs();
  }

  watch(): void {
    const untilRestMs = REST_AFTER_MS - this.#idleMs();
    const untilExpiryMs = this.#expireAfterMs - this.#idleMs();
    const waitMs = untilRestMs > 0 ? Math.min(untilRestMs, untilExpiryMs) : untilExpiryMs;
    this.#timer = this.#clock.setTimer(Math.max(AGAIN_AFTER_MS, waitMs), this.#onIdle);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #idleMs(): number {
    return this.#clock.nowMs() - this.#activeMs;
  }
}
