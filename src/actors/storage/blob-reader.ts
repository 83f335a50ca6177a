/**
 * Reads blobs, verified: bytes leave only from leaves whose digest was checked within the verify age.
 *
 * R1: a leaf is checked before the first of its bytes is handed out, unless it was checked within the verify age (0: every read). What
 *     was checked is forgotten at restart.
 * R2: a range holds at most one block in memory; the next is read when the reader asks for it.
 * R3: descriptors and stamps are bounded; the least recently used go first, and never a descriptor that is being read.
 * R4: a region of the file is offered only where every leaf is verified and was read moments ago: very likely it is still in memory, and
 *     handing it to a socket does not wait for the disk.
 * R5: a blob that was found damaged is not vouched for until it has been mended; what was found is forgotten at restart.
 */

import { LRUCache } from "lru-cache";
import type { BlobPlace } from "../../core/blob-path.ts";
import { readFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES, OPEN_BLOBS_MAX, READ_BLOCK_BYTES, VERIFY_AGE_MS_DEFAULT } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { ByteIterator, ByteStream, FileRegion } from "../../core/ports/byte-stream.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { BlobRange } from "../../core/ports/data-plane.ts";
import type { Disk, DiskFile } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import { type Counter, type Metrics, SILENT_METRICS } from "../../core/ports/metrics.ts";
import type { BlobStore } from "./blob-store.ts";
import { leavesPath } from "./layout.ts";
import { LeafStamps } from "./leaf-stamps.ts";

/** Leaves read this recently are taken to be in memory (R4). */
const IN_MEMORY_MS = 10_000;
/** Damaged blobs that are remembered (R5). */
const DAMAGED_MAX = 4096;
/** The most one region names: others are served between two. */
const REGION_BYTES_MAX = 1024 * 1024;

interface BlobReaderPorts {
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
}

interface OpenBlob {
  readonly place: BlobPlace;
  readonly data: DiskFile;
  readonly leaves: DiskFile;
  readonly sizeBytes: number;
  readerCount: number;
  /** Fell out of the cache while being read: the last reader closes it. */
  isEvicted: boolean;
}

export class BlobReader {
  readonly #ports: BlobReaderPorts;
  readonly #store: BlobStore;
  readonly #verifyAgeMs: number;
  readonly #open: LRUCache<number, OpenBlob>;
  readonly #opening = new Map<number, Promise<OpenBlob>>();
  readonly #verified: LeafStamps;
  readonly #touched: LeafStamps;
  readonly #damaged = new LRUCache<number, true>({ max: DAMAGED_MAX });
  readonly #bytes: Readonly<Record<"checked" | "trusted" | "handed", Counter>>;
  readonly #damages: Counter;
  #isClosed = false;

