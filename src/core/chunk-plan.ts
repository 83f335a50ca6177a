/** How a file is cut into chunks: what was asked, or 8 MiB, or larger where a file would pass a million chunks. */
import { TroupeError } from "./errors.ts";
import { CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_COUNT_MAX, FILE_BYTES_LIMIT, LEAF_BYTES } from "./limits.ts";

/**
 * @param sizeBytes absent while the client has not said; then the largest file that is allowed decides
 * @param sizeBytesMax the largest file that is allowed
 * @throws {TroupeError} `BAD_CHUNK_SIZE`, `TOO_LARGE`
 */
export function chooseChunkBytes(sizeBytes: number | undefined, wantedBytes: number | undefined, sizeBytesMax: number): number {
  if (sizeBytes !== undefined && sizeBytes > FILE_BYTES_LIMIT)
    throw new TroupeError("TOO_LARGE", `A file has at most ${FILE_BYTES_LIMIT} bytes.`);
  if (wantedBytes !== undefined) {
    if (wantedBytes < CHUNK_BYTES_MIN || wantedBytes > CHUNK_BYTES_MAX || wantedBytes % LEAF_BYTES !== 0)
      throw new TroupeError("BAD_CHUNK_SIZE");
    if (sizeBytes !== undefined && Math.ceil(sizeBytes / wantedBytes) > CHUNK_COUNT_MAX) {
      throw new TroupeError(
        "BAD_CHUNK_SIZE",
        `With chunks of ${wantedBytes} bytes the file would have more than ${CHUNK_COUNT_MAX} chunks; take larger ones.`,
      );
    }
    return wantedBytes;
  }
  const neededBytes = Math.ceil((sizeBytes ?? sizeBytesMax) / CHUNK_COUNT_MAX / LEAF_BYTES) * LEAF_BYTES;
  return Math.max(CHUNK_BYTES_DEFAULT, neededBytes);
}
