/**
 * A Disk in memory: every call ends one step of the event loop later, so that what runs at the same time interleaves in the same way each
 * time. Nothing is lost that was written, synced or not: it stands for a process that is killed, not for a power cut.
 */
import { dirname } from "node:path";
import { TroupeError } from "../../src/core/errors.ts";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../../src/core/ports/disk.ts";

/** Content, whatever its names. */
interface Content {
  bytes: Buffer;
  sizeBytes: number;
}

type Entry = Content | "directory";

const TOTAL_BYTES = 2 ** 40;

export class MemoryDisk implements Disk {
  readonly #entries = new Map<string, Entry>();
  readonly #locked = new Map<string, symbol>();

  /** @param root an existing, empty directory */
  constructor(root: string) {
    for (let path = root; ; path = dirname(path)) {
      this.#entries.set(path, "directory");
      if (path === dirname(path)) return;
    }
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await step();
    const found = this.#entries.get(path);
    if (found === "directory") throw failed(path, "open", "EISDIR");
    if (mode !== "create") {
      if (found === undefined) throw failed(path, "open", "ENOENT");
      return new MemoryFile(path, found, mode === "write");
    }
    if (found !== undefined) throw failed(path, "open", "EEXIST");
    this.#checkParent(path, "open");
    const content = { bytes: Buffer.alloc(0), sizeBytes: 0 };
    this.#entries.set(path, content);
    return new MemoryFile(path, content, true);
  }

  async makeDirectory(path: string): Promise<void> {
    await step();
    for (let missing = path; this.#entries.get(missing) !== "directory"; missing = dirname(missing)) {
      if (this.#entries.has(missing)) throw failed(path, "mkdir", "EEXIST");
      this.#entries.set(missing, "directory");
    }
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    await step();
    const directory = this.#directory(path, "scandir");
    return [...this.#entries]
      .filter(([entry]) => entry !== directory && dirname(entry) === directory)
      .map(([entry, found]) => ({ name: entry.slice(entry.lastIndexOf("/") + 1), kind: found === "directory" ? found : "file" }));
  }

  async status(path: string): Promise<FileStatus | undefined> {
    await step();
    const found = this.#entries.get(path);
    if (found === undefined) return undefined;
    if (found === "directory") return { sizeBytes: 0, modifiedMs: 0, kind: "directory" };
    return { sizeBytes: found.sizeBytes, modifiedMs: 0, kind: "file" };
  }

  async link(from: string, to: string): Promise<void> {
    await step();
    const found = this.#entries.get(from);
    if (found === undefined) throw failed(to, "link", "ENOENT");
    if (this.#entries.has(to)) throw failed(to, "link", "EEXIST");
    this.#checkParent(to, "link");
    this.#entries.set(to, found);
  }

  async rename(from: string, to: string): Promise<void> {
    await step();
    const found = this.#entries.get(from);
    if (found === undefined) throw failed(to, "rename", "ENOENT");
    if (found === "directory") throw failed(to, "rename", "ENOTSUP");
    this.#checkParent(to, "rename");
    this.#entries.delete(from);
    this.#entries.set(to, found);
  }

  async remove(path: string): Promise<void> {
    await step();
    for (const entry of this.#entries.keys()) if (entry === path || entry.startsWith(`${path}/`)) this.#entries.delete(entry);
  }

  async syncDirectory(path: string): Promise<void> {
    await step();
    this.#directory(path, "open");
  }

  async space(path: string): Promise<DiskSpace> {
    await step();
    this.#directory(path, "statfs");
    const usedBytes = [...new Set(this.#entries.values())].reduce(
      (sum, found) => sum + (found === "directory" ? 0 : found.bytes.length),
      0,
    );
    return { totalBytes: TOTAL_BYTES, freeBytes: TOTAL_BYTES - usedBytes };
  }

  async lock(directory: string): Promise<{ release(): Promise<void> }> {
    await step();
    this.#directory(directory, "open");
    if (this.#locked.has(directory)) throw new TroupeError("DIRECTORY_IN_USE", `${directory} belongs to another.`);
    const owner = Symbol(directory);
    this.#locked.set(directory, owner);
    return {
      release: async () => {
        if (this.#locked.get(directory) === owner) this.#locked.delete(directory);
      },
    };
  }

  /** Paths of all files. */
  files(): string[] {
    return [...this.#entries].filter(([, found]) => found !== "directory").map(([path]) => path);
  }

  #directory(path: string, syscall: string): string {
    const normal = path.replace(/\/\.?$/, "");
    const found = this.#entries.get(normal);
    if (found === undefined) throw failed(path, syscall, "ENOENT");
    if (found !== "directory") throw failed(path, syscall, "ENOTDIR");
    return normal;
  }

  #checkParent(path: string, syscall: string): void {
    if (this.#entries.get(dirname(path)) !== "directory") throw failed(path, syscall, "ENOENT");
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #content: Content;
  readonly #isWritable: boolean;
  #isOpen = true;

  constructor(path: string, content: Content, isWritable: boolean) {
    this.path = path;
    this.#content = content;
    this.#isWritable = isWritable;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    await this.#used("read");
    const { bytes, sizeBytes } = this.#content;
    const count = Math.max(0, Math.min(into.length, sizeBytes - offset));
    into.set(bytes.subarray(offset, offset + count));
    return count;
  }

  async write(bytes: Uint8Array, offset: number): Promise<number> {
    // What is written is what the caller's memory holds when the call is made.
    const copy = Buffer.from(bytes);
    await this.#used("write");
    if (!this.#isWritable) throw failed(this.path, "write", "EBADF");
    this.#grow(offset + copy.length);
    this.#content.bytes.set(copy, offset);
    this.#content.sizeBytes = copy.length === 0 ? this.#content.sizeBytes : Math.max(this.#content.sizeBytes, offset + copy.length);
    return copy.length;
  }

  async sync(): Promise<void> {
    await this.#used("fdatasync");
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#used("ftruncate");
    this.#grow(sizeBytes);
    this.#content.bytes.fill(0, sizeBytes);
    this.#content.sizeBytes = sizeBytes;
  }

  async sizeBytes(): Promise<number> {
    await this.#used("fstat");
    return this.#content.sizeBytes;
  }

  async close(): Promise<void> {
    await step();
    this.#isOpen = false;
  }

  async #used(syscall: string): Promise<void> {
    await step();
    if (!this.#isOpen) throw failed(this.path, syscall, "EBADF");
  }

  #grow(sizeBytes: number): void {
    const { bytes } = this.#content;
    if (sizeBytes > bytes.length) this.#content.bytes = Buffer.concat([bytes, Buffer.alloc(sizeBytes - bytes.length)]);
  }
}

const step = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function failed(path: string, syscall: string, errno: string): TroupeError {
  return new TroupeError("DISK_FAILED", `${path}: ${syscall} failed: ${errno}.`, { facts: { syscall, errno } });
}
