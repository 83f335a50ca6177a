/**
 * A range on its way from a node in another process, whichever way it comes.
 *
 * R1: a range is exactly its bytes, or its stream throws: an exchange that breaks never looks like the end.
 * R2: the first block has come before anybody gets the stream.
 * R3: the time a slow reader takes is not the node's silence; a reader that stops ends the exchange.
 */
import type { TroupeError } from "../core/errors.ts";
import type { ByteIterator, ByteStream } from "../core/ports/byte-stream.ts";
import type { SilenceWatch } from "../core/silence-watch.ts";

/** The exchange that brings the bytes. */
export interface RangeSource {
  readonly watch: SilenceWatch;
  /** What an error of the exchange means to whoever wanted the bytes. */
  explain(error: unknown): unknown;
  broken(why: string): TroupeError;
  /** All has come. Harmless after either end. */
  end(): void;
  /** No more is wanted. */
  giveUp(): void;
}

type Blocks = AsyncIterator<Uint8Array> | ByteIterator;

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** @param blocks what comes, in order; when this throws, the caller gives the source up */
export async function receiveRange(source: RangeSource, blocks: Blocks, lengthBytes: number): Promise<ByteStream> {
  const range = new ReceivedRange(source, blocks, lengthBytes);
  await range.readFirst();
  return { [Symbol.asyncIterator]: () => range };
}

/** Written out rather than as a generator: a generator that was never begun would not let go on return(). */
class ReceivedRange implements ByteIterator {
  readonly #source: RangeSource;
  readonly #blocks: Blocks;
  #remainingBytes: number;
  #first: Uint8Array | undefined;
  #isEnded = false;

  constructor(source: RangeSource, blocks: Blocks, lengthBytes: number) {
    this.#source = source;
    this.#blocks = blocks;
    this.#remainingBytes = lengthBytes;
  }

  async readFirst(): Promise<void> {
    if (this.#remainingBytes > 0) this.#first = await this.#pull();
    this.#source.watch.rest();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isEnded) return DONE;
    const first = this.#first;
    if (first !== undefined) {
      this.#first = undefined;
      return { done: false, value: first };
    }
    this.#source.watch.touch();
    try {
      const block = await this.#pull();
      if (block === undefined) return this.#end();
      this.#source.watch.rest();
      return { done: false, value: block };
    } catch (error) {
      this.#isEnded = true;
      this.#source.giveUp();
      throw error;
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    if (this.#isEnded) return DONE;
    if (this.#remainingBytes === 0 && this.#first === undefined) return this.#end();
    this.#isEnded = true;
    this.#source.giveUp();
    return DONE;
  }

  pour(descriptor: number, bytesMax: number): number {
    if (this.#isEnded || this.#first !== undefined || !("pour" in this.#blocks)) return 0;
    const countBytes = this.#blocks.pour?.(descriptor, Math.min(bytesMax, this.#remainingBytes)) ?? 0;
    this.#remainingBytes -= countBytes;
    return countBytes;
  }

  /** @returns undefined at the end, which is only where it has to be */
  async #pull(): Promise<Uint8Array | undefined> {
    let result: IteratorResult<Uint8Array>;
    try {
      result = await this.#blocks.next();
    } catch (error) {
      throw this.#source.explain(error);
    }
    if (result.done === true) {
      if (this.#remainingBytes > 0) throw this.#source.broken(`its answer ended ${this.#remainingBytes} bytes early.`);
      return undefined;
    }
    this.#remainingBytes -= result.value.length;
    if (this.#remainingBytes < 0) throw this.#source.broken("it sent more bytes than it was asked for.");
    return result.value;
  }

  #end(): IteratorReturnResult<undefined> {
    this.#isEnded = true;
    this.#source.end();
    return DONE;
  }
}
