/**
 * The Disk port: files as an operating system gives them, with its traps. `write` may write fewer bytes than asked; nothing is
 * durable before `sync`, and a new name not before its directory is synced. Code above writes only through `writeFully` and
 * `publish` (src/core/durable.ts).
 *
 * Paths are absolute. Errors are {@link TroupeError}: `DISK_FULL` (no space, quota), `TOO_MANY` (no descriptor left), `TOO_LARGE` (for the
 * file system), otherwise `DISK_FAILED`; with
 * `facts.syscall`, `facts.errno` (`ENOENT`, `EEXIST`, `EIO`, …).
 */
import type { TroupeError } from "../errors.ts";

export interface DiskFile {
  readonly path: string;
  /** The operating system's, where there is one. */
  readonly descriptor?: number | undefined;
  /** @returns bytes read, fewer than asked at the end of the file, 0 past it */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** @returns bytes written, which may be fewer than given; see `writeFully` */
  write(bytes: Uint8Array, offset: number): Promise<number>;
  /** Data, and the size needed to read it back, on stable storage. Never retried after a failure. */
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/**
 * `read`: must exist. `write`: must exist; reads and writes. `create`: must not exist; reads and writes.
 */
export type OpenMode = "read" | "write" | "create";

export interface DirectoryEntry {
  readonly name: string;
  /** Of the entry itself: a symbolic link is not what it points at. */
  readonly kind: "file" | "directory" | "link" | "other";
}

export interface FileStatus {
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly kind: "file" | "directory" | "other";
}

export interface DiskSpace {
  readonly totalBytes: number;
  /** What this process may still use. */
  readonly freeBytes: number;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** With parents; existing ones are fine. Each new entry is durable only once its parent directory is synced. */
  makeDirectory(path: string): Promise<void>;
  /** Entries in no particular order. */
  readDirectory(path: string): Promise<DirectoryEntry[]>;
  /** `undefined` when there is nothing at the path. */
  status(path: string): Promise<FileStatus | undefined>;
  /** A second name for the file; `DISK_FAILED` with `EEXIST` when the name is taken. */
  link(from: string, to: string): Promise<void>;
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>;
  /** A file, or a directory with all it holds; nothing there is fine. */
  remove(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<DiskSpace>;
  /** The first sync that failed for another reason than a full disk: from then on the device is suspect. Absent where nobody watches. */
  readonly suspect?: TroupeError | undefined;
  /**
   * Takes the directory for this process alone, until released or the process ends however it ends.
   * @throws {TroupeError} `DIRECTORY_IN_USE`
   */
  lock(directory: string): Promise<{ release(): Promise<void> }>;
}
