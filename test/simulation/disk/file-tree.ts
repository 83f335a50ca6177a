/**
 * The file system of one machine: names, what they stand for, the space they take, and what a power cut makes of it.
 *
 * S1: the space that is used changes exactly by what is allocated: blocks that were written, of files that have a name or are open.
 */
import { dirname } from "node:path";
import { TroupeError } from "../../../src/core/errors.ts";
import type { DirectoryEntry } from "../../../src/core/ports/disk.ts";
import type { RandomStream } from "../random-streams.ts";
import { DirectoryInode, type EntryChange, type Inode } from "./directory-inode.ts";
import { FileInode } from "./file-inode.ts";

/** What the operating system does by itself, after so long (Linux: 30 s for data by default, less for names). */
const WRITE_BACK_MS = 30_000;
/** How often it looks for what is old enough. */
const WRITE_BACK_EVERY_MS = 5_000;

interface FoundFile {
  readonly path: string;
  readonly inode: FileInode;
}

interface PowerCut {
  /** Names given or taken away that are as they were before. */
  readonly lostNames: number;
  /** Writes and truncations that did not survive whole. */
  readonly lostWrites: number;
}

export class FileTree {
  readonly #top = new DirectoryInode(1);
  readonly #nowMs: () => number;
  #inodeCount = 1;
  #sequence = 0;
  /** Changes of names that may not be durable, in order. */
  #changes: EntryChange[] = [];
  /** Files with changes that may not be durable. */
  readonly #dirty = new Set<FileInode>();
  #usedBytes = 0;
  #writeBackMs = WRITE_BACK_EVERY_MS;

