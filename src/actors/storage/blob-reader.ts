/**
 * Reads blobs, verified: bytes leave only from leaves whose digest was checked within the verify age.
 *
 * R1: a leaf is checked before the first of its bytes is handed out, unless it was checked within the verify age (0: every read). What
 *     was checked is forgotten at restart.
 * R2: a range holds at most one block in memory; the next is read when the reader asks for it.
 * R3: descriptors and verification stamps are bounded; the least recently used go first, and never one that is being read.
 */
import { LRUCache } from "lru-cache";
import { readFully } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES, OPEN_BLOBS_MAX, READ_BLOCK_BYTES, VERIFY_AGE_MS_DEFAULT } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { BlobRange } from "../../core/ports/data-plane.ts";
import type { Disk, DiskFile } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import type { BlobPlace, BlobStore } from "./blob-store.ts";
import { leavesPath } from "./layout.ts";

/** Leaves whose stamps stand on one page: 1 GiB of a blob. */
const PAGE_LEAVES = 16_384;
/** 64 KiB each. */
const STAMP_PAGES_MAX = 1024;

interface BlobReaderPorts {
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly clock: Clock;
  readonly log: Log;
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
  /** When leaves were checked, in seconds since this reader began, plus one; 0 is never. Pages by blob and GiB. */
  readonly #stamps = new LRUCache<string, Uint32Array>({ max: STAMP_PAGES_MAX });
  readonly #startedMs: number;

  constructor(ports: BlobReaderPorts, store: BlobStore, verifyAgeMs: number = VERIFY_AGE_MS_DEFAULT) {
    this.#ports = ports;
    this.#store = store;
    this.#verifyAgeMs = verifyAgeMs;
    this.#startedMs = ports.clock.nowMs();
    this.#open = new LRUCache({ max: OPEN_BLOBS_MAX, dispose: (blob) => this.#evict(blob) });
  }

  get openBlobCount(): number {
    return this.#open.size;
  }

  /**
   * The range's bytes. The first block has been read and verified when this resolves.
   * @throws {TroupeError} `BLOB_NOT_FOUND`, `BLOB_DAMAGED`, `DISK_FAILED`; the stream throws the last two as well
   */
  async read(range: BlobRange): Promise<AsyncIterable<Uint8Array>> {
    const blob = await this.#use(range);
    try {
      if (
        blob.sizeBytes !== range.sizeBytes ||
        range.offset < 0 ||
        range.lengthBytes < 0 ||
        range.offset + range.lengthBytes > blob.sizeBytes
      ) {
        throw new TroupeError("BLOB_DAMAGED", `Blob ${range.blobId} has ${blob.sizeBytes} bytes on this node, not ${range.sizeBytes}.`);
      }
      const endOffset = range.offset + range.lengthBytes;
      const first = range.lengthBytes === 0 ? undefined : await this.#readBlock(blob, range.offset, endOffset);
      return this.#stream(blob, range.offset, endOffset, first);
    } catch (error) {
      await this.#release(blob);
      throw error;
    }
  }

  /** A retired blob's descriptor goes with its last reader, so that the disk gets its bytes back. */
  forget(blobId: number): void {
    this.#open.delete(blobId);
  }

  /** Closes what nobody reads; the rest is closed by its last reader. */
  async close(): Promise<void> {
    this.#open.clear();
    await Promise.allSettled(this.#opening.values());
  }

  #stream(blob: OpenBlob, offset: number, endOffset: number, first: Uint8Array | undefined): AsyncIterable<Uint8Array> {
    const release = (): Promise<void> => this.#release(blob);
    const readBlock = (at: number): Promise<Uint8Array> => this.#readBlock(blob, at, endOffset);
    let isReleased = false;
    const end = async (): Promise<IteratorReturnResult<undefined>> => {
      if (!isReleased) {
        isReleased = true;
        await release();
      }
      return { done: true, value: undefined };
    };
    // Written out rather than as a generator: a generator that was never begun would not release on return().
    let next = first;
    let at = offset;
    return {
      [Symbol.asyncIterator]: () => ({
        next: async (): Promise<IteratorResult<Uint8Array, undefined>> => {
          if (isReleased || at >= endOffset) return await end();
          try {
            const block = next ?? (await readBlock(at));
            next = undefined;
            at += block.length;
            return { done: false, value: block };
          } catch (error) {
            await end();
            throw error;
          }
        },
        return: end,
      }),
    };
  }

