/**
 * The Disk port over the operating system's files.
 *
 * Short writes surface as they are. Closing a file waits for the reads, writes and syncs that were begun on it. Symbolic links are
 * followed by everything but `remove`, so a data directory may be one.
 */

import type { Dirent, Stats } from "node:fs";
import { constants } from "node:fs";
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../core/ports/disk.ts";
import { lockDirectory } from "./directory-lock.ts";
import { diskError, errnoOf } from "./disk-error.ts";

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
};
/** Stored content is nobody else's business on a shared machine; directories likewise. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** On macOS only a full sync reaches past the drive's own cache; elsewhere a data sync, which leaves out times, does. */
const SYNC = process.platform === "darwin" ? "sync" : "datasync";
/** Windows cannot open a directory to sync it, and does not need to. */
const SYNCS_DIRECTORIES = process.platform !== "win32";

export class NodeDisk implements Disk {
  readonly #fileMode: number;

  /** @param fileMode of new files, before the process's umask; the store's own are nobody else's business */
  constructor(fileMode = FILE_MODE) {
    this.#fileMode = fileMode;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    return new NodeDiskFile(path, await converted(path, open(path, FLAGS[mode], this.#fileMode)));
  }

  async makeDirectory(path: string): Promise<void> {
    try {
      await mkdir(path, { mode: DIRECTORY_MODE });
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EEXIST" && (await this.status(path))?.kind === "directory") return;
      const parent = dirname(path);
      // Not Node's own way with parents: where a parent is there and takes no directory (/proc), that never ends.
      if (errno !== "ENOENT" || parent === path || (await this.status(parent)) !== undefined) throw diskError(error, path);
      await this.makeDirectory(parent);
      await converted(path, mkdir(path, { mode: DIRECTORY_MODE }));
    }
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    const entries = await converted(path, readdir(path, { withFileTypes: true }));
    return entries.map((entry) => ({ name: entry.name, kind: entry.isSymbolicLink() ? "link" : kindOf(entry) }));
  }

  async status(path: string): Promise<FileStatus | undefined> {
    try {
      const stats = await stat(path);
      return { sizeBytes: stats.size, modifiedMs: stats.mtimeMs, kind: kindOf(stats) };
    } catch (error) {
      // ENOTDIR: a parent is a file, so nothing can be at the path.
      const errno = errnoOf(error);
      if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
      throw diskError(error, path);
    }
  }

  async link(from: string, to: string): Promise<void> {
    await converted(to, link(from, to));
  }

  async rename(from: string, to: string): Promise<void> {
    await converted(to, rename(from, to));
  }

  async remove(path: string): Promise<void> {
    await converted(path, rm(path, { recursive: true, force: true }));
  }

  async syncDirectory(path: string): Promise<void> {
    if (!SYNCS_DIRECTORIES) return;
    const handle = await converted(path, open(path, constants.O_RDONLY | constants.O_DIRECTORY));
    try {
      await converted(path, handle.sync());
    } finally {
      await converted(path, handle.close());
    }
  }

  async space(path: string): Promise<DiskSpace> {
    const { bsize, frsize, blocks, bavail } = await converted(path, statfs(path));
    // Blocks are counted in fragments, which some file systems make smaller than the size they like to be read in.
    const unitBytes = frsize > 0 ? frsize : bsize;
    return { totalBytes: blocks * unitBytes, freeBytes: bavail * unitBytes };
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return lockDirectory(directory);
  }
}

class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  get descriptor(): number {
    return this.#handle.fd;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    if (into.length === 0) return 0;
    return (await converted(this.path, this.#handle.read(into, 0, into.length, offset))).bytesRead;
  }

  async write(bytes: Uint8Array, offset: number): Promise<number> {
    if (bytes.length === 0) return 0;
    return (await converted(this.path, this.#handle.write(bytes, 0, bytes.length, offset))).bytesWritten;
  }

  async sync(): Promise<void> {
    await converted(this.path, this.#handle[SYNC]());
  }

  async truncate(sizeBytes: number): Promise<void> {
    await converted(this.path, this.#handle.truncate(sizeBytes));
  }

  async sizeBytes(): Promise<number> {
    return (await converted(this.path, this.#handle.stat())).size;
  }

  async close(): Promise<void> {
    await converted(this.path, this.#handle.close());
  }
}

async function converted<T>(path: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw diskError(error, path);
  }
}

function kindOf(entry: Stats | Dirent): "file" | "directory" | "other" {
  if (entry.isFile()) return "file";
  return entry.isDirectory() ? "directory" : "other";
}
