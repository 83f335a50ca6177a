/**
 * One body on its way to the disk: gathered into blocks, written at its offset, leaf digests computed as the bytes arrive. Or only
 * digested, when another body for the same chunk is being written or was. Or it goes on within its chunk: then what arrives counts,
 * however it ends.
 *
 * W1: at most two blocks are held in memory for a body; while they are full, the sender waits.
 * W2: when this ends, well or not, no write and no sync of this body is under way.
 * W3: bytes that were there before are digested with the leaf they begin, and not written again.
 */
import { writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { EARLY_SYNC_BYTES, LEAF_BYTES, LEAF_DIGEST_BYTES, WRITE_BLOCK_BYTES } from "../../core/limits.ts";
import type { ChunkBody } from "../../core/ports/data-plane.ts";
import type { DiskFile } from "../../core/ports/disk.ts";
import type { Hasher, StreamHash } from "../../core/ports/hasher.ts";
import type { WriteBlocks } from "../../core/write-blocks.ts";
import { chunkLengthError } from "./chunk-ledger.ts";

export interface ChunkTarget {
  /** Absent: digest only. */
  readonly file: DiskFile | undefined;
  /** Begins to make durable what was written so far. Its failure is this body's failure. */
  readonly sync: (() => Promise<void>) | undefined;
  /** In the file, of the first leaf. */
  readonly offset: number;
  /** From that offset on, like {@link maxBytes}. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** Bytes from that offset on that are there already, less than a leaf (W3). */
  readonly head?: Uint8Array | undefined;
  /** Where it is counted how much has come, for whoever looks meanwhile. */
  readonly body?: { arrivedBytes: number } | undefined;
  /** A body that breaks off is one that ended. */
  readonly keepsBroken?: boolean | undefined;
}

export interface WriterPorts {
  readonly hasher: Hasher;
  readonly blocks: WriteBlocks;
}

export interface DigestedChunk {
  /** From the target's offset on. */
  readonly lengthBytes: number;
  readonly leafDigests: Uint8Array;
}

export interface ReceivedChunk extends DigestedChunk {
  /** Why the body broke off; only where that counts as an end. */
  readonly broken?: { readonly error: unknown } | undefined;
}

/**
 * @throws {TroupeError} `CHUNK_LENGTH`, `DIGEST_MISMATCH`, `DISK_FULL`, `DISK_FAILED`, `CANCELLED`, or what the body throws
 */
export async function receiveChunk(chunk: ChunkBody, target: ChunkTarget, ports: WriterPorts): Promise<ReceivedChunk> {
  const { index, lengthBytes: declared } = chunk;
  const headBytes = target.head?.length ?? 0;
  if (declared !== undefined && (declared + headBytes < target.minBytes || declared + headBytes > target.maxBytes))
    throw chunkLengthError(index, target.minBytes - headBytes, target.maxBytes - headBytes, declared);
  const writer = new ChunkWriter(chunk, target, ports);
  let broken: { readonly error: unknown } | undefined;
  const body = target.keepsBroken
    ? untilBroken(chunk.bytes, (error) => {
        broken = { error };
      })
    : chunk.bytes;
  try {
    for await (const piece of body) {
      if (!target.keepsBroken) chunk.signal.throwIfAborted();
      await writer.take(piece);
    }
    if (!target.keepsBroken) chunk.signal.throwIfAborted();
    return { ...(await writer.finish()), broken };
  } finally {
    await writer.end();
  }
}

/** The same values; an error of the source is its end. */
async function* untilBroken<T>(source: AsyncIterable<T>, onBroken: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    onBroken(error);
  }
}

class ChunkWriter {
  readonly #chunk: ChunkBody;
  readonly #target: ChunkTarget;
  readonly #hasher: Hasher;
  readonly #blocks: WriteBlocks;
  readonly #streams: readonly { readonly algorithm: string; readonly value: string; readonly stream: StreamHash }[];
  readonly #leafDigests: Buffer;
  #leafCount = 0;
  #block: Buffer;
  #filled = 0;
  /** Of what fills the block, how much was there before (W3). */
  #skipped = 0;
  /** Handed to the disk, or about to be. */
  #flushed = 0;
  #syncedFrom = 0;
  /** The block being written, and its write: at most one of each. */
  #writing: { readonly block: Buffer; readonly done: Promise<void> } | undefined;
  readonly #syncs: Promise<void>[] = [];

