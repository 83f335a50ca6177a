/** The BLAKE3 of a local file, read block by block. */
import { readFully } from "../core/durable.ts";
import { READ_BLOCK_BYTES } from "../core/limits.ts";
import type { DiskFile } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import { throwIfCancelled } from "./again.ts";

/**
 * @returns hex
 * @throws {TroupeError} `DISK_FAILED` when the file cannot be read or ends before; `CANCELLED`
 */
export async function digestOf(file: DiskFile, sizeBytes: number, hasher: Hasher, signal: AbortSignal): Promise<string> {
  const hash = hasher.stream("blake3");
  for (let offset = 0; offset < sizeBytes; offset += READ_BLOCK_BYTES) {
    throwIfCancelled(signal);
    const block = new Uint8Array(Math.min(READ_BLOCK_BYTES, sizeBytes - offset));
    await readFully(file, block, offset);
    hash.update(block);
  }
  return hash.digestHex();
}
