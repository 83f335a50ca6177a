/**
 * What a session does outside its turns. One attempt at a merge is current at a time; what an older one still brings back is not news.
 *
 * E1: nothing outlives {@link Effects.stop}: it tells what runs to stop and waits until it has.
 */
export class Effects {
  readonly #running = new Set<Promise<unknown>>();
  #attempt = new AbortController();

  /** Of the current attempt: aborted when it is not wanted any more. */
  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  /**
   * Runs `work`; its outcome goes to `then` or `failed`, unless its attempt has been stopped meanwhile.
   */
  run<T>(work: (signal: AbortSignal) => Promise<T>, then: (result: T) => void, failed: (error: unknown) => void): void {
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
    this.#running.add(running);
  }

  /** E1. Another attempt may begin afterwards. */
  async stop(reason: unknown): Promise<void> {
    this.#attempt.abort(reason);
    const stopped = [...this.#running];
    this.#attempt = new AbortController();
    await Promise.allSettled(stopped);
  }
}
