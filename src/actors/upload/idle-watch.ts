/**
 * How long nothing has come for an upload, by the monotonic clock alone: a wall clock that jumps changes nothing.
 *
 * W1: it goes on over restarts from what the journal has recorded, at most a 24th of the time to expiry back. What comes and leaves no trace
 *     there is recorded at once, when the journal has any idle time: no upload expires the earlier for it. While its process is away an
 *     upload's time stands still: nobody could have sent it anything.
 */
import type { Clock, Timer } from "../../core/ports/clock.ts";

/** Idle for this long, a session gives its descriptors back. */
const REST_AFTER_MS = 30_000;
/** Past its time, what is to be done may still wait for a body to end: it is looked at again, not at once. */
const AGAIN_AFTER_MS = 1_000;
const RECORDS_UNTIL_EXPIRY = 24;
/** What is shown does not wander with the two clocks' last milliseconds. */
const SHOWN_STEADY_MS = 1_000;

/** For the journal. */
export interface IdleRecord {
  readonly idleMs: number;
  /** What it says so far. */
  readonly beforeMs: number;
}

export class IdleWatch {
  readonly #clock: Clock;
  readonly #expireAfterMs: number;
  readonly #onIdle: () => void;
  #activeMs: number;
  /** How long it was idle, as the journal has it. */
  #recordedMs: number;
  #shownMs = 0;
  /** It is to be looked at already, whenever its timer ends. */
  #isLookDue = false;
  #timer: Timer | undefined;

  /**
   * @param recordedMs idle time from before a restart
   * @param onIdle it is time to look at {@link isResting}, {@link isExpired} and {@link takeRecord}; {@link watch} again after that
   */
  constructor(clock: Clock, expireAfterMs: number, recordedMs: number, onIdle: () => void) {
    this.#clock = clock;
    this.#expireAfterMs = expireAfterMs;
    this.#onIdle = onIdle;
    this.#recordedMs = recordedMs;
    this.#activeMs = clock.nowMs() - recordedMs;
  }

  /** Whole milliseconds. */
  get idleMs(): number {
    return Math.max(0, Math.floor(this.#clock.nowMs() - this.#activeMs));
  }

  get isResting(): boolean {
    return this.idleMs >= REST_AFTER_MS;
  }

  get isExpired(): boolean {
    return this.idleMs >= this.#expireAfterMs;
  }

  /** Wall time at which it will have expired if nothing comes. */
  get expiresMs(): number {
    const expiresMs = Math.floor(this.#clock.wallMs()) + Math.max(0, this.#expireAfterMs - this.idleMs);
    if (Math.abs(expiresMs - this.#shownMs) >= SHOWN_STEADY_MS) this.#shownMs = expiresMs;
    return this.#shownMs;
  }

  /** Wall time at which something came last. */
  get lastActivityMs(): number {
    return this.expiresMs - this.#expireAfterMs;
  }

  /**
   * What the journal should be told (W1): a restart now would count too much, for something came that left no trace in it; or too little.
   * @param isQuiet nothing is coming at the moment
   */
  takeRecord(isQuiet: boolean): IdleRecord | undefined {
    const { idleMs } = this;
    const beforeMs = this.#recordedMs;
    const isTooMuch = idleMs < beforeMs;
    const isTooLittle = isQuiet && idleMs - beforeMs >= this.#recordEveryMs;
    if (!isTooMuch && !isTooLittle) return undefined;
    // Not told of every millisecond, it need not be told again by what comes next.
    this.#recordedMs = idleMs < this.#recordEveryMs ? 0 : idleMs;
    return { idleMs: this.#recordedMs, beforeMs };
  }

  /** The journal has not taken it, and knows what it knew. One that knows too little is told no sooner for that. */
  notRecorded({ beforeMs }: IdleRecord): void {
    this.#recordedMs = Math.max(this.#recordedMs, beforeMs);
  }

  /** Something has come. @param trace whether the journal says so by itself */
  touch(trace?: "recorded"): void {
    this.#activeMs = this.#clock.nowMs();
    if (trace === "recorded") this.#recordedMs = 0;
    // W1
    if (this.#recordedMs === 0 || this.#isLookDue) return;
    this.#isLookDue = true;
    this.#onIdle();
  }

  watch(): void {
    this.#isLookDue = false;
    this.#timer?.cancel();
    const { idleMs } = this;
    const untilRestMs = idleMs < REST_AFTER_MS ? REST_AFTER_MS - idleMs : Number.POSITIVE_INFINITY;
    const untilRecordMs = this.#recordedMs + this.#recordEveryMs - idleMs;
    const untilExpiryMs = this.#expireAfterMs - idleMs;
    const waitMs = Math.max(AGAIN_AFTER_MS, Math.min(untilRestMs, untilRecordMs));
    this.#timer = this.#clock.setTimer(Math.min(waitMs, untilExpiryMs > 0 ? untilExpiryMs : AGAIN_AFTER_MS), this.#onIdle);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  get #recordEveryMs(): number {
    return this.#expireAfterMs / RECORDS_UNTIL_EXPIRY;
  }
}
