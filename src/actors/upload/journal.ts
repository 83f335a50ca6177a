/**
 * An upload's journal: an append-only file from which the session is rebuilt after its process ended in any way.
 *
 * An entry is: length of the rest (4 bytes, little-endian), a check (16 bytes, the leaf digest of the body), the body. The first byte
 * of a body says what it is. Entries of chunks and tails are binary: index (4), length in bytes (4), leaf digests (16 each): of a tail only
 * those from the first leaf on that changed. The others are JSON.
 *
 * J1: an entry is answered for only after a sync that began when it had been written.
 * J2: an entry that does not check ends the journal, unless a right one follows it: then it has rotted, and only what it said is lost (a
 *     chunk is missing again). A torn tail was never answered for.
 * J3: entries appended while a sync is under way share the next one.
 * J4: what is appended to a journal of an earlier version comes after its plan once more, with this version: a program that does not know
 *     the entries that follow refuses it.
 */
import assert from "node:assert/strict";
import { readFully, writeFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LazyFile } from "../../core/lazy-file.ts";
import { CHUNK_BYTES_MAX, LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../core/limits.ts";
import type { Disk, DiskFile } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import type { FileDigests } from "../../core/shapes.ts";
import type { UploadCreation } from "./ports.ts";

export const JOURNAL_FORMAT_VERSION = 2;

/** Where a committed file's bytes will be: decided once, so that a commit repeated after a crash names the same blob. */
export interface CommitPlan {
  readonly blobId: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly digests: FileDigests;
}

/** A journal begins with it; another one after it says the same in a later version (J4). */
interface PlanEntry extends UploadCreation {
  readonly kind: "plan";
  readonly formatVersion: number;
}

export type JournalEntry =
  | PlanEntry
  | { readonly kind: "chunk"; readonly index: number; readonly lengthBytes: number; readonly leafDigests: Uint8Array }
  /**
   * So much of a chunk's beginning is durable; the digests are those of its last leaves, and those before them are as they were. In place of
   * any tail recorded before; a length of 0: there is none any more.
   */
  | { readonly kind: "tail"; readonly index: number; readonly lengthBytes: number; readonly leafDigests: Uint8Array }
  /** The size of an upload that was begun without one. */
  | { readonly kind: "size"; readonly sizeBytes: number }
  /** A chunk recorded before is damaged on the disk and was forgotten. */
  | { readonly kind: "lost"; readonly index: number }
  /** A merge was asked for: it goes on after a restart without being asked again. */
  | { readonly kind: "merge"; readonly sizeBytes: number }
  /** Nothing had come for so long: an upload's idle time goes on after a restart. */
  | { readonly kind: "idle"; readonly idleMs: number }
  | ({ readonly kind: "commit" } & CommitPlan);

const CHUNK = 1;
const JSON_ENTRY = 2;
const TAIL = 3;
const PREFIX_BYTES = 4 + LEAF_DIGEST_BYTES;
const CHUNK_HEAD_BYTES = 9;
const BODY_BYTES_MAX = Math.max(64 * 1024, CHUNK_HEAD_BYTES + (CHUNK_BYTES_MAX / LEAF_BYTES) * LEAF_DIGEST_BYTES);

export function encodeEntry(entry: JournalEntry, hasher: Hasher): Uint8Array {
  const body = encodeBody(entry);
  assert(body.length <= BODY_BYTES_MAX, "an entry has a bounded length");
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + body.length);
  bytes.writeUInt32LE(body.length, 0);
  bytes.set(hasher.leafDigest(body), 4);
  bytes.set(body, PREFIX_BYTES);
  return bytes;
}

function encodeBody(entry: JournalEntry): Uint8Array {
  if (entry.kind !== "chunk" && entry.kind !== "tail")
    return Buffer.concat([Buffer.from([JSON_ENTRY]), Buffer.from(JSON.stringify(entry))]);
  const body = Buffer.allocUnsafe(CHUNK_HEAD_BYTES + entry.leafDigests.length);
  body.writeUInt8(entry.kind === "chunk" ? CHUNK : TAIL, 0);
  body.writeUInt32LE(entry.index, 1);
  body.writeUInt32LE(entry.lengthBytes, 5);
  body.set(entry.leafDigests, CHUNK_HEAD_BYTES);
  return body;
}