  /** @param root an existing, empty directory, as durable as all above it */
  constructor(nowMs: () => number, root: string) {
    this.#nowMs = nowMs;
    let directory = this.#top;
    for (const name of namesOf(root)) {
      const below = new DirectoryInode(this.#newNumber());
      directory.entries.set(name, below);
      directory.keepAll();
      directory = below;
    }
  }

  /** S1 */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get pendingCount(): number {
    return (
      this.#changes.reduce((count, change) => count + (change.isDurable ? 0 : 1), 0) +
      [...this.#dirty].reduce((count, file) => count + file.pendingCount, 0)
    );
  }

  /** What a sync of a directory that is asked for now is about. */
  get sequence(): number {
    return this.#sequence;
  }

  /** What stands at a path, if anything does. */
  find(path: string): Inode | undefined {
    let inode: Inode = this.#top;
    for (const name of namesOf(path)) {
      const below: Inode | undefined = inode.kind === "directory" ? inode.entries.get(name) : undefined;
      if (below === undefined) return undefined;
      inode = below;
    }
    return inode;
  }

  file(path: string, syscall: string): FileInode {
    const inode = this.#existing(path, syscall, path);
    if (inode.kind === "directory") throw failed(path, syscall, "EISDIR");
    return inode;
  }

  directory(path: string, syscall: string): DirectoryInode {
    const inode = this.#existing(path, syscall, path);
    if (inode.kind !== "directory") throw failed(path, syscall, "ENOTDIR");
    return inode;
  }

  create(path: string, modifiedMs: number): FileInode {
    const directory = this.#parentOf(path, "open", path);
    const name = nameOf(path);
    if (directory.entries.has(name)) throw failed(path, "open", "EEXIST");
    const inode = new FileInode(this.#newNumber(), path, modifiedMs);
    this.#change([{ directory, name, inode }]);
    return inode;
  }

  /** One directory; being there is fine. */
  makeDirectory(path: string): void {
    const found = this.find(path);
    if (found?.kind === "directory") return;
    if (found !== undefined) throw failed(path, "mkdir", "EEXIST");
    const directory = this.#parentOf(path, "mkdir", path);
    this.#change([{ directory, name: nameOf(path), inode: new DirectoryInode(this.#newNumber()) }]);
  }

  link(from: string, to: string): void {
    const inode = this.#existing(from, "link", to);
    const directory = this.#parentOf(to, "link", to);
    const name = nameOf(to);
    if (directory.entries.has(name)) throw failed(to, "link", "EEXIST");
    if (inode.kind === "directory") throw failed(to, "link", "EPERM");
    this.#change([{ directory, name, inode }]);
  }

  rename(from: string, to: string): void {
    const inode = this.#existing(from, "rename", to);
    const before = this.#parentOf(from, "rename", to);
    const directory = this.#parentOf(to, "rename", to);
    const replaced = directory.entries.get(nameOf(to));
    if (replaced === inode) return;
    if (inode.kind === "directory" && `${to}/`.startsWith(`${from}/`)) throw failed(to, "rename", "EINVAL");
    if (replaced?.kind === "directory") {
      if (inode.kind !== "directory") throw failed(to, "rename", "EISDIR");
      if (replaced.entries.size > 0) throw failed(to, "rename", "ENOTEMPTY");
    } else if (replaced !== undefined && inode.kind === "directory") throw failed(to, "rename", "ENOTDIR");
    this.#change([
      { directory: before, name: nameOf(from), inode: undefined },
      { directory, name: nameOf(to), inode },
    ]);
  }

  /** One name. @returns `false` for a directory that is not empty */
  unlink(path: string): boolean {
    const inode = this.find(path);
    if (inode === undefined) return true;
    if (inode.kind === "directory" && inode.entries.size > 0) return false;
    this.#change([{ directory: this.#parentOf(path, "unlink", path), name: nameOf(path), inode: undefined }]);
    return true;
  }

  write(inode: FileInode, bytes: Uint8Array, offset: number): void {
    inode.write(bytes, offset, this.#nowMs());
    this.touched(inode);
  }

  truncate(inode: FileInode, sizeBytes: number): void {
    inode.truncate(sizeBytes, this.#nowMs());
    this.touched(inode);
  }

  /** Call it after whatever may change the space a file takes, or what of it waits. */
  touched(inode: FileInode): void {
    this.#count(inode);
    if (inode.pendingCount > 0) this.#dirty.add(inode);
    else this.#dirty.delete(inode);
    if (this.#nowMs() >= this.#writeBackMs) this.#writeBack();
  }

  /** Every file that has a name, once for each of its names, in an order of no meaning that is always the same. */
  *files(directory: DirectoryInode = this.#top, path = ""): Generator<FoundFile> {
    for (const [name, inode] of directory.entries) {
      if (inode.kind === "directory") yield* this.files(inode, `${path}/${name}`);
      else yield { path: `${path}/${name}`, inode };
    }
  }

  /** What was not durable is kept or lost; nothing waits afterwards. Nobody has a file open any more. */
  cutPower(random: RandomStream): PowerCut {
    this.#writeBack();
    const waiting = this.#changes.filter((change) => !change.isDurable);
    const kept = pickChanges(waiting, random);
    for (const change of waiting) if (kept.has(change)) DirectoryInode.apply(change);
    let lostWrites = 0;
    for (const file of this.#dirty) lostWrites += file.cutPower(random);
    this.#changes = [];
    this.#dirty.clear();
    for (const { inode } of this.files()) inode.linkCount = inode.countedBytes = 0;
    this.#usedBytes = 0;
    resetAll(this.#top);
    for (const { inode } of this.files()) {
      if (inode.linkCount === 0) inode.loseCache();
      inode.linkCount += 1;
      this.#count(inode);
    }
    return { lostNames: waiting.length - kept.size, lostWrites };
  }

  #existing(path: string, syscall: string, told: string): Inode {
    const inode = this.find(path);
    if (inode === undefined) throw failed(told, syscall, this.#missing(path));
    return inode;
  }

  #parentOf(path: string, syscall: string, told: string): DirectoryInode {
    const parent = this.find(dirname(path));
    if (parent?.kind === "directory") return parent;
    throw failed(told, syscall, parent === undefined ? this.#missing(dirname(path)) : "ENOTDIR");
  }

  /** Why nothing is at a path. */
  #missing(path: string): "ENOENT" | "ENOTDIR" {
    let parent = dirname(path);
    while (this.find(parent) === undefined) parent = dirname(parent);
    return this.find(parent)?.kind === "directory" ? "ENOENT" : "ENOTDIR";
  }

  #change(names: EntryChange["names"]): void {
    const before = names.map(({ directory, name }) => directory.entries.get(name));
    const change: EntryChange = { sequence: this.#sequence++, atMs: this.#nowMs(), names, isDurable: false };
    DirectoryInode.change(change);
    this.#changes.push(change);
    // What a name is given first, so that a file that is renamed never has none.
    for (const { inode } of names) if (inode?.kind === "file") inode.linkCount += 1;
    for (const inode of before) {
      if (inode?.kind !== "file") continue;
      inode.linkCount -= 1;
      this.#count(inode);
    }
    if (this.#nowMs() >= this.#writeBackMs) this.#writeBack();
  }

  /** What has waited for long is durable, as {@link DirectoryInode} and {@link FileInode} say. */
  #writeBack(): void {
    this.#writeBackMs = this.#nowMs() + WRITE_BACK_EVERY_MS;
    const beforeMs = this.#nowMs() - WRITE_BACK_MS;
    const changes = this.#changes;
    const first = changes.findIndex((change) => change.atMs >= beforeMs);
    for (const change of first === -1 ? changes.splice(0) : changes.splice(0, first)) {
      if (change.isDurable) continue;
      for (const { directory } of change.names) directory.persist(change.sequence + 1);
    }
    for (const file of this.#dirty) {
      file.writeBack(beforeMs);
      if (file.pendingCount === 0) this.#dirty.delete(file);
    }
  }

  /** S1 */
  #count(inode: FileInode): void {
    const bytes = inode.linkCount + inode.openCount > 0 ? inode.allocatedBytes : 0;
    this.#usedBytes += bytes - inode.countedBytes;
    inode.countedBytes = bytes;
  }

  #newNumber(): number {
    this.#inodeCount += 1;
    return this.#inodeCount;
  }
}

/** As the device has it. */
function resetAll(directory: DirectoryInode): void {
  directory.reset();
  for (const inode of directory.entries.values()) if (inode.kind === "directory") resetAll(inode);
}

/** Of each directory a beginning of its changes, or any of them. */
function pickChanges(waiting: readonly EntryChange[], random: RandomStream): ReadonlySet<EntryChange> {
  const kept = new Set<EntryChange>();
  const byDirectory = new Map<DirectoryInode, EntryChange[]>();
  for (const change of waiting) {
    const { directory } = change.names[0] as EntryChange["names"][number];
    const changes = byDirectory.get(directory);
    if (changes === undefined) byDirectory.set(directory, [change]);
    else changes.push(change);
  }
  for (const changes of byDirectory.values()) {
    const isInOrder = random.chance(0.5);
    const border = random.integer(changes.length + 1);
    changes.forEach((change, index) => {
      if (isInOrder ? index < border : random.chance(0.5)) kept.add(change);
    });
  }
  return kept;
}

/** In an order of no meaning, as file systems that hash names give it. */
export function entriesOf(directory: DirectoryInode): DirectoryEntry[] {
  return [...directory.entries]
    .map(([name, { kind }]): { rank: number; entry: DirectoryEntry } => ({ rank: rankOf(name), entry: { name, kind } }))
    .sort((one, other) => one.rank - other.rank || (one.entry.name < other.entry.name ? -1 : 1))
    .map(({ entry }) => entry);
}

function rankOf(name: string): number {
  let rank = 0;
  for (let index = 0; index < name.length; index += 1) rank = Math.imul(rank ^ name.charCodeAt(index), 0x01000193);
  return rank >>> 0;
}

const namesOf = (path: string): string[] => path.split("/").filter((name) => name !== "" && name !== ".");
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const REASONS: Readonly<Record<string, string>> = {
  EIO: "i/o error",
  ENOSPC: "no space left on device",
  ENOENT: "no such file or directory",
  EEXIST: "file already exists",
};

/** As the real adapter converts it. */
export function failed(path: string, syscall: string, errno: string): TroupeError {
  const reason = REASONS[errno];
  return new TroupeError(
    errno === "ENOSPC" ? "DISK_FULL" : "DISK_FAILED",
    `${path}: ${syscall} failed: ${reason === undefined ? errno : `${reason} (${errno})`}.`,
    { facts: { syscall, errno } },
  );
}