  constructor(ports: BlobReaderPorts, store: BlobStore, verifyAgeMs: number = VERIFY_AGE_MS_DEFAULT) {
    this.#ports = ports;
    this.#store = store;
    this.#verifyAgeMs = verifyAgeMs;
    this.#verified = new LeafStamps(ports.clock);
    this.#touched = new LeafStamps(ports.clock);
    this.#open = new LRUCache({ max: OPEN_BLOBS_MAX, dispose: (blob) => this.#evict(blob) });
    const { metrics = SILENT_METRICS } = ports;
    this.#bytes = {
      checked: metrics.counter("troupe_blob_read_bytes_total", { way: "checked" }),
      trusted: metrics.counter("troupe_blob_read_bytes_total", { way: "trusted" }),
      handed: metrics.counter("troupe_blob_read_bytes_total", { way: "handed" }),
    };
    this.#damages = metrics.counter("troupe_blobs_damaged_total", {});
  }

  get openBlobCount(): number {
    return this.#open.size;
  }

  /**
   * The range's bytes. The first of them are known to be readable and right when this resolves.
   * @throws {TroupeError} `BLOB_NOT_FOUND`, `BLOB_DAMAGED`, `DISK_FAILED`; the stream throws the last two as well
   */
  async read(range: BlobRange): Promise<ByteStream> {
    const blob = await this.#use(range);
    try {
      const { sizeBytes, offset, lengthBytes } = range;
      if (blob.sizeBytes !== sizeBytes || offset < 0 || lengthBytes < 0 || offset + lengthBytes > blob.sizeBytes) {
        throw new TroupeError("BLOB_DAMAGED", `Blob ${range.blobId} has ${blob.sizeBytes} bytes on this node, not ${sizeBytes}.`);
      }
      const endOffset = offset + lengthBytes;
      const isReady = lengthBytes === 0 || this.#region(blob, offset, endOffset) !== undefined;
      return this.#stream(blob, offset, endOffset, isReady ? undefined : await this.#readBlock(blob, offset, endOffset));
    } catch (error) {
      await this.#release(blob);
      throw error;
    }
  }

  /** @throws {TroupeError} `BLOB_NOT_FOUND`; `BLOB_DAMAGED` when it has another size; `DISK_FAILED` */
  async mustHold(place: BlobPlace, sizeBytes: number): Promise<void> {
    const path = this.#store.locate(place);
    mustBeWhole(place, this.#open.peek(place.blobId)?.sizeBytes ?? (await this.#ports.disk.status(path))?.sizeBytes, sizeBytes);
  }

  /** The same, as the disk has it now, and that it is not known to be damaged (R5). */
  async mustBeSound(place: BlobPlace, sizeBytes: number): Promise<void> {
    const path = this.#store.locate(place);
    if (this.#damaged.has(place.blobId)) throw new TroupeError("BLOB_DAMAGED");
    mustBeWhole(place, (await this.#ports.disk.status(path))?.sizeBytes, sizeBytes);
  }

  /** The blob was retired or mended. Its descriptor goes with its last reader, so that the disk gets its bytes back. */
  forget(blobId: number): void {
    this.#open.delete(blobId);
    this.#damaged.delete(blobId);
  }

  /** Closes what nobody reads; the rest is closed by its last reader. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#opening.values());
    this.#open.clear();
  }

  /** Reads and checks all of a blob, whatever was checked before. @returns whether every leaf has its digest */
  async isIntact(place: BlobPlace, sizeBytes: number): Promise<boolean> {
    try {
      const blob = await this.#use(place);
      try {
        if (blob.sizeBytes !== sizeBytes) return false;
        for (let offset = 0; offset < sizeBytes; ) offset += (await this.#readBlock(blob, offset, sizeBytes, 0)).length;
        return true;
      } finally {
        await this.#release(blob);
      }
    } catch (error) {
      if (error instanceof TroupeError && ["BLOB_DAMAGED", "BLOB_NOT_FOUND", "DISK_FAILED"].includes(error.code)) return false;
      throw error;
    }
  }

  // Written out rather than as a generator: a generator that was never begun would not release on return().
  #stream(blob: OpenBlob, offset: number, endOffset: number, first: Uint8Array | undefined): ByteStream {
    let isReleased = false;
    let ready = first;
    let at = offset;
    const end = async (): Promise<IteratorReturnResult<undefined>> => {
      if (!isReleased) {
        isReleased = true;
        await this.#release(blob);
      }
      return { done: true, value: undefined };
    };
    const iterator: ByteIterator = {
      next: async () => {
        if (isReleased || at >= endOffset) return await end();
        try {
          const block = ready ?? (await this.#readBlock(blob, at, endOffset));
          ready = undefined;
          at += block.length;
          return { done: false, value: block };
        } catch (error) {
          await end();
          throw error;
        }
      },
      return: end,
      region: () => (isReleased || ready !== undefined || at >= endOffset ? undefined : this.#region(blob, at, endOffset)),
      skip: (countBytes) => {
        this.#touched.stamp(blob.place.blobId, Math.floor(at / LEAF_BYTES), Math.floor((at + countBytes - 1) / LEAF_BYTES));
        this.#bytes.handed.add(countBytes);
        at += countBytes;
      },
    };
    return { [Symbol.asyncIterator]: () => iterator };
  }

  /** R4 */
  #region(blob: OpenBlob, offset: number, endOffset: number): FileRegion | undefined {
    const { descriptor } = blob.data;
    if (descriptor === undefined || this.#verifyAgeMs === 0) return undefined;
    const { blobId } = blob.place;
    const firstLeaf = Math.floor(offset / LEAF_BYTES);
    const lastLeaf = Math.floor((Math.min(endOffset, offset + REGION_BYTES_MAX) - 1) / LEAF_BYTES);
    const touched = this.#touched.countRecent(blobId, firstLeaf, lastLeaf, IN_MEMORY_MS);
    if (touched === 0) return undefined;
    const count = this.#verified.countRecent(blobId, firstLeaf, firstLeaf + touched - 1, this.#verifyAgeMs);
    if (count === 0) return undefined;
    return { descriptor, offset, lengthBytes: Math.min(endOffset, (firstLeaf + count) * LEAF_BYTES) - offset };
  }

  /** From `offset` to the end of its block or of the range. */
  async #readBlock(blob: OpenBlob, offset: number, endOffset: number, verifyAgeMs = this.#verifyAgeMs): Promise<Uint8Array> {
    try {
      return await this.#readVerified(blob, offset, endOffset, verifyAgeMs);
    } catch (error) {
      if (!this.#damaged.has(blob.place.blobId)) this.#damages.add();
      // R5: also where the disk does not give the bytes back.
      this.#damaged.set(blob.place.blobId, true);
      throw error;
    }
  }

  async #readVerified(blob: OpenBlob, offset: number, endOffset: number, verifyAgeMs: number): Promise<Uint8Array> {
    const blockEnd = Math.min(endOffset, Math.floor(offset / READ_BLOCK_BYTES) * READ_BLOCK_BYTES + READ_BLOCK_BYTES);
    const firstLeaf = Math.floor(offset / LEAF_BYTES);
    const lastLeaf = Math.floor((blockEnd - 1) / LEAF_BYTES);
    const { blobId } = blob.place;
    if (this.#verified.countRecent(blobId, firstLeaf, lastLeaf, verifyAgeMs) === lastLeaf - firstLeaf + 1) {
      const bytes = Buffer.allocUnsafeSlow(blockEnd - offset);
      await readFully(blob.data, bytes, offset);
      this.#bytes.trusted.add(bytes.length);
      this.#touched.stamp(blobId, firstLeaf, lastLeaf);
      return bytes;
    }
    // R1: whole leaves are read, checked, and then cut to what was asked for.
    const leavesStart = firstLeaf * LEAF_BYTES;
    const bytes = Buffer.allocUnsafeSlow(Math.min(blob.sizeBytes, (lastLeaf + 1) * LEAF_BYTES) - leavesStart);
    const digests = Buffer.allocUnsafe((lastLeaf - firstLeaf + 1) * LEAF_DIGEST_BYTES);
    await Promise.all([readFully(blob.data, bytes, leavesStart), readFully(blob.leaves, digests, firstLeaf * LEAF_DIGEST_BYTES)]);
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) this.#check(blob, leaf, bytes, leavesStart, digests, firstLeaf);
    this.#bytes.checked.add(bytes.length);
    this.#verified.stamp(blobId, firstLeaf, lastLeaf);
    this.#touched.stamp(blobId, firstLeaf, lastLeaf);
    return bytes.subarray(offset - leavesStart, blockEnd - leavesStart);
  }

  #check(blob: OpenBlob, leaf: number, bytes: Uint8Array, leavesStart: number, digests: Buffer, firstLeaf: number): void {
    const start = leaf * LEAF_BYTES - leavesStart;
    const expected = digests.subarray((leaf - firstLeaf) * LEAF_DIGEST_BYTES, (leaf - firstLeaf + 1) * LEAF_DIGEST_BYTES);
    if (expected.equals(this.#ports.hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES)))) return;
    const { blobId, path } = blob.place;
    this.#ports.log.error(
      { blobId, path, leaf, offset: leaf * LEAF_BYTES },
      "A leaf on the disk no longer has its digest; it is not served.",
    );
    throw new TroupeError("BLOB_DAMAGED", `Leaf ${leaf} of blob ${blobId} no longer has its digest.`);
  }

  async #use(place: BlobPlace): Promise<OpenBlob> {
    const path = this.#store.locate(place);
    let blob = this.#open.get(place.blobId);
    if (blob === undefined) {
      let opening = this.#opening.get(place.blobId);
      if (opening === undefined) {
        opening = this.#openBlob({ blobId: place.blobId, path: place.path }, path).finally(() => this.#opening.delete(place.blobId));
        this.#opening.set(place.blobId, opening);
      }
      blob = await opening;
    }
    blob.readerCount += 1;
    return blob;
  }

  async #openBlob(place: BlobPlace, path: string): Promise<OpenBlob> {
    const { disk } = this.#ports;
    const opened: DiskFile[] = [];
    try {
      const data = await openExisting(disk, path);
      opened.push(data);
      const leaves = await openExisting(disk, leavesPath(path));
      opened.push(leaves);
      const sizeBytes = await data.sizeBytes();
      // It may have been retired meanwhile, or this reader closed.
      this.#store.locate(place);
      if (this.#isClosed) throw new TroupeError("STOPPING");
      const blob: OpenBlob = { place, data, leaves, sizeBytes, readerCount: 0, isEvicted: false };
      this.#open.set(place.blobId, blob);
      return blob;
    } catch (error) {
      await Promise.allSettled(opened.map((file) => file.close()));
      throw error;
    }
  }

  #evict(blob: OpenBlob): void {
    blob.isEvicted = true;
    if (blob.readerCount === 0) void this.#close(blob);
  }

  /** R3 */
  async #release(blob: OpenBlob): Promise<void> {
    blob.readerCount -= 1;
    if (blob.readerCount === 0 && blob.isEvicted) await this.#close(blob);
  }

  async #close(blob: OpenBlob): Promise<void> {
    const results = await Promise.allSettled([blob.data.close(), blob.leaves.close()]);
    for (const result of results)
      if (result.status === "rejected")
        this.#ports.log.warn({ blobId: blob.place.blobId, err: result.reason }, "A blob's file could not be closed.");
  }
}

function mustBeWhole({ blobId }: BlobPlace, heldBytes: number | undefined, sizeBytes: number): void {
  if (heldBytes === undefined) throw new TroupeError("BLOB_NOT_FOUND");
  if (heldBytes !== sizeBytes)
    throw new TroupeError("BLOB_DAMAGED", `Blob ${blobId} has ${heldBytes} bytes on this node, not ${sizeBytes}.`);
}

async function openExisting(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, "read");
  } catch (error) {
    if (error instanceof TroupeError && error.facts["errno"] === "ENOENT")
      throw new TroupeError("BLOB_NOT_FOUND", undefined, { cause: error });
    throw error;
  }
}
