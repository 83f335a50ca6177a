/**
 * The disk of one machine: it outlives its processes. Bytes and names are durable as the operating system promises and not a bit more
 * (file-inode.ts, directory-inode.ts); the faults that have begun strike here.
 *
 * D1: what a process had asked for when it died has happened then, or never does: nothing of a life reaches the disk after it.
 * D2: its open files and locks end with a life.
 * D3: bytes go wrong only in data and leaf digests (stored-kind.ts), and what went wrong is known: see {@link SimulatedDisk.damaged}.
 */
import type { Disk, DiskSpace } from "../../../src/core/ports/disk.ts";
import { ActiveFaults } from "../active-faults.ts";
import type { Fault } from "../fault.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Death, SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import type { ByteRange } from "./byte-ranges.ts";
import { type FileInode, SECTOR_BYTES, type Stray } from "./file-inode.ts";
import { FileTree, failed } from "./file-tree.ts";
import { MountedDisk } from "./mounted-disk.ts";
import { BLOCK_BYTES } from "./paged-content.ts";
import { storedKindOf } from "./stored-kind.ts";
import { Strikes } from "./strikes.ts";

/** Files whose bytes on the device are not those they were given. */
interface DamagedFile {
  /** All its names now. */
  readonly paths: readonly string[];
  readonly ranges: readonly ByteRange[];
}

const TOTAL_BYTES = 1024 ** 3;

export class SimulatedDisk {
  readonly world: World;
  readonly name: string;
  readonly root: string;
  readonly totalBytes: number;
  readonly tree: FileTree;
  readonly faults: ActiveFaults;
  readonly strikes = new Strikes();
  readonly #timing: RandomStream;
  readonly #ending: RandomStream;
  readonly #mounts = new Set<MountedDisk>();
  /** Something ever went wrong (D3). */
  #isHurt = false;
  /** Space that others than the process took, by fault. */
  readonly #ballast = new Map<Fault, number>();

  /**
   * @param name of the process whose disk it is
   * @param root an existing, empty directory
   */
  constructor(world: World, name: string, root: string, totalBytes: number = TOTAL_BYTES) {
    this.world = world;
    this.name = name;
    this.root = root;
    this.totalBytes = totalBytes;
    this.tree = new FileTree(() => world.nowMs, root);
    this.faults = new ActiveFaults(world, name);
    this.#timing = world.random.stream(name, "disk timing");
    this.#ending = world.random.stream(name, "disk ending");
  }

