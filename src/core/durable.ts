/**
 * The only ways bytes and names reach a disk for good: `writeFully` for bytes, `publish` for a synced file's final name, `replaceFile` for a
 * small file as a whole.
 *
 * D1: a write is whole or an error; the operating system may write less than asked and say nothing.
 * D2: a published name exists only after its data is synced, and is durable only after its directory is synced.
 * D3: a failed sync is never retried: the file is to be discarded.
 * D4: a directory that is there is not yet durable: somebody may have made it a moment ago and be about to sync its parent.
 */
import { dirname } from "node:path";
import { TroupeError } from "./errors.ts";
import { DURABLE_DIRECTORIES_KEPT } from "./limits.ts";
import type { Disk, DiskFile } from "./ports/disk.ts";

const SYNCS = new Set(["fsync", "fdatasync", "sync"]);

/** Whether a failure means that the disk does not keep what it was given: a lost sync, an I/O error. Others say nothing about it. */
export function isDiskLost(error: unknown): boolean {
  if (!(error instanceof TroupeError) || error.code !== "DISK_FAILED") return false;
  return error.facts["errno"] === "EIO" || SYNCS.has(String(error.facts["syscall"]));
}

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
    if (count <= 0)
      throw new TroupeError("DISK_FAILED", `${file.path} ends at ${offset + done}, before ${offset + into.length}.`, {
        facts: { errno: "EOF" },
      });
    done += count;
  }
}

/**
 * Gives a synced file its final name: link, then sync the directory (D2). The same again is fine.
 * @param syncedPath a file whose data has been synced
 * @param finalPath in a directory that is made, and made durable, when missing
 * @param root as for {@link makeDurableDirectory}
 */
export async function publish(disk: Disk, syncedPath: string, finalPath: string, root?: string): Promise<void> {
  await makeDurableDirectory(disk, dirname(finalPath), root);
  try {
    await disk.link(syncedPath, finalPath);
  } catch (error) {
    if (!(error instanceof TroupeError) || error.facts["errno"] !== "EEXIST") throw error;
    // The same again: the name stands for it already. Another file under this name would be somebody else's.
    const [ours, theirs] = await Promise.all([disk.status(syncedPath), disk.status(finalPath)]);
    if (ours?.sizeBytes !== theirs?.sizeBytes) throw error;
  }
  await disk.syncDirectory(dirname(finalPath));
}

/** What this process knows of a disk's directories; a directory may be there without being durable in its parent (D4). */
interface DirectoryKnowledge {
  /** Being made by somebody, or made and not synced because that failed. */
  readonly doubtful: Set<string>;
  /** Synced into their parents. A hint: whoever is forgotten is synced once more. */
  readonly durable: Set<string>;
}

const knowledge = new WeakMap<Disk, DirectoryKnowledge>();

/**
 * A directory, its missing parents included, each durable in its parent (D4).
 * @param root a directory that is durable. Directories below it that a process before this one made are synced into their parents
 *   too, once; without it, they are taken to be durable.
 */
export async function makeDurableDirectory(disk: Disk, path: string, root?: string): Promise<void> {
  const { doubtful, durable } = knowledgeOf(disk);
  const isThere = (await disk.status(path)) !== undefined;
  const isTrusted = root === undefined || path === root || durable.has(path);
  const parent = dirname(path);
  if (isThere && ((isTrusted && !doubtful.has(path)) || parent === path)) return;
  await makeDurableDirectory(disk, parent, root);
  // Before it is there, so that nobody can see it without its doubt.
  doubtful.add(path);
  await disk.makeDirectory(path);
  await disk.syncDirectory(parent);
  doubtful.delete(path);
  if (durable.size >= DURABLE_DIRECTORIES_KEPT) durable.clear();
  durable.add(path);
}

function knowledgeOf(disk: Disk): DirectoryKnowledge {
  const known = knowledge.get(disk) ?? { doubtful: new Set(), durable: new Set() };
  knowledge.set(disk, known);
  return known;
}

/** What `replaceFile` writes to first. A failure or a death leaves it there until the file is replaced again. */
export const temporaryPath = (path: string): string => `${path}.new`;

/** A small file written whole: temporary name, sync, rename, directory sync. Readers see the old bytes or the new. */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryPath(path);
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
