/**
 * Gives an exchange up when nothing has moved for a while. A total time would cut off large bodies on slow lines; silence means that
 * the other end is gone.
 */
import { TroupeError } from "./errors.ts";
import type { Clock, Timer } from "./ports/clock.ts";

export class SilenceWatch {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #onCaller = (): void => this.#controller.abort(this.#caller?.reason);
  #timer: Timer | undefined;
  #lastMs = 0;
  #isResting = false;
  #isExpired = false;

  constructor(clock: Clock, silenceMs: number, caller: AbortSignal | undefined) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#caller = caller;
    if (caller?.aborted) this.#onCaller();
    else caller?.addEventListener("abort", this.#onCaller, { once: true });
    this.#lastMs = clock.nowMs();
    this.#arm(silenceMs);
  }

  /** Aborted after the silence, and when the caller gives up. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** We are the ones who are slow from now on, until the next {@link touch}. */
  rest(): void {
    this.#isResting = true;
  }

  /** Something moved. */
  touch(): void {
    this.#isResting = false;
    this.#lastMs = this.#clock.nowMs();
  }

  /** The exchange is not wanted any more. */
  giveUp(): void {
    this.end();
    this.#controller.abort(new TroupeError("CANCELLED"));
  }

  /** The exchange is over. */
  end(): void {
    this.#timer?.cancel();
    this.#caller?.removeEventListener("abort", this.#onCaller);
  }

  /** What an error that ended the exchange really was: the caller's wish, the silence, or itself. */
  explain(error: unknown, what: string): unknown {
    if (this.#caller?.aborted) return new TroupeError("CANCELLED", undefined, { cause: error });
    if (!this.#isExpired) return error;
    return new TroupeError("DEADLINE_EXCEEDED", `Nothing came from ${what} for ${this.#silenceMs / 1000} s.`, {
      cause: error,
      facts: { unreachable: true },
    });
  }

  // One timer that looks how long it has been silent, rather than a new timer for each block.
  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimer(delayMs, () => {
      const remainingMs = this.#isResting ? this.#silenceMs : this.#lastMs + this.#silenceMs - this.#clock.nowMs();
      if (remainingMs > 0) return this.#arm(remainingMs);
      this.#isExpired = true;
      this.#controller.abort(new TroupeError("DEADLINE_EXCEEDED", `Nothing moved for ${this.#silenceMs / 1000} s.`));
    });
  }
}

/** A body we send: the time its source takes is not the other end's silence. */
export async function* touching(bytes: AsyncIterable<Uint8Array>, watch: SilenceWatch): AsyncGenerator<Uint8Array> {
  watch.rest();
  for await (const block of bytes) {
    watch.touch();
    yield block;
    watch.rest();
  }
  watch.touch();
}
