/**
 * A file, whatever its names: what everybody reads (the operating system's page cache), what the device holds, and what is between.
 *
 * N1: a sync makes durable what was written before it was asked for, and nothing of the names.
 * N2: what waits for a write-back longer than that takes is durable without a sync.
 * N3: when the power is cut, each sector is as the device had it or as the cache had it after one of the changes since: so each write is
 *     kept, dropped or torn, and a sector that has a later write has those before it. A truncation is kept or dropped. The file may
 *     have the size of a write whose bytes were dropped: there are zeros then.
 * N4: after a sync that failed, what it was to make durable is clean for the operating system: nobody writes it again, whoever syncs.
 *     Of those bytes each write is durable, or forgotten at once, or read on from the cache until that is gone. Who had the file open
 *     is told once, whoever opens it afterwards is not (as Linux does).
 */
import type { RandomStream } from "../random-streams.ts";
import { type ByteRange, withoutRange, withRange } from "./byte-ranges.ts";
import { BLOCK_BYTES, PagedContent } from "./paged-content.ts";

export const SECTOR_BYTES = 512;

/** A change that is not durable yet. */
type Change = { readonly sequence: number; readonly atMs: number; readonly offset: number } & (
  | { readonly bytes: Uint8Array }
  /** Cut or lengthened to end at the offset. */
  | { readonly bytes?: undefined }
);

/** A write that did not reach the device where it was meant to. */
export interface Stray {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** It is nowhere, instead of in another place. */
  readonly isLost: boolean;
}

/** Takes a piece of a write away on its way to the device. */
type Divert = (inode: FileInode, offset: number, bytes: Uint8Array) => Stray | undefined;

export class FileInode {
  readonly kind = "file";
  readonly number: number;
  /** Where it was made: what is in it. */
  readonly bornPath: string;
  /** As everybody reads it. */
  #cached = new PagedContent();
  /** As it is on the device. */
  #durable = new PagedContent();
  #pending: Change[] = [];
  #sequence = 0;
  /** Names it has, as everybody sees them. */
  linkCount = 0;
  openCount = 0;
  /** The space it takes, as far as the file system has counted it. */
  countedBytes = 0;
  modifiedMs: number;
  /** Syncs that failed (N4). */
  failedSyncCount = 0;
  /** Ranges in which the device holds other bytes than it was given. */
  #damage: readonly ByteRange[] = [];

  constructor(number: number, bornPath: string, modifiedMs: number) {
    this.number = number;
    this.bornPath = bornPath;
    this.modifiedMs = modifiedMs;
  }

  get sizeBytes(): number {
    return this.#cached.sizeBytes;
  }

  get durableBytes(): number {
    return this.#durable.sizeBytes;
  }

