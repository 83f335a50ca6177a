/**
 * One body on its way to the disk: gathered into blocks, written at its offset, leaf digests computed as the bytes arrive. Or only
 * digested, when another body for the same chunk is being written or was.
 *
 * At most one block is held in memory for a body; while it is being written, the sender waits.
 */
import { writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES, WRITE_BLOCK_BYTES } from "../../core/limits.ts";
import type { ChunkBody } from "../../core/ports/data-plane.ts";
import type { DiskFile } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import { chunkLengthError } from "./chunk-ledger.ts";

export interface ChunkTarget {
  /** Absent: digest only. */
  readonly file: DiskFile | undefined;
  readonly offset: number;
  readonly minBytes: number;
  readonly maxBytes: number;
}

export interface DigestedChunk {
  readonly lengthBytes: number;
  readonly leafDigests: Uint8Array;
}

/** Blocks waiting to be used again, so that a busy node does not allocate for every body. */
const freeBlocks: Buffer[] = [];
const FREE_BLOCKS_MAX = 64;

/**
 * @throws {TroupeError} `CHUNK_LENGTH`, `DIGEST_MISMATCH`, `DISK_FULL`, `DISK_FAILED`, `CANCELLED`, or what the body throws. When it
 * throws, no write of this body is still under way.
 */
export async function receiveChunk(chunk: ChunkBody, target: ChunkTarget, hasher: Hasher): Promise<DigestedChunk> {
  const { index, lengthBytes: declared } = chunk;
  if (declared !== undefined && (declared < target.minBytes || declared > target.maxBytes))
    throw chunkLengthError(index, target.minBytes, target.maxBytes, declared);
  const block = freeBlocks.pop() ?? Buffer.allocUnsafeSlow(WRITE_BLOCK_BYTES);
  try {
    return await receiveInto(block, chunk, target, hasher);
  } finally {
    if (freeBlocks.length < FREE_BLOCKS_MAX) freeBlocks.push(block);
  }
}

async function receiveInto(block: Buffer, chunk: ChunkBody, target: ChunkTarget, hasher: Hasher): Promise<DigestedChunk> {
  const streams = chunk.digests.map((claim) => ({ claim, stream: hasher.stream(claim.algorithm) }));
  const leafDigests = Buffer.allocUnsafe(Math.ceil(target.maxBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES);
  let leafCount = 0;
  let written = 0;
  let filled = 0;

  const flush = async (): Promise<void> => {
    const bytes = block.subarray(0, filled);
    for (let start = 0; start < filled; start += LEAF_BYTES) {
      leafDigests.set(hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES)), leafCount * LEAF_DIGEST_BYTES);
      leafCount += 1;
    }
    for (const { stream } of streams) stream.update(bytes);
    if (target.file !== undefined) await writeFully(target.file, bytes, target.offset + written);
    written += filled;
    filled = 0;
  };

  for await (const piece of chunk.bytes) {
    chunk.signal.throwIfAborted();
    if (written + filled + piece.length > target.maxBytes)
      throw chunkLengthError(chunk.index, target.minBytes, target.maxBytes, `at least ${written + filled + piece.length}`);
    for (let taken = 0; taken < piece.length; ) {
      const count = Math.min(piece.length - taken, WRITE_BLOCK_BYTES - filled);
      block.set(count === piece.length ? piece : piece.subarray(taken, taken + count), filled);
      filled += count;
      taken += count;
      if (filled === WRITE_BLOCK_BYTES) await flush();
    }
  }
  if (filled > 0) await flush();
  chunk.signal.throwIfAborted();
  if (written < target.minBytes) throw chunkLengthError(chunk.index, target.minBytes, target.maxBytes, written);
  for (const { claim, stream } of streams) {
    const actual = stream.digestHex();
    if (actual !== claim.value)
      throw new TroupeError(
        "DIGEST_MISMATCH",
        `Chunk ${chunk.index} was claimed to have ${claim.algorithm} ${claim.value} and has ${actual}.`,
      );
  }
  return { lengthBytes: written, leafDigests: leafDigests.subarray(0, leafCount * LEAF_DIGEST_BYTES) };
}
