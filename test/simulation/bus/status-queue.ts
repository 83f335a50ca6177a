/** What a connection tells of itself, one thing after the other, to the one who listens. */
export class StatusQueue<T> implements AsyncIterable<T> {
  readonly #told: T[] = [];
  #isEnded = false;
  #wake: (() => void) | undefined;

  push(status: T): void {
    if (this.#isEnded) return;
    this.#told.push(status);
    this.#wake?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const status = this.#told.shift();
      if (status !== undefined) yield status;
      else if (this.#isEnded) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
