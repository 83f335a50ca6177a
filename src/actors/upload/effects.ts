/**
 * What a session does outside its turns. One attempt at a merge is current at a time; what an older one still brings back is not news.
 *
 * E1: nothing outlives {@link Effects.stop}: it tells what runs to stop and waits until it has.
 */
import type { Clock } from "../../core/ports/clock.ts";

export class Effects {
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #running = new Map<Promise<unknown>, { readonly name: string; readonly sinceMs: number }>();
  #attempt = new AbortController();

  constructor(clock: Pick<Clock, "wallMs">) {
    this.#clock = clock;
  }

  /** That have not come back, with when they were begun. */
  list(): readonly { readonly name: string; readonly sinceMs: number }[] {
    return [...this.#running.values()];
  }

  /** Of the current attempt: aborted when it is not wanted any more. */
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  /**
   * Runs `work`; its outcome goes to `then` or `failed`, unless its attempt has been stopped meanwhile.
   */
  run<T>(name: string, work: (signal: AbortSignal) => Promise<T>, then: (result: T) => void, failed: (error: unknown) => void): void {
    const { signal } = this.#attempt;
    const running = work(signal)
      .then(
        (result) => {
          if (!signal.aborted) then(result);
        },
        (error: unknown) => {
          if (!signal.aborted) failed(error);
        },
      )
      .finally(() => this.#running.delete(running));
    this.#running.set(running, { name, sinceMs: this.#clock.wallMs() });
  }

  /** E1. Another attempt may begin afterwards. */
  async stop(reason: unknown): Promise<void> {
    this.#attempt.abort(reason);
    const stopped = [...this.#running.keys()];
    this.#attempt = new AbortController();
    await Promise.allSettled(stopped);
  }
}
