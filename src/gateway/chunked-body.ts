/**
 * One long body, sliced into chunks as it streams. Nothing is gathered: at most the block in which a chunk ends waits in memory.
 *
 * S1: slices are read one after the other; the next begins when the last block of the one before has been handed over.
 * S2: an error of the body is an error of the slice that meets it, never the end of a shorter chunk.
 */
import assert from "node:assert/strict";

export interface BodySlice extends AsyncIterable<Uint8Array> {
  /** Resolves with the slice's length when its last block has been handed over; never when that does not happen. */
  readonly read: Promise<number>;
}

export class ChunkedBody {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #rest: Uint8Array | undefined;
  #ended = false;
  #isSliceOpen = false;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#iterator = body[Symbol.asyncIterator]();
  }

  /** Whether there is at least one more byte; waits until that is known. */
  async hasMore(): Promise<boolean> {
    assert(!this.#isSliceOpen, "slices do not overlap");
    this.#rest ??= await this.#pull();
    return this.#rest !== undefined;
  }

  /** The next bytes, `bytesMax` of them or fewer at the body's end. */
  slice(bytesMax: number): BodySlice {
    assert(!this.#isSliceOpen && bytesMax > 0, "slices do not overlap");
    this.#isSliceOpen = true;
    const read = Promise.withResolvers<number>();
    return { read: read.promise, [Symbol.asyncIterator]: () => this.#slice(bytesMax, read.resolve) };
  }

  /** No more is wanted. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#rest = undefined;
    await this.#iterator.return?.();
  }

  async *#slice(bytesMax: number, onRead: (lengthBytes: number) => void): AsyncGenerator<Uint8Array, void, void> {
    let lengthBytes = 0;
    for (;;) {
      const block = this.#rest ?? (await this.#pull());
      this.#rest = undefined;
      if (block === undefined) break;
      const wanted = bytesMax - lengthBytes;
      lengthBytes += Math.min(block.length, wanted);
      if (block.length < wanted) {
        yield block;
        continue;
      }
      if (block.length > wanted) this.#rest = block.subarray(wanted);
      // A reader that counts may never ask for what comes after the last block, so the slice is done as that is handed over.
      this.#isSliceOpen = false;
      onRead(lengthBytes);
      yield block.length === wanted ? block : block.subarray(0, wanted);
      return;
    }
    this.#isSliceOpen = false;
    onRead(lengthBytes);
  }

  /** The next block that is not empty. */
  async #pull(): Promise<Uint8Array | undefined> {
    while (!this.#ended) {
      const result = await this.#iterator.next();
      if (result.done === true) this.#ended = true;
      else if (result.value.length > 0) return result.value;
    }
    return undefined;
  }
}