  get allocatedBytes(): number {
    return this.#cached.allocatedBytes;
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  /** What a sync that is asked for now is about (N1). */
  get sequence(): number {
    return this.#sequence;
  }

  get damage(): readonly ByteRange[] {
    return this.#damage;
  }

  read(into: Uint8Array, offset: number): number {
    return this.#cached.read(into, offset);
  }

  costOf(offset: number, lengthBytes: number): number {
    return this.#cached.costOf(offset, lengthBytes);
  }

  /** @param bytes are not to change any more */
  write(bytes: Uint8Array, offset: number, atMs: number): void {
    if (bytes.length === 0) return;
    this.#cached.write(bytes, offset);
    this.#add({ sequence: this.#sequence, atMs, offset, bytes });
  }

  truncate(sizeBytes: number, atMs: number): void {
    this.#cached.truncate(sizeBytes);
    this.#add({ sequence: this.#sequence, atMs, offset: sizeBytes });
  }

  /** N1. */
  persist(beforeSequence: number, divert?: Divert): Stray[] {
    const strays: Stray[] = [];
    for (const change of this.#take(beforeSequence)) {
      const stray = change.bytes === undefined ? undefined : divert?.(this, change.offset, change.bytes);
      if (stray === undefined) this.#apply(change);
      else {
        strays.push(stray);
        this.#applyAllBut(change as Change & { bytes: Uint8Array }, stray);
      }
    }
    return strays;
  }

  /** N2 */
  writeBack(beforeMs: number): void {
    const first = this.#pending.findIndex((change) => change.atMs >= beforeMs);
    if (first === 0 || this.#pending.length === 0) return;
    this.persist(first === -1 ? this.#sequence : (this.#pending[first] as Change).sequence);
  }

  /** N4 @returns how many writes will never be durable */
  loseSync(beforeSequence: number, random: RandomStream): number {
    this.failedSyncCount += 1;
    let lostCount = 0;
    for (const change of this.#take(beforeSequence)) {
      const fate = change.bytes === undefined ? 0 : random.integer(3);
      if (fate === 0) this.#apply(change);
      else {
        lostCount += 1;
        if (fate === 1) this.#cached.takeFrom(this.#durable, change.offset, (change.bytes as Uint8Array).length);
      }
    }
    return lostCount;
  }

  /** N3, without the cache. @returns how many changes did not survive whole */
  cutPower(random: RandomStream): number {
    let lostCount = 0;
    const changes = this.#take(this.#sequence);
    // A sector is written as the cache has it by then.
    const cache = this.#durable.clone();
    for (const change of changes) {
      if (change.bytes === undefined) {
        cache.truncate(change.offset);
        if (random.chance(0.5)) this.#apply(change);
        else lostCount += 1;
        continue;
      }
      cache.write(change.bytes, change.offset);
      if (!this.#writeSectors(change.offset, change.offset + change.bytes.length, cache, random)) lostCount += 1;
    }
    return lostCount;
  }

  /** The cache is gone, also where it was clean and not what the device has (N4). */
  loseCache(): void {
    this.#cached = this.#durable.clone();
  }

  /** Bits on the device turn, and whoever reads next sees it. */
  rot(offset: number, mask: number): void {
    const byte = new Uint8Array(1);
    if (this.#durable.read(byte, offset) === 0) return;
    this.#overwrite(Uint8Array.of((byte[0] as number) ^ mask), offset);
  }

  /** A write that was meant for elsewhere hits this file on the device. */
  hit(offset: number, bytes: Uint8Array): void {
    this.#overwrite(bytes.subarray(0, Math.max(0, this.#durable.sizeBytes - offset)), offset);
  }

  #overwrite(bytes: Uint8Array, offset: number): void {
    if (bytes.length === 0) return;
    this.#durable.write(bytes, offset);
    this.#reread({ from: offset, to: offset + bytes.length });
  }

  /** The device holds wrong bytes in the range; from there they come back into the cache, except where newer ones wait to be written. */
  #reread(range: ByteRange): void {
    this.#damage = withRange(this.#damage, range);
    this.#cached.takeFrom(this.#durable, range.from, range.to - range.from);
    for (const { bytes, offset } of this.#pending) {
      if (bytes === undefined) continue;
      const from = Math.max(offset, range.from);
      const to = Math.min(offset + bytes.length, range.to, this.#cached.sizeBytes);
      if (from < to) this.#cached.write(bytes.subarray(from - offset, to - offset), from);
    }
  }

  #add(change: Change): void {
    this.#sequence += 1;
    this.#pending.push(change);
  }

  #take(beforeSequence: number): Change[] {
    const first = this.#pending.findIndex((change) => change.sequence >= beforeSequence);
    return first === -1 ? this.#pending.splice(0) : this.#pending.splice(0, first);
  }

  #apply({ bytes, offset }: Change): void {
    if (bytes === undefined) {
      this.#durable.truncate(offset);
      this.#heal({ from: offset, to: Number.POSITIVE_INFINITY });
    } else {
      this.#durable.write(bytes, offset);
      this.#heal({ from: offset, to: offset + bytes.length });
    }
  }

  /** The size is right, and so are all bytes but the stray's: there is what was there before. */
  #applyAllBut({ bytes, offset }: Change & { bytes: Uint8Array }, stray: Stray): void {
    const from = stray.offset;
    const to = from + stray.bytes.length;
    if (this.#durable.sizeBytes < offset + bytes.length) this.#durable.truncate(offset + bytes.length);
    this.#apply({ sequence: 0, atMs: 0, offset, bytes: bytes.subarray(0, from - offset) });
    this.#apply({ sequence: 0, atMs: 0, offset: to, bytes: bytes.subarray(to - offset) });
    this.#reread({ from, to });
  }

  #heal(range: ByteRange): void {
    if (this.#damage.length > 0) this.#damage = withoutRange(this.#damage, range);
  }

  /** Writes some sectors of a range as the cache has them (N3). @returns whether it was all of them */
  #writeSectors(from: number, to: number, cache: PagedContent, random: RandomStream): boolean {
    const first = Math.floor(from / SECTOR_BYTES);
    const count = Math.ceil(to / SECTOR_BYTES) - first;
    const pick = pickSectors(count, random);
    let isWhole = true;
    for (let start = 0; start < count; ) {
      const isKept = pick(start);
      let end = start + 1;
      while (end < count && pick(end) === isKept) end += 1;
      if (isKept) {
        const offset = (first + start) * SECTOR_BYTES;
        const bytes = new Uint8Array(Math.min((first + end) * SECTOR_BYTES, cache.sizeBytes) - offset);
        cache.read(bytes, offset);
        this.#apply({ sequence: 0, atMs: 0, offset, bytes });
      } else isWhole = false;
      start = end;
    }
    if (!isWhole && random.chance(0.25) && this.#durable.sizeBytes < to) this.#durable.truncate(to);
    return isWhole;
  }
}

/** All, none, those up to one, those from one on, or some whole pages of the cache. */
function pickSectors(count: number, random: RandomStream): (sector: number) => boolean {
  const border = random.integer(count + 1);
  switch (random.integer(6)) {
    case 0:
    case 1:
      return () => true;
    case 2:
      return () => false;
    case 3:
      return (sector) => sector < border;
    case 4:
      return (sector) => sector >= border;
    default: {
      const pages = random.bytes(Math.ceil((count * SECTOR_BYTES) / BLOCK_BYTES));
      return (sector) => ((pages[Math.floor((sector * SECTOR_BYTES) / BLOCK_BYTES)] as number) & 1) === 1;
    }
  }
}
