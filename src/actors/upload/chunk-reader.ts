/**
 * Reads what an upload has received back from its file.
 *
 * R1: bytes leave only from leaves that have the digest which the journal holds for them.
 * R2: a range holds one block in memory; the next is read when the reader asks for it.
 */
import { readFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES, READ_BLOCK_BYTES } from "../../core/limits.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { DiskFile } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { Journal } from "./journal.ts";

interface ReadSession {
  readonly hasher: Hasher;
  readonly plan: UploadPlan;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly data: DiskFile;
}

export class ChunkReader {
  readonly #session: ReadSession;

  constructor(session: ReadSession) {
    this.#session = session;
  }

  /** Whether every leaf of a received chunk has its digest. */
  async isIntact(index: number): Promise<boolean> {
    const digests = await this.#digestsOf(index);
    const lengthBytes = this.#session.ledger.lengthOf(index);
    for (let offset = 0; offset < lengthBytes; offset += READ_BLOCK_BYTES)
      if ((await this.#readLeaves(index, offset, Math.min(lengthBytes, offset + READ_BLOCK_BYTES), digests)) === undefined) return false;
    return true;
  }

  /**
   * Exactly the range's bytes; the first of them are known to be right when this resolves.
   * @throws {TroupeError} `RANGE_NOT_SATISFIABLE` past the whole chunks from the beginning; `BLOB_DAMAGED`, `DISK_FAILED`, also the stream
   */
  async read(offset: number, lengthBytes: number): Promise<ByteStream> {
    const { prefixBytes } = this.#session.ledger;
    if (lengthBytes < 1 || offset + lengthBytes > prefixBytes)
      throw new TroupeError("RANGE_NOT_SATISFIABLE", `${prefixBytes} bytes of the upload can be read.`);
    const blocks = this.#blocks(offset, offset + lengthBytes);
    const first = await blocks.next();
    let isFirst = true;
    // Nothing is held between two blocks, so a reader that never begins leaves nothing open.
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          if (!isFirst) return blocks.next();
          isFirst = false;
          return Promise.resolve(first);
        },
        return: () => {
          isFirst = false;
          return blocks.return(undefined);
        },
      }),
    };
  }

  async *#blocks(from: number, to: number): AsyncGenerator<Uint8Array, undefined> {
    const { plan, ledger } = this.#session;
    for (let offset = from; offset < to; ) {
      const index = Math.floor(offset / plan.chunkBytes);
      const digests = await this.#digestsOf(index);
      const start = ledger.offsetOf(index);
      for (const end = Math.min(to, start + ledger.lengthOf(index)); offset < end; ) {
        const within = offset - start;
        const leaf = Math.floor(within / LEAF_BYTES) * LEAF_BYTES;
        const last = Math.min(end - start, leaf + READ_BLOCK_BYTES);
        const until = Math.min(ledger.lengthOf(index), Math.ceil(last / LEAF_BYTES) * LEAF_BYTES);
        const bytes = await this.#readLeaves(index, leaf, until, digests);
        if (bytes === undefined)
          throw new TroupeError("BLOB_DAMAGED", `Bytes of chunk ${index} of upload ${plan.uploadId} no longer have their digest.`);
        yield bytes.subarray(within - leaf, last - leaf);
        offset = start + last;
      }
    }
    return undefined;
  }

  async #digestsOf(index: number): Promise<Uint8Array> {
    const { ledger, journal } = this.#session;
    if (!ledger.isReceived(index)) throw new TroupeError("RANGE_NOT_SATISFIABLE", `Chunk ${index} is not there any more.`);
    return await journal.readLeafDigests(ledger.journalOffsetOf(index));
  }

  /** R1. Whole leaves, from one's beginning. @returns `undefined` when one of them does not have its digest */
  async #readLeaves(index: number, from: number, to: number, digests: Uint8Array): Promise<Uint8Array | undefined> {
    const { ledger, data, hasher } = this.#session;
    const bytes = Buffer.allocUnsafeSlow(to - from);
    try {
      await readFully(data, bytes, ledger.offsetOf(index) + from);
    } catch (error) {
      if (error instanceof TroupeError && error.facts["errno"] === "EOF") return undefined;
      throw error;
    }
    for (let start = 0; start < bytes.length; start += LEAF_BYTES) {
      const at = ((from + start) / LEAF_BYTES) * LEAF_DIGEST_BYTES;
      const expected = digests.subarray(at, at + LEAF_DIGEST_BYTES);
      if (Buffer.compare(expected, hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES))) !== 0) return undefined;
    }
    return bytes;
  }
}
