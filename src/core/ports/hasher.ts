/** The Hasher port: digests of bytes at hand, and of files in the making by a worker that follows what has been stored. */
import type { DigestAlgorithm } from "../digest.ts";

/** Digests by algorithm, in lowercase hex. */
export type Digests = Partial<Record<DigestAlgorithm, string>>;

export interface StreamHash {
  update(bytes: Uint8Array): void;
  /** Once, at the end. */
  digestHex(): string;
}

/** Hashes one growing file from its beginning, off the event loop. */
export interface FileFollower {
  /** The first `offset` bytes are final and may be read. Offsets never shrink. Returns at once. */
  advance(offset: number): void;
  /**
   * Digests of the first `sizeBytes` bytes; call once.
   * @throws {TroupeError} `DISK_FAILED` when the file cannot be read
   */
  finish(sizeBytes: number): Promise<Digests>;
  /** Gives up; the file may be removed when this resolves. */
  close(): Promise<void>;
}

export interface Hasher {
  /** BLAKE3 of the leaf, truncated to `LEAF_DIGEST_BYTES`. */
  leafDigest(leaf: Uint8Array): Uint8Array;
  stream(algorithm: DigestAlgorithm): StreamHash;
  /** `algorithms` always includes blake3. The file need not exist before the first `advance`. */
  follow(path: string, algorithms: readonly DigestAlgorithm[]): FileFollower;
  close(): Promise<void>;
}
