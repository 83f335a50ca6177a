/** A Disk that fails, blocks or writes short where a test says so, and is otherwise the one it wraps. */
import { TroupeError } from "../../src/core/errors.ts";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../../src/core/ports/disk.ts";

export type DiskCall =
  | "open"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "link"
  | "rename"
  | "remove"
  | "syncDirectory"
  | "status"
  | "readDirectory"
  | "makeDirectory";

/** Called before each call; may throw, or wait. */
export type Intercept = (call: DiskCall, path: string) => void | Promise<void>;

export const diskFull = (path: string): TroupeError =>
  new TroupeError("DISK_FULL", `${path}: no space left on device`, { facts: { errno: "ENOSPC" } });
export const diskFailed = (path: string, errno = "EIO"): TroupeError =>
  new TroupeError("DISK_FAILED", `${path}: ${errno}`, { facts: { errno } });

export class FaultyDisk implements Disk {
  readonly #inner: Disk;
  intercept: Intercept = () => {};
  /** Instead of what the inner disk says. */
  freeBytes: number | undefined;
  /** A write takes at most this many bytes and says nothing. */
  writeBytesMax = Number.POSITIVE_INFINITY;

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.intercept("open", path);
    const file = await this.#inner.open(path, mode);
    return {
      path,
      read: async (into, offset) => {
        await this.intercept("read", path);
        return await file.read(into, offset);
      },
      write: async (bytes, offset) => {
        await this.intercept("write", path);
        return await file.write(bytes.subarray(0, this.writeBytesMax), offset);
      },
      sync: async () => {
        await this.intercept("sync", path);
        await file.sync();
      },
      truncate: async (sizeBytes) => {
        await this.intercept("truncate", path);
        await file.truncate(sizeBytes);
      },
      sizeBytes: () => file.sizeBytes(),
      close: () => file.close(),
    };
  }

  async makeDirectory(path: string): Promise<void> {
    await this.intercept("makeDirectory", path);
    await this.#inner.makeDirectory(path);
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    await this.intercept("readDirectory", path);
    return await this.#inner.readDirectory(path);
  }

  async status(path: string): Promise<FileStatus | undefined> {
    await this.intercept("status", path);
    return await this.#inner.status(path);
  }

  async link(from: string, to: string): Promise<void> {
    await this.intercept("link", to);
    await this.#inner.link(from, to);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.intercept("rename", to);
    await this.#inner.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    await this.intercept("remove", path);
    await this.#inner.remove(path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.intercept("syncDirectory", path);
    await this.#inner.syncDirectory(path);
  }

  async space(path: string): Promise<DiskSpace> {
    const space = await this.#inner.space(path);
    return this.freeBytes === undefined ? space : { ...space, freeBytes: this.freeBytes };
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return this.#inner.lock(directory);
  }
}
