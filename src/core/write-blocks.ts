/**
 * Blocks of memory in which bodies are gathered, used again and again. A body always gets one; a second one, which lets it gather while
 * the first is being written, only while few are in use: many slow bodies cost one block each, a few fast ones are fast.
 */
import { WRITE_BLOCK_BYTES } from "./limits.ts";

/** Up to here a body may have a second block. */
const IN_USE_FOR_TWO_MAX = 128;
const FREE_MAX = 128;

export class WriteBlocks {
  readonly #free: Buffer[] = [];
  #inUseCount = 0;

  take(): Buffer {
    this.#inUseCount += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(WRITE_BLOCK_BYTES);
  }

  takeSpare(): Buffer | undefined {
    return this.#inUseCount < IN_USE_FOR_TWO_MAX ? this.take() : undefined;
  }

  /** The block must not be touched any more, neither here nor by a write under way. */
  giveBack(block: Buffer): void {
    this.#inUseCount -= 1;
    if (this.#free.length < FREE_MAX) this.#free.push(block);
  }
}
