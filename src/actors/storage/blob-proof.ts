/**
 * Whether somebody has a blob's bytes: what they made of ranges of it, beside what this disk's bytes make.
 *
 * P1: bytes count only when they check, as for any other reader: a damaged blob proves nothing.
 * P2: compared in constant time; the right value is told to nobody.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { BlobPlace } from "../../core/blob-path.ts";
import type { Challenge } from "../../core/shapes.ts";
import type { BlobReader } from "./blob-reader.ts";

export interface BlobProof extends BlobPlace {
  readonly sizeBytes: number;
  readonly challenge: Challenge;
  /** In hex. */
  readonly hmac: string;
}

/** @throws {TroupeError} `BLOB_NOT_FOUND`, `BLOB_DAMAGED` (also for a range that the blob does not have), `DISK_FAILED` */
export async function isProven(reader: BlobReader, { blobId, path, sizeBytes, challenge, hmac }: BlobProof): Promise<boolean> {
  const mac = createHmac("sha256", Buffer.from(challenge.nonce, "hex"));
  for (const [offset, lengthBytes] of challenge.ranges) {
    for await (const bytes of await reader.read({ blobId, path, sizeBytes, offset, lengthBytes })) mac.update(bytes);
  }
  return timingSafeEqual(mac.digest(), Buffer.from(hmac, "hex"));
}