/** `undefined` when the body is none this version wrote. */
function decodeBody(body: Buffer): JournalEntry | undefined {
  if ((body[0] === CHUNK || body[0] === TAIL) && body.length >= CHUNK_HEAD_BYTES) {
    const index = body.readUInt32LE(1);
    const lengthBytes = body.readUInt32LE(5);
    const leafDigests = body.subarray(CHUNK_HEAD_BYTES);
    const allBytes = Math.ceil(lengthBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES;
    if (body[0] === CHUNK) return leafDigests.length === allBytes ? { kind: "chunk", index, lengthBytes, leafDigests } : undefined;
    return leafDigests.length % LEAF_DIGEST_BYTES === 0 && leafDigests.length <= allBytes
      ? { kind: "tail", index, lengthBytes, leafDigests }
      : undefined;
  }
  if (body[0] !== JSON_ENTRY) return undefined;
  return JSON.parse(body.subarray(1).toString()) as JournalEntry;
}

/** An entry with the place it begins at. */
export interface ReadEntry {
  readonly offset: number;
  readonly entry: JournalEntry;
}

/** Reads entries in order up to the end or the torn tail (J2). Chunk entries keep their digests only until the next one is asked for. */
export async function* readJournal(
  file: DiskFile,
  hasher: Hasher,
): AsyncGenerator<ReadEntry, { readonly endOffset: number; readonly isTorn: boolean }> {
  const sizeBytes = await file.sizeBytes();
  let offset = 0;
  while (offset < sizeBytes) {
    const found = await readEntry(file, offset, sizeBytes, hasher);
    if (found.entry !== undefined) yield { offset, entry: found.entry };
    const { nextOffset } = found;
    // J2
    const isTail =
      nextOffset === undefined || (found.entry === undefined && (await readEntry(file, nextOffset, sizeBytes, hasher)).entry === undefined);
    if (isTail) return { endOffset: offset, isTorn: true };
    offset = nextOffset;
  }
  return { endOffset: offset, isTorn: false };
}

/** The entry at the offset, if it checks, and where the next one begins, if its length can be believed. */
async function readEntry(file: DiskFile, offset: number, sizeBytes: number, hasher: Hasher): Promise<FoundEntry> {
  if (offset + PREFIX_BYTES > sizeBytes) return {};
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  await readFully(file, prefix, offset);
  const length = prefix.readUInt32LE(0);
  const nextOffset = offset + PREFIX_BYTES + length;
  if (length === 0 || length > BODY_BYTES_MAX || nextOffset > sizeBytes) return {};
  const body = Buffer.allocUnsafe(length);
  await readFully(file, body, offset + PREFIX_BYTES);
  const entry = prefix.subarray(4).equals(hasher.leafDigest(body)) ? decodeBody(body) : undefined;
  return entry === undefined ? { nextOffset } : { entry, nextOffset };
}

type FoundEntry =
  | { readonly entry: JournalEntry; readonly nextOffset: number }
  | { readonly entry?: undefined; readonly nextOffset?: number };

interface Waiting {
  readonly bytes: Uint8Array;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

export class Journal {
  readonly #file: LazyFile;
  readonly #hasher: Hasher;
  #endOffset: number;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #broken: unknown;
  /** J4: what has to be written before anything else. */
  #preface: Uint8Array | undefined;

  /** @param plan as it says last, if it can be read */
  private constructor(file: LazyFile, hasher: Hasher, endOffset: number, plan?: PlanEntry) {
    this.#file = file;
    this.#hasher = hasher;
    this.#endOffset = endOffset;
    if (plan !== undefined && plan.formatVersion < JOURNAL_FORMAT_VERSION)
      this.#preface = encodeEntry({ ...plan, formatVersion: JOURNAL_FORMAT_VERSION }, hasher);
  }

  /** A new journal with its plan, synced. The caller syncs the directory. */
  static async create(disk: Disk, path: string, hasher: Hasher, creation: UploadCreation): Promise<Journal> {
    await (await disk.open(path, "create")).close();
    const journal = new Journal(new LazyFile(disk, path, "write"), hasher, 0);
    try {
      await journal.append({ kind: "plan", formatVersion: JOURNAL_FORMAT_VERSION, ...creation });
      return journal;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  /**
   * Opens a journal for appending, handing each entry to `take`. The torn tail, if any, is cut off.
   * @throws {TroupeError} `FORMAT_TOO_NEW`
   */
  static async open(disk: Disk, path: string, hasher: Hasher, take: (read: ReadEntry) => void): Promise<Journal> {
    const file = new LazyFile(disk, path, "write");
    let plan: PlanEntry | undefined;
    try {
      const entries = readJournal(file, hasher);
      for (;;) {
        const next = await entries.next();
        if (next.done) {
          if (next.value.isTorn) {
            await file.truncate(next.value.endOffset);
            await file.sync();
          }
          return new Journal(file, hasher, next.value.endOffset, plan);
        }
        const { entry } = next.value;
        if (entry.kind === "plan") plan = entry;
        if (entry.kind === "plan" && entry.formatVersion > JOURNAL_FORMAT_VERSION)
          throw new TroupeError(
            "FORMAT_TOO_NEW",
            `${path} has journal format ${entry.formatVersion}; this program reads ${JOURNAL_FORMAT_VERSION}.`,
          );
        take(next.value);
      }
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** @returns where the entry begins, once it is durable (J1) */
  append(entry: JournalEntry): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      this.#waiting.push({ bytes: encodeEntry(entry, this.#hasher), resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Leaf digests of a received chunk. */
  async readLeafDigests(offset: number): Promise<Uint8Array> {
    const { entry } = await readEntry(this.#file, offset, this.#endOffset, this.#hasher);
    if (entry?.kind !== "chunk")
      throw new TroupeError("DISK_FAILED", `The journal ${this.#file.path} no longer has its entry at ${offset}.`);
    return entry.leafDigests;
  }

  /** Gives the descriptor back while nothing is appended. */
  async rest(): Promise<void> {
    if (this.#running === undefined) await this.#file.rest();
  }

  /** @param last of use to the next start, and promised to nobody: it is written, and not waited for until it is durable */
  async close(last?: JournalEntry): Promise<void> {
    const stopping = new TroupeError("STOPPING");
    this.#broken ??= stopping;
    await this.#running;
    try {
      if (last !== undefined && this.#broken === stopping)
        await writeFully(this.#file, this.#prefaced([encodeEntry(last, this.#hasher)]), this.#endOffset);
    } finally {
      await this.#file.close();
    }
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      // J3
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await writeFully(this.#file, this.#prefaced(batch.map((waiting) => waiting.bytes)), this.#endOffset);
        await this.#file.sync();
        this.#endOffset += this.#preface?.length ?? 0;
        this.#preface = undefined;
        for (const waiting of batch) {
          waiting.resolve(this.#endOffset);
          this.#endOffset += waiting.bytes.length;
        }
      } catch (error) {
        await this.#giveUp(batch, error);
      }
    }
    // In the same step as the last look: what is appended from now on begins another run.
    this.#running = undefined;
  }

  /** J4 */
  #prefaced(entries: readonly Uint8Array[]): Uint8Array {
    const all = this.#preface === undefined ? entries : [this.#preface, ...entries];
    return all.length === 1 ? (all[0] as Uint8Array) : Buffer.concat(all);
  }

  /** A full disk leaves the journal as it was before the batch; after any other failure nothing more can be promised. */
  async #giveUp(batch: readonly Waiting[], error: unknown): Promise<void> {
    const isFull = error instanceof TroupeError && error.code === "DISK_FULL";
    try {
      if (isFull) {
        await this.#file.truncate(this.#endOffset);
        // A file object whose sync failed is not believed again; what follows is written and synced through another.
        await this.#file.reopenNext();
      } else this.#broken = error;
    } catch (truncateError) {
      this.#broken = truncateError;
    }
    for (const waiting of [...batch, ...(this.#broken === undefined ? [] : this.#waiting.splice(0))]) waiting.reject(error);
  }
}
