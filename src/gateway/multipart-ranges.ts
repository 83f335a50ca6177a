/**
 * Several ranges in one answer: `multipart/byteranges` (RFC 9110 section 14.6), its length known before its first byte.
 *
 * M1: a range that was opened is ended, wherever the reader leaves: before the first pull, after a head, or while a range is being
 *     opened. An open range keeps a file open on some node.
 */
import type { ByteRange } from "../core/range.ts";

export interface RangesOptions {
  /** In the order asked for. */
  readonly ranges: readonly ByteRange[];
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Random, so that no file can hold it on purpose. */
  readonly boundary: string;
  readonly open: (range: ByteRange) => Promise<AsyncIterable<Uint8Array>>;
}

/** The first range is opened before this resolves, so that a missing blob is an error and not a broken stream. */
export async function multipartRanges(
  options: RangesOptions,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly body: AsyncIterable<Uint8Array> }> {
  const { ranges, boundary } = options;
  const heads = ranges.map((range, index) => partHead(options, range, index === 0));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const lengthBytes = ranges.reduce((sum, { first, last }, index) => sum + (heads[index] as Buffer).length + last - first + 1, tail.length);
  const first = await options.open(ranges[0] as ByteRange);
  return {
    headers: { "content-type": `multipart/byteranges; boundary=${boundary}`, "content-length": String(lengthBytes) },
    body: new Parts(options, heads, first[Symbol.asyncIterator](), tail),
  };
}

function partHead({ boundary, contentType, sizeBytes }: RangesOptions, { first, last }: ByteRange, isFirst: boolean): Buffer {
  return Buffer.from(
    `${isFirst ? "" : "\r\n"}--${boundary}\r\ncontent-type: ${contentType}\r\ncontent-range: bytes ${first}-${last}/${sizeBytes}\r\n\r\n`,
  );
}

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

/** Written out rather than as a generator: one that was never begun does not run what it has to do at its end (M1). */
class Parts implements AsyncIterableIterator<Uint8Array> {
  readonly #options: RangesOptions;
  readonly #heads: readonly Buffer[];
  readonly #tail: Buffer;
  /** The range being sent, or about to be: `index` is its number. */
  #open: AsyncIterator<Uint8Array> | undefined;
  #index = 0;
  #isHeadSent = false;
  #isEnded = false;

  constructor(options: RangesOptions, heads: readonly Buffer[], first: AsyncIterator<Uint8Array>, tail: Buffer) {
    this.#options = options;
    this.#heads = heads;
    this.#open = first;
    this.#tail = tail;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    try {
      while (!this.#isEnded) {
        const range = this.#options.ranges[this.#index];
        if (range === undefined) {
          this.#isEnded = true;
          return { done: false, value: this.#tail };
        }
        if (this.#open === undefined) await this.#begin(range);
        else if (!this.#isHeadSent) {
          this.#isHeadSent = true;
          return { done: false, value: this.#heads[this.#index] as Buffer };
        } else {
          const result = await this.#open.next();
          if (result.done !== true) return result;
          this.#open = undefined;
          this.#isHeadSent = false;
          this.#index += 1;
        }
      }
      return DONE;
    } catch (error) {
      await this.return();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#isEnded = true;
    const open = this.#open;
    this.#open = undefined;
    await open?.return?.();
    return DONE;
  }

  async #begin(range: ByteRange): Promise<void> {
    const bytes = await this.#options.open(range);
    this.#open = bytes[Symbol.asyncIterator]();
    // The reader left while the range was being opened (M1).
    if (this.#isEnded) await this.return();
  }
}
