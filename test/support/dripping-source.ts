/** Bytes as they are given, for a body that takes its time. */
export class DrippingSource implements AsyncIterable<Uint8Array> {
  readonly #blocks: Uint8Array[] = [];
  #isEnded = false;
  #wake: () => void = () => undefined;

  drip(bytes: number): void {
    this.#blocks.push(Buffer.alloc(bytes));
    this.#wake();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const block = this.#blocks.shift();
      if (block !== undefined) yield block;
      else if (this.#isEnded) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
