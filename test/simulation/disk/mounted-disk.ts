/**
 * A machine's disk as one life of a process has it: the Disk port.
 *
 * H1: a write takes the bytes the caller's memory holds when it is called.
 * H2: closing a file waits for the reads, writes and syncs that were begun on it.
 * H3: a tree is removed name by name, so a life may end in the middle.
 */
import { dirname } from "node:path";
import { TroupeError } from "../../../src/core/errors.ts";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../../../src/core/ports/disk.ts";
import type { RandomStream } from "../random-streams.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { DirectoryLock } from "./directory-inode.ts";
import type { FileInode } from "./file-inode.ts";
import { entriesOf, failed } from "./file-tree.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";

type Pace = "names" | "bytes" | "sync";

/** What was asked for and has not happened. */
interface Call {
  readonly effect: () => unknown;
  isOver: boolean;
}

export class MountedDisk implements Disk {
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;
  readonly #calls = new Set<Call>();
  readonly #open = new Set<MountedFile>();
  readonly #locks = new Set<DirectoryLock>();

  constructor(disk: SimulatedDisk, process: SimulatedProcess) {
    this.#disk = disk;
    this.#process = process;
  }

  get openFileCount(): number {
    return this.#open.size;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    return await this.ask("names", "open", path, () => {
      const { tree } = this.#disk;
      if (mode === "create") this.#disk.changing(path, "open", "space");
      else this.#disk.reading(path, "open");
      const inode = mode === "create" ? tree.create(path, this.#process.clock.wallMs()) : tree.file(path, "open");
      const file = new MountedFile(this, this.#disk, inode, path, mode !== "read");
      inode.openCount += 1;
      this.#open.add(file);
      return file;
    });
  }