  constructor(chunk: ChunkBody, target: ChunkTarget, { hasher, blocks }: WriterPorts) {
    this.#chunk = chunk;
    this.#target = target;
    this.#hasher = hasher;
    this.#blocks = blocks;
    this.#streams = chunk.digests.map(({ algorithm, value }) => ({ algorithm, value, stream: hasher.stream(algorithm) }));
    this.#leafDigests = Buffer.allocUnsafe(Math.ceil(target.maxBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES);
    this.#block = blocks.take();
    if (target.head !== undefined) {
      this.#block.set(target.head);
      this.#filled = this.#skipped = target.head.length;
    }
  }

  async take(piece: Uint8Array): Promise<void> {
    const { minBytes, maxBytes } = this.#target;
    const arrived = this.#flushed + this.#filled + piece.length;
    if (this.#target.body !== undefined) this.#target.body.arrivedBytes += piece.length;
    if (arrived > maxBytes) throw chunkLengthError(this.#chunk.index, minBytes, maxBytes, `at least ${arrived}`);
    for (let taken = 0; taken < piece.length; ) {
      const count = Math.min(piece.length - taken, WRITE_BLOCK_BYTES - this.#filled);
      this.#block.set(count === piece.length ? piece : piece.subarray(taken, taken + count), this.#filled);
      this.#filled += count;
      taken += count;
      if (this.#filled === WRITE_BLOCK_BYTES) await this.#flush();
    }
  }

  async finish(): Promise<DigestedChunk> {
    if (this.#filled > this.#skipped) await this.#flush();
    await this.#written();
    await Promise.all(this.#syncs);
    const { minBytes, maxBytes } = this.#target;
    if (this.#flushed + this.#skipped < minBytes) throw chunkLengthError(this.#chunk.index, minBytes, maxBytes, this.#flushed);
    for (const { algorithm, value, stream } of this.#streams) {
      const actual = stream.digestHex();
      if (actual !== value)
        throw new TroupeError("DIGEST_MISMATCH", `Chunk ${this.#chunk.index} was claimed to have ${algorithm} ${value} and has ${actual}.`);
    }
    return { lengthBytes: this.#flushed + this.#skipped, leafDigests: this.#leafDigests.subarray(0, this.#leafCount * LEAF_DIGEST_BYTES) };
  }

  /** W2 */
  async end(): Promise<void> {
    await Promise.allSettled([this.#writing?.done, ...this.#syncs]);
    // Where there was no spare block, the one that was being written is the one to be filled next.
    if (this.#writing !== undefined && this.#writing.block !== this.#block) this.#blocks.giveBack(this.#writing.block);
    this.#writing = undefined;
    this.#blocks.giveBack(this.#block);
  }

  async #flush(): Promise<void> {
    const bytes = this.#block.subarray(0, this.#filled);
    for (let start = 0; start < bytes.length; start += LEAF_BYTES) {
      this.#leafDigests.set(this.#hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES)), this.#leafCount * LEAF_DIGEST_BYTES);
      this.#leafCount += 1;
    }
    const news = bytes.subarray(this.#skipped);
    for (const { stream } of this.#streams) stream.update(news);
    const at = this.#target.offset + this.#flushed + this.#skipped;
    this.#flushed += this.#filled;
    this.#filled = this.#skipped = 0;
    const { file } = this.#target;
    if (file === undefined) return;
    // W1: the block before this one must be on its way to the disk no longer.
    await this.#written();
    const done = writeFully(file, news, at);
    // Whoever waits for it hears of a failure; until then it must not count as unhandled.
    done.catch(() => undefined);
    this.#writing = { block: this.#block, done };
    const spare = this.#blocks.takeSpare();
    if (spare === undefined) {
      await this.#written("keep");
      return;
    }
    this.#block = spare;
  }

  /** Waits for the write under way; its block is free again, or the one to be filled next. */
  async #written(then: "give back" | "keep" = "give back"): Promise<void> {
    const writing = this.#writing;
    if (writing === undefined) return;
    await writing.done;
    this.#writing = undefined;
    if (then === "give back") this.#blocks.giveBack(writing.block);
    this.#syncEarly();
  }

  /** A large chunk is made durable while it arrives, so that little is left to wait for at its end. */
  #syncEarly(): void {
    if (this.#target.sync === undefined || this.#flushed - this.#syncedFrom < EARLY_SYNC_BYTES || this.#flushed === this.#target.maxBytes)
      return;
    this.#syncedFrom = this.#flushed;
    const sync = this.#target.sync();
    sync.catch(() => undefined);
    this.#syncs.push(sync);
  }
}
