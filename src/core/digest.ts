/** Digest algorithms, their lengths, and the forms in which clients claim a digest. */
import { TroupeError } from "./errors.ts";

/** Bytes of a digest, by algorithm. */
export const DIGEST_BYTES = { blake3: 32, sha256: 32, sha512: 64, sha1: 20, md5: 16 } as const;

export type DigestAlgorithm = keyof typeof DIGEST_BYTES;
export const DIGEST_ALGORITHMS = Object.keys(DIGEST_BYTES) as DigestAlgorithm[];

/** Algorithms a whole file may be claimed to have; verified before commit. */
export const FILE_DIGEST_ALGORITHMS = ["blake3", "sha256", "sha1", "md5"] as const satisfies readonly DigestAlgorithm[];
export type FileDigestAlgorithm = (typeof FILE_DIGEST_ALGORITHMS)[number];

/** A digest in lowercase hex. */
export interface DigestClaim {
  readonly algorithm: FileDigestAlgorithm;
  readonly value: string;
}

/** A digest of one chunk's body, from `Content-Digest`. */
export interface ChunkDigest {
  readonly algorithm: DigestAlgorithm;
  readonly value: string;
}

export function isDigestHex(algorithm: DigestAlgorithm, value: string): boolean {
  return value.length === DIGEST_BYTES[algorithm] * 2 && /^[0-9a-f]+$/.test(value);
}

const CONTENT_DIGEST_NAMES: Readonly<Record<string, DigestAlgorithm>> = {
  "sha-256": "sha256",
  "sha-512": "sha512",
  sha: "sha1",
  md5: "md5",
  blake3: "blake3",
};

/**
 * Reads a `Content-Digest` field (RFC 9530): `sha-256=:<base64>:`, several separated by commas. Algorithms this server does not
 * know are passed over, as section 2 of the RFC wants.
 * @throws {TroupeError} `BAD_DIGEST` for a malformed field or a value of the wrong length
 */
export function parseContentDigest(field: string): ChunkDigest[] {
  const digests: ChunkDigest[] = [];
  for (const member of field.split(",")) {
    const match = /^\s*([a-z0-9*_.-]+)=:([A-Za-z0-9+/]*={0,2}):\s*$/.exec(member);
    if (match === null) throw new TroupeError("BAD_DIGEST", "Content-Digest has the form sha-256=:<base64>: (RFC 9530).");
    const [, name, base64] = match as unknown as [string, string, string];
    const algorithm = CONTENT_DIGEST_NAMES[name];
    if (algorithm === undefined) continue;
    const value = Buffer.from(base64, "base64").toString("hex");
    if (!isDigestHex(algorithm, value)) throw new TroupeError("BAD_DIGEST", `Content-Digest ${name} has ${DIGEST_BYTES[algorithm]} bytes.`);
    digests.push({ algorithm, value });
  }
  return digests;
}

/** The field that {@link parseContentDigest} reads these from. */
export function contentDigestField(digests: readonly ChunkDigest[]): string {
  const names = Object.entries(CONTENT_DIGEST_NAMES);
  return digests
    .map(({ algorithm, value }) => {
      const name = names.find(([, named]) => named === algorithm)?.[0];
      return `${name}=:${Buffer.from(value, "hex").toString("base64")}:`;
    })
    .join(", ");
}