  /** For one life. */
  mount(process: SimulatedProcess): Disk {
    const mount = new MountedDisk(this, process);
    this.#mounts.add(mount);
    this.strikes.mounted(this.world.nowMs);
    process.onDeath((death) => this.#unmount(mount, death));
    return mount;
  }

  // What an oracle looks at.

  /** All files as the operating system shows them, by path. */
  files(): { readonly path: string; readonly sizeBytes: number }[] {
    return [...this.tree.files()]
      .map(({ path, inode }) => ({ path, sizeBytes: inode.sizeBytes }))
      .sort((one, other) => (one.path < other.path ? -1 : 1));
  }

  get openFileCount(): number {
    return [...this.#mounts].reduce((count, mount) => count + mount.openFileCount, 0);
  }

  /** Changes of bytes and names that are not durable. */
  get pendingCount(): number {
    return this.tree.pendingCount;
  }

  /** D3 */
  damaged(): DamagedFile[] {
    if (!this.#isHurt) return [];
    const paths = new Map<FileInode, string[]>();
    for (const { path, inode } of this.tree.files()) {
      if (inode.damage.length > 0) paths.set(inode, [...(paths.get(inode) ?? []), path]);
    }
    return [...paths].map(([inode, names]) => ({ paths: names.sort(), ranges: inode.damage }));
  }

  /** Ranges of wrong bytes at a path; none where all is well. */
  damageAt(path: string): readonly ByteRange[] {
    const inode = this.tree.find(path);
    return inode?.kind === "file" ? inode.damage : [];
  }

  // What a mounted disk needs.

  /** How long a call takes. */
  delayOf(call: "names" | "bytes" | "sync"): number {
    const random = this.#timing;
    const usualMs = call === "sync" ? random.between(0.5, 4) : call === "bytes" ? random.between(0.05, 0.3) : random.between(0.02, 0.1);
    if (!this.faults.hits("disk.slow")) return usualMs;
    return usualMs + this.faults.stream("disk.slow").between(0, Number(this.faults.of("disk.slow")?.with["delayMsMax"]));
  }

  get space(): DiskSpace {
    const unseen = this.faults.of("disk.full")?.with["isUnseen"] === true;
    const freeBytes = unseen ? this.totalBytes - this.tree.usedBytes : this.#roomBytes;
    return { totalBytes: this.totalBytes, freeBytes: Math.max(0, freeBytes) };
  }

  /** Something on the disk is about to be looked at. @throws an error of the operating system when it cannot be read */
  reading(path: string, syscall: string): void {
    if (this.#hits("disk.io-error-read", path)) throw failed(path, syscall, "EIO");
  }

  read(inode: FileInode, path: string, into: Uint8Array, offset: number): number {
    this.reading(path, "read");
    return inode.read(into, offset);
  }

  /** @returns how many bytes of it were taken */
  write(inode: FileInode, path: string, bytes: Uint8Array, offset: number): number {
    if (this.#hits("disk.io-error-write", path)) {
      const random = this.faults.stream("disk.io-error-write");
      if (random.chance(0.5)) this.tree.write(inode, bytes.subarray(0, random.integer(bytes.length + 1)), offset);
      throw failed(path, "write", "EIO");
    }
    let taken = this.#takes(inode, path, bytes.length, offset);
    if (taken > 1 && this.faults.hits("disk.short-write")) taken = 1 + this.faults.stream("disk.short-write").integer(taken - 1);
    this.tree.write(inode, bytes.subarray(0, taken), offset);
    return taken;
  }

  truncate(inode: FileInode, path: string, sizeBytes: number): void {
    this.changing(path, "ftruncate");
    this.tree.truncate(inode, sizeBytes);
  }

  /** @param beforeSequence of the file, when the sync was asked for */
  sync(inode: FileInode, path: string, beforeSequence: number): void {
    if (inode.pendingCount > 0 && this.#roomBytes < 0 && this.#isFoundFullLate) {
      this.faults.count("disk.full");
      this.strikes.struck("disk.full", path, this.world.nowMs);
      this.#loseSync(inode, beforeSequence, "disk.full");
      throw failed(path, "fdatasync", "ENOSPC");
    }
    if (this.#failsSync(path)) {
      this.#loseSync(inode, beforeSequence, "disk.sync-error");
      throw failed(path, "fdatasync", "EIO");
    }
    const strays = inode.persist(beforeSequence, (file, offset, bytes) => this.#divert(file, offset, bytes));
    for (const stray of strays) this.#land(stray, inode);
    this.tree.touched(inode);
  }

  /** Before a change of a name or a length. @param needs whether it takes space */
  changing(path: string, syscall: string, needs: "space" | "nothing" = "nothing"): void {
    if (this.#hits("disk.io-error-write", path)) throw failed(path, syscall, "EIO");
    if (needs === "space" && this.#roomBytes < BLOCK_BYTES && !this.#isFoundFullLate) {
      this.faults.count("disk.full");
      throw failed(path, syscall, "ENOSPC");
    }
  }

  syncDirectory(path: string, beforeSequence: number): void {
    const directory = this.tree.directory(path, "open");
    if (this.#failsSync(path)) throw failed(path, "fsync", "EIO");
    directory.persist(beforeSequence);
  }

  // What faults do.

  /** Others fill the disk, but for so many bytes. */
  fill(fault: Fault, leftBytes: number): void {
    this.#ballast.set(fault, Math.max(0, this.#roomBytes - leftBytes));
    this.strikes.filled();
    this.faults.begin(fault);
  }

  unfill(fault: Fault): void {
    this.#ballast.delete(fault);
    if (this.#ballast.size === 0) this.strikes.emptied(this.world.nowMs);
    this.faults.end(fault);
  }

  /**
   * Some bits of stored data turn.
   * @param which and where, each a part of the whole: 0 is the first, 1 past the last
   * @returns the file's path, if there is one
   */
  rot(kind: "data" | "leaves", which: number, where: number, bytes: number): string | undefined {
    const found = this.#filesOf(kind);
    const file = found[Math.floor(which * found.length)];
    if (file === undefined) return undefined;
    const first = Math.floor(where * file.inode.durableBytes);
    for (let offset = first; offset < Math.min(first + bytes, file.inode.durableBytes); offset += 1)
      file.inode.rot(offset, 1 << (offset % 8));
    this.#isHurt = true;
    this.strikes.struck("disk.rot", file.inode.bornPath, this.world.nowMs);
    this.tree.touched(file.inode);
    return file.path;
  }

  /** Free space; below 0 when more was taken than there is, which is found out late. */
  get #roomBytes(): number {
    let ballastBytes = 0;
    for (const bytes of this.#ballast.values()) ballastBytes = Math.max(ballastBytes, bytes);
    return this.totalBytes - this.tree.usedBytes - ballastBytes;
  }

  /** Writes are taken without asking for room; that there is none is found out by a sync. */
  get #isFoundFullLate(): boolean {
    return this.faults.of("disk.full")?.with["isLate"] === true;
  }

  /** As much of a write as there is room for. */
  #takes(inode: FileInode, path: string, lengthBytes: number, offset: number): number {
    const roomBytes = this.#roomBytes;
    if (roomBytes >= lengthBytes + 2 * BLOCK_BYTES || inode.costOf(offset, lengthBytes) <= roomBytes || this.#isFoundFullLate)
      return lengthBytes;
    this.faults.count("disk.full");
    let taken = 0;
    for (;;) {
      const next = Math.min(lengthBytes, (Math.floor((offset + taken) / BLOCK_BYTES) + 1) * BLOCK_BYTES - offset);
      if (inode.costOf(offset, next) > roomBytes) break;
      taken = next;
    }
    if (taken === 0) throw failed(path, "write", "ENOSPC");
    return taken;
  }

  /** Such a fault may be one of a folder alone. */
  #failsSync(path: string): boolean {
    const folder = this.faults.of("disk.sync-error")?.with["folder"];
    return (folder === undefined || path.includes(`/${folder}/`)) && this.#hits("disk.sync-error", path);
  }

  /** Whether a fault of the kind takes effect now. */
  #hits(kind: string, path: string): boolean {
    if (!this.faults.hits(kind)) return false;
    this.strikes.struck(kind, path, this.world.nowMs);
    return true;
  }

  #loseSync(inode: FileInode, beforeSequence: number, kind: string): void {
    const lost = inode.loseSync(beforeSequence, this.faults.stream(kind));
    this.world.note(`${this.name} ${kind}: ${lost} writes of ${inode.bornPath} are lost`);
    this.tree.touched(inode);
  }

  /** A piece of a write that goes astray on its way to the device, or nowhere. */
  #divert(inode: FileInode, offset: number, bytes: Uint8Array): Stray | undefined {
    if (storedKindOf(inode.bornPath) === "other") return undefined;
    for (const kind of ["disk.lost-write", "disk.misdirected-write"]) {
      if (!this.#hits(kind, inode.bornPath)) continue;
      this.#isHurt = true;
      const random = this.faults.stream(kind);
      const start = random.integer(Math.ceil(bytes.length / SECTOR_BYTES)) * SECTOR_BYTES;
      const piece = bytes.subarray(start, start + SECTOR_BYTES * (1 + random.integer(8)));
      this.world.note(`${this.name} ${kind}: ${piece.length} bytes at ${offset + start} of ${inode.bornPath}`);
      return { offset: offset + start, bytes: piece, isLost: kind === "disk.lost-write" };
    }
    return undefined;
  }

  #land(stray: Stray, from: FileInode): void {
    if (stray.isLost) return;
    const random = this.faults.stream("disk.misdirected-write");
    const files = [...this.#filesOf("data"), ...this.#filesOf("leaves")];
    if (files.length === 0) return;
    const { inode, path } = random.pick(files);
    const sector = random.integer(Math.ceil(inode.durableBytes / SECTOR_BYTES));
    // Its own place is where it was meant to be.
    if (inode === from && sector * SECTOR_BYTES === stray.offset) return;
    this.world.note(`${this.name} a write lands at ${sector * SECTOR_BYTES} of ${path}`);
    inode.hit(sector * SECTOR_BYTES, stray.bytes);
    this.strikes.struck("disk.misdirected-write", inode.bornPath, this.world.nowMs);
    this.tree.touched(inode);
  }

  /** Durable content of a kind, each once, in the order in which it was made. */
  #filesOf(kind: "data" | "leaves"): { readonly path: string; readonly inode: FileInode }[] {
    const found = new Map<FileInode, string>();
    for (const { path, inode } of this.tree.files())
      if (inode.durableBytes > 0 && storedKindOf(path) === kind && !found.has(inode)) found.set(inode, path);
    return [...found].map(([inode, path]) => ({ path, inode })).sort((one, other) => one.inode.number - other.inode.number);
  }

  /** D1, D2 */
  #unmount(mount: MountedDisk, death: Death): void {
    this.#mounts.delete(mount);
    mount.end(this.#ending);
    if (death !== "power") return;
    const { lostNames, lostWrites } = this.tree.cutPower(this.#ending);
    if (lostNames > 0) this.world.counts.add("disk.power.lost-names", lostNames);
    if (lostWrites > 0) this.world.counts.add("disk.power.lost-writes", lostWrites);
    this.world.note(`${this.name} disk without power: ${lostNames} names and ${lostWrites} writes are lost`);
  }
}