  async makeDirectory(path: string): Promise<void> {
    await this.ask("names", "mkdir", path, () => {
      const { tree } = this.#disk;
      const missing: string[] = [];
      for (let above = path; tree.find(above) === undefined; above = dirname(above)) missing.push(above);
      if (missing.length === 0) tree.makeDirectory(path);
      for (const each of missing.reverse()) {
        this.#disk.changing(each, "mkdir", "space");
        tree.makeDirectory(each);
        this.#disk.strikes.made(each);
      }
    });
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    return await this.ask("names", "scandir", path, () => {
      this.#disk.reading(path, "scandir");
      return entriesOf(this.#disk.tree.directory(path, "scandir"));
    });
  }

  async status(path: string): Promise<FileStatus | undefined> {
    return await this.ask("names", "stat", path, () => {
      this.#disk.reading(path, "stat");
      const inode = this.#disk.tree.find(path);
      if (inode === undefined) return undefined;
      if (inode.kind === "directory") return { sizeBytes: 4096, modifiedMs: 0, kind: "directory" };
      return { sizeBytes: inode.sizeBytes, modifiedMs: inode.modifiedMs, kind: "file" };
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.ask("names", "link", to, () => {
      this.#disk.changing(to, "link", "space");
      this.#disk.tree.link(from, to);
    });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.ask("names", "rename", to, () => {
      this.#disk.changing(to, "rename");
      this.#disk.tree.rename(from, to);
    });
  }

  /** H3 */
  async remove(path: string): Promise<void> {
    while (!(await this.ask("names", "unlink", path, () => this.#unlink(path)))) {
      const names = await this.ask("names", "scandir", path, () => {
        this.#disk.reading(path, "scandir");
        const inode = this.#disk.tree.find(path);
        return inode?.kind === "directory" ? entriesOf(inode).map(({ name }) => name) : [];
      });
      for (const name of names) await this.remove(`${path}/${name}`);
    }
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.#process.isAlive) return await never();
    // What is changed while it runs may come too late for it.
    const beforeSequence = this.#disk.tree.sequence;
    await this.ask("sync", "fsync", path, () => this.#disk.syncDirectory(path, beforeSequence));
  }

  async space(path: string): Promise<DiskSpace> {
    return await this.ask("names", "statfs", path, () => {
      this.#disk.tree.directory(path, "statfs");
      return this.#disk.space;
    });
  }

  async lock(path: string): Promise<{ release(): Promise<void> }> {
    return await this.ask("names", "lock", path, () => {
      const directory = this.#disk.tree.directory(path, "access");
      if (directory.lock !== undefined) throw new TroupeError("DIRECTORY_IN_USE", `Another process owns ${path}.`);
      const lock = { directory };
      directory.lock = lock;
      this.#locks.add(lock);
      return { release: async () => this.#release(lock) };
    });
  }

  /** After its time `effect` happens on the disk. */
  ask<T>(pace: Pace, syscall: string, path: string, effect: () => T): Promise<T> {
    if (!this.#process.isAlive) return never();
    const call: Call = { effect, isOver: false };
    this.#calls.add(call);
    return this.#process.ask(this.#disk.delayOf(pace), `${syscall} ${this.#labelOf(path)}`, () => {
      // Decided when the process died.
      if (call.isOver) return undefined as T;
      call.isOver = true;
      this.#calls.delete(call);
      return effect();
    });
  }

  closed(file: MountedFile): void {
    if (!this.#open.delete(file)) return;
    file.inode.openCount -= 1;
    this.#disk.tree.touched(file.inode);
  }

  /** The process is no more: what it asked for happens now or never, and what it held is free. */
  end(random: RandomStream): void {
    for (const call of this.#calls) {
      call.isOver = true;
      if (random.chance(0.5)) attempt(call.effect);
    }
    this.#calls.clear();
    for (const file of [...this.#open]) this.closed(file);
    for (const lock of [...this.#locks]) this.#release(lock);
  }

  #unlink(path: string): boolean {
    if (this.#disk.tree.find(path) === undefined) return true;
    this.#disk.changing(path, "unlink");
    return this.#disk.tree.unlink(path);
  }

  #release(lock: DirectoryLock): void {
    if (this.#locks.delete(lock)) lock.directory.lock = undefined;
  }

  #labelOf(path: string): string {
    return path.startsWith(this.#disk.root) ? path.slice(this.#disk.root.length + 1) : path;
  }
}

class MountedFile implements DiskFile {
  readonly path: string;
  readonly inode: FileInode;
  readonly #mount: MountedDisk;
  readonly #disk: SimulatedDisk;
  readonly #isWritable: boolean;
  #isClosed = false;
  #underWay = 0;
  #quiet: PromiseWithResolvers<void> | undefined;
  /** Failed syncs that it was told of, or that were before its time. */
  #failedSyncCount: number;

  constructor(mount: MountedDisk, disk: SimulatedDisk, inode: FileInode, path: string, isWritable: boolean) {
    this.#mount = mount;
    this.#disk = disk;
    this.inode = inode;
    this.path = path;
    this.#isWritable = isWritable;
    this.#failedSyncCount = inode.failedSyncCount;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#use("bytes", "read", () => (into.length === 0 ? 0 : this.#disk.read(this.inode, this.path, into, offset)));
  }

  write(bytes: Uint8Array, offset: number): Promise<number> {
    // H1
    const copy = Uint8Array.prototype.slice.call(bytes);
    return this.#use("bytes", "write", () => {
      this.#checkWritable("write");
      return copy.length === 0 ? 0 : this.#disk.write(this.inode, this.path, copy, offset);
    });
  }

  sync(): Promise<void> {
    const beforeSequence = this.inode.sequence;
    return this.#use("sync", "fdatasync", () => {
      if (this.#failedSyncCount < this.inode.failedSyncCount) {
        this.#failedSyncCount = this.inode.failedSyncCount;
        throw failed(this.path, "fdatasync", "EIO");
      }
      try {
        this.#disk.sync(this.inode, this.path, beforeSequence);
      } finally {
        this.#failedSyncCount = this.inode.failedSyncCount;
      }
    });
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#use("names", "ftruncate", () => {
      this.#checkWritable("ftruncate");
      this.#disk.truncate(this.inode, this.path, sizeBytes);
    });
  }

  sizeBytes(): Promise<number> {
    return this.#use("names", "fstat", () => this.inode.sizeBytes);
  }

  /** H2 */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#underWay > 0) {
      this.#quiet = Promise.withResolvers();
      await this.#quiet.promise;
    }
    await this.#mount.ask("names", "close", this.path, () => this.#mount.closed(this));
  }

  async #use<T>(pace: Pace, syscall: string, effect: () => T): Promise<T> {
    if (this.#isClosed) throw failed(this.path, syscall, "EBADF");
    this.#underWay += 1;
    try {
      return await this.#mount.ask(pace, syscall, this.path, effect);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#quiet?.resolve();
    }
  }

  #checkWritable(syscall: string): void {
    if (!this.#isWritable) throw failed(this.path, syscall, "EBADF");
  }
}

/** What is dead waits for nothing. */
const never = <T>(): Promise<T> => new Promise(() => undefined);

/** Nobody is left to be told how it ended. */
function attempt(effect: () => unknown): void {
  try {
    effect();
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
  }
}
