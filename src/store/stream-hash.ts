/** Digests of bytes at hand: BLAKE3 from its native add-on, the others from node:crypto. */

import { createHash } from "node:crypto";
import { Blake3Hasher, blake3 } from "@napi-rs/blake-hash";
import type { DigestAlgorithm } from "../core/digest.ts";
import { LEAF_DIGEST_BYTES } from "../core/limits.ts";
import type { StreamHash } from "../core/ports/hasher.ts";

export function streamHash(algorithm: DigestAlgorithm): StreamHash {
  if (algorithm === "blake3") {
    const hash = new Blake3Hasher();
    return { update: (bytes) => void hash.update(viewOf(bytes)), digestHex: () => hash.digest("hex") };
  }
  const hash = createHash(algorithm);
  return { update: (bytes) => void hash.update(bytes), digestHex: () => hash.digest("hex") };
}

/** BLAKE3 of the leaf, truncated to `LEAF_DIGEST_BYTES`. */
export function leafDigest(leaf: Uint8Array): Uint8Array {
  const digest = blake3(viewOf(leaf));
  return new Uint8Array(digest.buffer, digest.byteOffset, LEAF_DIGEST_BYTES);
}

/** The algorithms asked for, once each, BLAKE3 always among them. */
export function withBlake3(algorithms: readonly DigestAlgorithm[]): DigestAlgorithm[] {
  return [...new Set<DigestAlgorithm>(["blake3", ...algorithms])];
}

/** The same bytes as the Buffer the add-on wants. */
function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
