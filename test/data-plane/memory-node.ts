/** A storage node's bytes in memory: what the data plane is tried on. Tests reach into its fields to make it slow, wrong or full. */
import { createHash } from "node:crypto";
import { TroupeError } from "../../src/core/errors.ts";
import type { ByteStream } from "../../src/core/ports/byte-stream.ts";
import type { BlobRange, ChunkBody, ChunkStored, UploadRange } from "../../src/core/ports/data-plane.ts";
import type { ByteService } from "../../src/data-plane/byte-service.ts";

export class MemoryNode implements ByteService {
  readonly nodeId: string;
  readonly blobs = new Map<string, Uint8Array>();
  readonly chunks = new Map<string, Buffer>();
  blockBytes = 100_000;
  /** Waited for before each block that is read, and each that is taken. */
  beforeBlock: (offset: number) => Promise<void> | void = () => undefined;
  /** Bytes that have been read from blobs. */
  readBytes = 0;
  /** Bytes of bodies that have been taken. */
  takenBytes = 0;
  /** Streams that were begun and have not ended. */
  openCount = 0;
  /** As it came. */
  lastBody: ChunkBody | undefined;
  /** What chunks ended with that were not stored. */
  readonly failures: unknown[] = [];

  constructor(nodeId = "node1") {
    this.nodeId = nodeId;
  }

  async storeChunk(body: ChunkBody): Promise<ChunkStored> {
    this.lastBody = body;
    const { uploadId, index, bytes, digests, lengthBytes } = body;
    if (uploadId !== "upload1") throw new TroupeError("UPLOAD_NOT_FOUND");
    if (index > 9) throw new TroupeError("CHUNK_OUT_OF_RANGE", "There are ten.", { facts: { chunkCount: 10 } });
    const blocks: Uint8Array[] = [];
    let taken = 0;
    this.openCount += 1;
    try {
      for await (const block of bytes) {
        taken += block.length;
        this.takenBytes += block.length;
        await this.beforeBlock(taken);
        blocks.push(block);
      }
      const received = Buffer.concat(blocks);
      if (lengthBytes !== undefined && received.length !== lengthBytes) throw new TroupeError("CHUNK_LENGTH");
      for (const { algorithm, value } of digests)
        if (createHash(algorithm).update(received).digest("hex") !== value) throw new TroupeError("DIGEST_MISMATCH");
      const key = `${uploadId}/${index}`;
      const isNew = !this.chunks.has(key);
      this.chunks.set(key, received);
      return { index, copies: 1, receivedCount: this.chunks.size, lengthBytes: received.length, isNew };
    } catch (error) {
      this.failures.push(error);
      throw error;
    } finally {
      this.openCount -= 1;
    }
  }

  /** Of the chunks in order, as far as they go. */
  async readUpload({ uploadId, offset, lengthBytes }: UploadRange): Promise<ByteStream> {
    const chunks: Buffer[] = [];
    for (let chunk = this.chunks.get(`${uploadId}/0`); chunk !== undefined; chunk = this.chunks.get(`${uploadId}/${chunks.length}`))
      chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (offset + lengthBytes > bytes.length) throw new TroupeError("RANGE_NOT_SATISFIABLE");
    return await this.#read(bytes, offset, lengthBytes);
  }

  async readBlob({ path, offset, lengthBytes }: BlobRange): Promise<ByteStream> {
    const blob = this.blobs.get(path);
    if (blob === undefined) throw new TroupeError("BLOB_NOT_FOUND");
    return await this.#read(blob, offset, lengthBytes);
  }

  async #read(blob: Uint8Array, offset: number, lengthBytes: number): Promise<ByteStream> {
    const blocks = this.#blocks(blob, offset, offset + lengthBytes);
    this.openCount += 1;
    const first = await blocks.next().catch((error: unknown) => {
      this.openCount -= 1;
      throw error;
    });
    return this.#stream(first, blocks);
  }

  #stream(first: IteratorResult<Uint8Array, undefined>, blocks: AsyncGenerator<Uint8Array, undefined>): ByteStream {
    let isFirst = true;
    let isOpen = true;
    const end = (): void => {
      if (isOpen) this.openCount -= 1;
      isOpen = false;
    };
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          if (!isOpen) return { done: true, value: undefined };
          const wasFirst = isFirst;
          isFirst = false;
          try {
            const result = wasFirst ? first : await blocks.next();
            if (result.done === true) end();
            return result;
          } catch (error) {
            end();
            throw error;
          }
        },
        return: async () => {
          end();
          return { done: true, value: undefined };
        },
      }),
    };
  }

  async *#blocks(blob: Uint8Array, from: number, to: number): AsyncGenerator<Uint8Array, undefined> {
    for (let offset = from; offset < to; offset += this.blockBytes) {
      await this.beforeBlock(offset);
      const block = blob.subarray(offset, Math.min(to, offset + this.blockBytes));
      this.readBytes += block.length;
      yield block;
    }
    return undefined;
  }
}