  /** From `offset` to the end of its block or of the range. */
  async #readBlock(blob: OpenBlob, offset: number, endOffset: number): Promise<Uint8Array> {
    const blockEnd = Math.min(endOffset, Math.floor(offset / READ_BLOCK_BYTES) * READ_BLOCK_BYTES + READ_BLOCK_BYTES);
    const firstLeaf = Math.floor(offset / LEAF_BYTES);
    const lastLeaf = Math.floor((blockEnd - 1) / LEAF_BYTES);
    if (this.#isVerified(blob, firstLeaf, lastLeaf)) {
      const bytes = Buffer.allocUnsafeSlow(blockEnd - offset);
      await readFully(blob.data, bytes, offset);
      return bytes;
    }
    // R1: whole leaves are read, checked, and then cut to what was asked for.
    const leavesStart = firstLeaf * LEAF_BYTES;
    const bytes = Buffer.allocUnsafeSlow(Math.min(blob.sizeBytes, (lastLeaf + 1) * LEAF_BYTES) - leavesStart);
    const digests = Buffer.allocUnsafe((lastLeaf - firstLeaf + 1) * LEAF_DIGEST_BYTES);
    await Promise.all([readFully(blob.data, bytes, leavesStart), readFully(blob.leaves, digests, firstLeaf * LEAF_DIGEST_BYTES)]);
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) {
      const start = (leaf - firstLeaf) * LEAF_BYTES;
      const expected = digests.subarray((leaf - firstLeaf) * LEAF_DIGEST_BYTES, (leaf - firstLeaf + 1) * LEAF_DIGEST_BYTES);
      if (!expected.equals(this.#ports.hasher.leafDigest(bytes.subarray(start, start + LEAF_BYTES)))) {
        this.#ports.log.error(
          { blobId: blob.place.blobId, path: blob.place.path, leaf, offset: leaf * LEAF_BYTES },
          "A leaf on the disk no longer has its digest; it is not served.",
        );
        throw new TroupeError("BLOB_DAMAGED", `Leaf ${leaf} of blob ${blob.place.blobId} no longer has its digest.`);
      }
    }
    this.#stamp(blob, firstLeaf, lastLeaf);
    return bytes.subarray(offset - leavesStart, blockEnd - leavesStart);
  }

  #isVerified(blob: OpenBlob, firstLeaf: number, lastLeaf: number): boolean {
    if (this.#verifyAgeMs === 0) return false;
    const nowSeconds = this.#nowSeconds();
    const ageSeconds = this.#verifyAgeMs / 1000;
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) {
      const stamp = this.#stamps.get(pageKey(blob, leaf))?.[leaf % PAGE_LEAVES] ?? 0;
      if (stamp === 0 || nowSeconds + 1 - stamp >= ageSeconds) return false;
    }
    return true;
  }

  #stamp(blob: OpenBlob, firstLeaf: number, lastLeaf: number): void {
    if (this.#verifyAgeMs === 0) return;
    const stamp = this.#nowSeconds() + 1;
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) {
      const key = pageKey(blob, leaf);
      let page = this.#stamps.get(key);
      if (page === undefined) {
        const leafCount = Math.ceil(blob.sizeBytes / LEAF_BYTES);
        page = new Uint32Array(Math.min(PAGE_LEAVES, leafCount - Math.floor(leaf / PAGE_LEAVES) * PAGE_LEAVES));
        this.#stamps.set(key, page);
      }
      page[leaf % PAGE_LEAVES] = stamp;
    }
  }

  #nowSeconds(): number {
    return Math.floor((this.#ports.clock.nowMs() - this.#startedMs) / 1000);
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
    const data = await openExisting(disk, path);
    try {
      const leaves = await openExisting(disk, leavesPath(path));
      const blob: OpenBlob = { place, data, leaves, sizeBytes: await data.sizeBytes(), readerCount: 0, isEvicted: false };
      this.#open.set(place.blobId, blob);
      return blob;
    } catch (error) {
      await data.close();
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

const pageKey = (blob: OpenBlob, leaf: number): string => `${blob.place.blobId}:${Math.floor(leaf / PAGE_LEAVES)}`;

async function openExisting(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, "read");
  } catch (error) {
    if (error instanceof TroupeError && error.facts["errno"] === "ENOENT")
      throw new TroupeError("BLOB_NOT_FOUND", undefined, { cause: error });
    throw error;
  }
}
