/**
 * The Random port over the operating system's cryptographic source. Small requests are cut from a block drawn in bulk, as every
 * call into the source costs about the same; what has been given out is wiped from the block.
 */
import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import type { Random } from "../core/ports/random.ts";

const BLOCK_BYTES = 4096;
/** A larger request gets a draw of its own. */
const SMALL_BYTES_MAX = 256;
const INTEGER_LIMIT_MAX = 2 ** 31;

export class SystemRandom implements Random {
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #used = BLOCK_BYTES;

  bytes(count: number): Uint8Array {
    assert(Number.isSafeInteger(count) && count >= 0, "a count of bytes is a whole number");
    if (count > SMALL_BYTES_MAX) return randomFillSync(new Uint8Array(count));
    const from = this.#take(count);
    const bytes = new Uint8Array(count);
    bytes.set(this.#block.subarray(from, from + count));
    this.#block.fill(0, from, from + count);
    return bytes;
  }

  integer(limit: number): number {
    assert(Number.isInteger(limit) && limit >= 1 && limit <= INTEGER_LIMIT_MAX, "a limit is a whole number from 1 to 2^31");
    // Values past the last whole multiple of the limit would favour small numbers, and are drawn again.
    const fair = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const from = this.#take(4);
      const value = this.#block.readUInt32LE(from);
      this.#block.fill(0, from, from + 4);
      if (value < fair) return value % limit;
    }
  }

  /** @returns where `count` unused bytes begin in the block */
  #take(count: number): number {
    if (this.#used + count > BLOCK_BYTES) {
      randomFillSync(this.#block);
      this.#used = 0;
    }
    const from = this.#used;
    this.#used += count;
    return from;
  }
}
