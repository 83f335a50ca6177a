/**
 * A limit on bytes a second, over everything that shares it.
 *
 * P1: whoever wants to move a block waits until the blocks before it have had their time; after a rest nothing is made up for, so no
 *     burst is longer than one block.
 * P2: blocks are cut so that a slow pace still moves several times a second: nobody takes the connection for dead.
 */
import { READ_BLOCK_BYTES } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";
import { sleepUnlessAborted } from "./again.ts";

const BLOCKS_PER_SECOND = 8;

export class Pace {
  readonly bytesPerSecond: number;
  readonly #clock: Clock;
  readonly #blockBytes: number;
  /** When the blocks that were let through have had their time. */
  #freeAtMs: number;

  constructor(clock: Clock, bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
    this.#clock = clock;
    this.#freeAtMs = clock.nowMs();
    this.#blockBytes = Math.max(1, Math.min(READ_BLOCK_BYTES, Math.floor(bytesPerSecond / BLOCKS_PER_SECOND)));
  }

  /** The block in pieces, each when its turn has come. @throws {TroupeError} `CANCELLED` */
  async *pieces(block: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < block.length; offset += this.#blockBytes) {
      const piece = block.subarray(offset, offset + this.#blockBytes);
      await this.#turn(piece.length, signal);
      yield piece;
    }
  }

  async #turn(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const startMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = startMs + (1000 * bytes) / this.bytesPerSecond;
    if (startMs > nowMs) await sleepUnlessAborted(this.#clock, startMs - nowMs, signal);
  }
}

/** The same bytes, at that pace. */
export async function* paced(
  blocks: AsyncIterable<Uint8Array>,
  pace: Pace | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const block of blocks) {
    if (pace === undefined) yield block;
    else yield* pace.pieces(block, signal);
  }
}
