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
  /** Of this body, whatever else is in its chunk. */
  readonly digests: readonly ChunkDigest[];
  readonly signal: AbortSignal;
  /**
   * The body goes on at this byte of its chunk; what of it is synced counts, also when it ends early or breaks off (then it throws after
   * that). The chunk is the one right after the bytes without a gap, or follows that of another such body still under way.
   */
  readonly fromBytes?: number | undefined;
  /** Nothing of a body that goes on counts unless it ends properly; with `digests` it is so anyway. */
  readonly isAtomic?: boolean | undefined;
}

export interface ChunkStored {
  readonly index: number;
  /** Synced on this many members. */
  readonly copies: number;
  readonly receivedCount: number;
  /** Bytes of the chunk that are durable now. */
  readonly lengthBytes: number;
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

/** Bytes of an upload that has not become a file, from those that are durable without a gap. */
export interface UploadRange {
  readonly uploadId: string;
  readonly offset: number;
  /** At least one. */
  readonly lengthBytes: number;
}

export interface DataPlane {
  /**
   * Resolves when the chunk is durable. The body is read only when the node wants it: a node that cannot be reached, and one that refuses
   * the token, leave it untouched.
   * @throws {TroupeError} `CHUNK_CONFLICT`, `CHUNK_LENGTH`, `DIGEST_MISMATCH`, `OFFSET_MISMATCH`, `DISK_FULL`, `UPLOAD_…`, `HOST_UNAVAILABLE`, …
   */
  storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored>;
  /**
   * Exactly `lengthBytes` bytes, verified; pulled as fast as the reader takes them. The first block is read before this resolves, so
   * that a missing or damaged blob is an error and not a broken stream.
   * @param signal ends the waiting for the first block; the stream is ended by its reader
   * @throws {TroupeError} `BLOB_NOT_FOUND`, `BLOB_DAMAGED`, `DISK_FAILED`, `HOST_UNAVAILABLE`, `FORBIDDEN` (token)
   */
  readBlob(access: DataAccess, range: BlobRange, signal?: AbortSignal): Promise<ByteStream>;
  /**
   * The same of an upload, with the right to send its chunks.
   * @throws {TroupeError} `UPLOAD_…`, `RANGE_NOT_SATISFIABLE`, `BLOB_DAMAGED`, `DISK_FAILED`, `HOST_UNAVAILABLE`, `FORBIDDEN` (token)
   */
  readUpload(access: DataAccess, range: UploadRange, signal?: AbortSignal): Promise<ByteStream>;
}
