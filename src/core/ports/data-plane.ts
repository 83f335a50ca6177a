/**
 * The DataPlane port: bytes between a gateway and the node that holds them. They do not travel as messages: in one process they are
 * passed as they are; between processes over HTTP with a token minted by the serving node.
 */
import type { ChunkDigest } from "../digest.ts";
import type { ByteStream } from "./byte-stream.ts";

/** Where and with what right. `url` is the node's data server; absent when the node serves its own process only. */
export interface DataAccess {
  readonly nodeId: string;
  readonly url?: string | undefined;
  /** Opaque; checked by the node that minted it. */
  readonly token: string;
}

export interface ChunkBody {
  readonly uploadId: string;
  readonly index: number;
  /** Declared length in bytes, if the client declared one. */
  readonly lengthBytes?: number | undefined;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly digests: readonly ChunkDigest[];
  readonly signal: AbortSignal;
}

export interface ChunkStored {
  readonly index: number;
  /** Synced on this many members. */
  readonly copies: number;
  readonly receivedCount: number;
  /** False when the same bytes were already there. */
  readonly isNew: boolean;
}

export interface BlobRange {
  /** Path below the node's blob root; checked by the node. */
  readonly path: string;
  readonly blobId: number;
  readonly sizeBytes: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface DataPlane {
  /**
   * Resolves when the chunk is durable. The body is read only when the node wants it: a node that cannot be reached, and one that refuses
   * the token, leave it untouched.
   * @throws {TroupeError} `CHUNK_CONFLICT`, `CHUNK_LENGTH`, `DIGEST_MISMATCH`, `DISK_FULL`, `UPLOAD_…`, `HOST_UNAVAILABLE`, …
   */
  storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored>;
  /**
   * Exactly `lengthBytes` bytes, verified; pulled as fast as the reader takes them. The first block is read before this resolves, so
   * that a missing or damaged blob is an error and not a broken stream.
   * @param signal ends the waiting for the first block; the stream is ended by its reader
   * @throws {TroupeError} `BLOB_NOT_FOUND`, `BLOB_DAMAGED`, `DISK_FAILED`, `HOST_UNAVAILABLE`, `FORBIDDEN` (token)
   */
  readBlob(access: DataAccess, range: BlobRange, signal?: AbortSignal): Promise<ByteStream>;
}
