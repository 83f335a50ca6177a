/**
 * The only two ways bytes and names reach a disk for good.
 *
 * D1: a write is whole or an error; the operating system may write less than asked and say nothing.
 * D2: a published name exists only after its data is synced, and is durable only after its directory is synced.
 * D3: a failed sync is never retried: the file is to be discarded.
 */
import { dirname } from "node:path";
import { TroupeError } from "./errors.ts";
import type { Disk, DiskFile } from "./ports/disk.ts";

/** Writes all of `bytes` at `offset`. */
export async function writeFully(file: DiskFile, bytes: Uint8Array, offset: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const count = await file.write(written === 0 ? bytes : bytes.subarray(written), offset + written);
    // D1: no progress and no error is what a full disk looks like on some systems.
    if (count <= 0) throw new TroupeError("DISK_FULL", `The disk took ${written} of ${bytes.length} bytes of ${file.path}.`);
    written += count;
  }
}

/** Reads exactly `into.length` bytes at `offset`. @throws {TroupeError} `DISK_FAILED` when the file ends before */
export async function readFully(file: DiskFile, into: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < into.length) {
    const count = await file.read(done === 0 ? into : into.subarray(done), offset + done);
    if (count <= 0) throw new TroupeError("DISK_FAILED", `${file.path} ends at ${offset + done}, before ${offset + into.length}.`, { facts: { errno: "EOF" } });
    done += count;
  }
}

/**
 * Gives a synced file its final name: link, then sync the directory (D2). The same again is fine.
 * @param syncedPath a file whose data has been synced
 * @param finalPath in a directory that is made, and made durable, when missing
 */
export async function publish(disk: Disk, syncedPath: string, finalPath: string): Promise<void> {
  await makeDurableDirectory(disk, dirname(finalPath));
  try {
    await disk.link(syncedPath, finalPath);
  } catch (error) {
    if (!(error instanceof TroupeError) || error.facts["errno"] !== "EEXIST") throw error;
  }
  await disk.syncDirectory(dirname(finalPath));
}

/** A directory, its missing parents included, each durable in its parent. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  if ((await disk.status(path)) !== undefined) return;
  const parent = dirname(path);
  if (parent !== path) await makeDurableDirectory(disk, parent);
  await disk.makeDirectory(path);
  await disk.syncDirectory(parent);
}

/** A small file written whole: temporary name, sync, rename, directory sync. Readers see the old bytes or the new. */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  await disk.remove(temporary);
  const file = await disk.open(temporary, "create");
  try {
    await writeFully(file, bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(dirname(path));
}

/** A small file whole, or `undefined` when there is none. @throws {TroupeError} `TOO_LARGE` past `bytesMax` */
export async function readSmallFile(disk: Disk, path: string, bytesMax: number): Promise<Uint8Array | undefined> {
  const status = await disk.status(path);
  if (status === undefined) return undefined;
  if (status.sizeBytes > bytesMax) throw new TroupeError("TOO_LARGE", `${path} has ${status.sizeBytes} bytes, more than ${bytesMax}.`);
  const file = await disk.open(path, "read");
  try {
    const bytes = new Uint8Array(status.sizeBytes);
    await readFully(file, bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}
