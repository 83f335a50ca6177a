/**
 * Blobs on a node's disk: published whole, read verified, retired before they are removed.
 *
 * B1: a blob's data has its final name only after its record and its leaf digests have theirs.
 * B2: a retired blob is refused to new readers at once, before and after a restart; readers that have it open end in peace.
 */
import { dirname, join } from "node:path";
import { type BlobPlace, blobIdOfPath } from "../../core/blob-path.ts";
import { makeDurableDirectory, publish, readSmallFile, replaceFile, temporaryPath } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import { DELETE_GRACE_MS_DEFAULT } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { FileRecord } from "../catalog/contract.ts";
import { addFile, type BlobRecord, writeRecord } from "./blob-record.ts";
import { type Layout, leavesPath, recordPath } from "./layout.ts";

/** Files of a blob's content, durable under names of their own. */
export interface SyncedBlob {
  readonly dataPath: string;
  readonly leavesPath: string;
}

interface BlobStorePorts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
}

export class BlobStore {
  readonly #ports: BlobStorePorts;
  readonly #layout: Layout;
  readonly #graceMs: number;
  /** Refused to readers. */
  readonly #retired = new Map<number, BlobPlace>();
  /** Those whose mark is durable. */
  readonly #marked = new Set<number>();
  readonly #retiring = new Map<number, Promise<void>>();
  /** The last change of each record that is being changed. */
  readonly #records = new Map<number, Promise<void>>();
  readonly #timers = new Map<number, Timer>();
  readonly #removals = new Set<Promise<void>>();
  #isClosed = false;

  constructor(ports: BlobStorePorts, layout: Layout, graceMs: number = DELETE_GRACE_MS_DEFAULT) {
    this.#ports = ports;
    this.#layout = layout;
    this.#graceMs = graceMs;
  }

  get retiredCount(): number {
    return this.#retired.size;
  }

  /** Remembers what was retired before a restart; its grace begins anew. */
  async recover(): Promise<void> {
    const { disk } = this.#ports;
    for (const folder of [this.#layout.blobs, this.#layout.uploads, this.#layout.retired]) await makeDurableDirectory(disk, folder);
    for (const entry of await disk.readDirectory(this.#layout.retired)) {
      const bytes = await readSmallFile(disk, join(this.#layout.retired, entry.name), 4096);
      const place = bytes === undefined ? undefined : retiredPlace(entry.name, bytes);
      if (place === undefined) await disk.remove(join(this.#layout.retired, entry.name));
      else {
        this.#marked.add(place.blobId);
        this.#scheduleRemoval(place);
      }
    }
  }

  /** The highest ID any blob here has that counts; digits of a path are digits of the ID, so only the last folders are read. */
  async highestBlobId(counts: (blobId: number) => boolean = () => true): Promise<number | undefined> {
    return await this.#highestIn(this.#layout.blobs, [], counts);
  }

  /**
   * The blob's data file. The path is one that IDs are made into, never a client's text.
   * @throws {TroupeError} `BLOB_NOT_FOUND` also for a retired one (B2)
   */
  locate(place: BlobPlace): string {
    if (blobIdOfPath(place.path) !== place.blobId || this.#retired.has(place.blobId)) throw new TroupeError("BLOB_NOT_FOUND");
    return this.#pathOf(place);
  }

  /** Gives synced files their final names. The same again is fine. */
  async publish(place: BlobPlace, synced: SyncedBlob, record: BlobRecord): Promise<void> {
    const { disk } = this.#ports;
    const finalPath = this.#pathOf(place);
    // Directories that an earlier process made may not be durable in their parents yet.
    await makeDurableDirectory(disk, dirname(finalPath), this.#layout.root);
    // B1
    await this.ensureRecord(place, record);
    await publish(disk, synced.leavesPath, leavesPath(finalPath));
    await publish(disk, synced.dataPath, finalPath);
  }

  /** Replaces what a blob's names stand for by other files of the same content. Readers that have the old ones open end with those. */
  async replace(place: BlobPlace, synced: SyncedBlob, record: BlobRecord): Promise<void> {
    const { disk } = this.#ports;
    const finalPath = this.#pathOf(place);
    await makeDurableDirectory(disk, dirname(finalPath), this.#layout.root);
    await this.ensureRecord(place, record);
    for (const [from, to] of [
      [synced.leavesPath, leavesPath(finalPath)],
      [synced.dataPath, finalPath],
    ] as const) {
      const between = mendingPath(to);
      await disk.remove(between);
      await disk.link(from, between);
      await disk.rename(between, to);
      // Two names of one file are both left as they are by a rename: this is done for the second time.
      await disk.remove(between);
    }
    await disk.syncDirectory(dirname(finalPath));
  }

  /**
   * Another file refers to the blob. The same again is fine: whoever reads the record drops repeats. A blob that is not here any more has
   * no record to be kept.
   */
  async recordFile(place: BlobPlace, file: FileRecord): Promise<void> {
    if (blobIdOfPath(place.path) !== place.blobId) throw new TroupeError("BAD_REQUEST", "The path is not the blob's.");
    if (this.#retired.has(place.blobId) || (await this.#ports.disk.status(this.#pathOf(place))) === undefined) return;
    await this.#ofRecord(place, (path) => addFile(this.#ports.disk, path, file));
  }

  /** A record that is there already stays: others may have added their files to it. */
  ensureRecord(place: BlobPlace, record: BlobRecord): Promise<void> {
    return this.#ofRecord(place, async (path) => {
      if ((await this.#ports.disk.status(path)) === undefined) await writeRecord(this.#ports.disk, path, record);
    });
  }

  /** One change of a record at a time. */
  #ofRecord(place: BlobPlace, change: (path: string) => Promise<void>): Promise<void> {
    const before = this.#records.get(place.blobId) ?? Promise.resolve();
    const changed = before.catch(() => undefined).then(() => change(recordPath(this.#pathOf(place))));
    const settled = changed
      .catch(() => undefined)
      .finally(() => {
        if (this.#records.get(place.blobId) === settled) this.#records.delete(place.blobId);
      });
    this.#records.set(place.blobId, settled);
    return changed;
  }

  /** Removes a blob that nothing refers to. It is gone for good when this resolves: nobody may be left who would remove it once more. */
  async discard(place: BlobPlace): Promise<void> {
    const { disk } = this.#ports;
    const path = this.#pathOf(place);
    const leaves = leavesPath(path);
    // B1 the other way round.
    for (const name of [mendingPath(path), path, mendingPath(leaves), leaves]) await disk.remove(name);
    await this.#ofRecord(place, async (record) => {
      for (const name of [temporaryPath(record), record]) await disk.remove(name);
    });
    if ((await disk.status(dirname(path))) !== undefined) await disk.syncDirectory(dirname(path));
  }

  /** B2. Durable when this resolves; the bytes go after the grace, also where the mark found no room on the disk. */
  retire(place: BlobPlace): Promise<void> {
    if (blobIdOfPath(place.path) !== place.blobId) return Promise.reject(new TroupeError("BAD_REQUEST", "The path is not the blob's."));
    if (this.#marked.has(place.blobId)) return Promise.resolve();
    let retiring = this.#retiring.get(place.blobId);
    if (retiring === undefined) {
      this.#retired.set(place.blobId, place);
      retiring = this.#retire(place).finally(() => this.#retiring.delete(place.blobId));
      this.#retiring.set(place.blobId, retiring);
    }
    return retiring;
  }

  async #retire(place: BlobPlace): Promise<void> {
    if ((await this.#ports.disk.status(this.#pathOf(place))) === undefined) {
      this.#retired.delete(place.blobId);
      return;
    }
    try {
      await replaceFile(this.#ports.disk, join(this.#layout.retired, String(place.blobId)), Buffer.from(JSON.stringify(place)));
      this.#marked.add(place.blobId);
    } finally {
      this.#scheduleRemoval(place);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    await Promise.all(this.#removals);
  }

  async #highestIn(folder: string, names: readonly string[], counts: (blobId: number) => boolean): Promise<number | undefined> {
    const entries = (await this.#ports.disk.readDirectory(folder)).map((entry) => entry.name);
    if (names.length === 3) {
      const ids = entries
        .map((name) => blobIdOfPath([...names, name].join("/")))
        .filter((id) => id !== undefined)
        .filter(counts);
      return ids.length === 0 ? undefined : ids.reduce((a, b) => Math.max(a, b));
    }
    for (const name of entries.sort().reverse()) {
      const highest = await this.#highestIn(join(folder, name), [...names, name], counts);
      if (highest !== undefined) return highest;
    }
    return undefined;
  }

  #pathOf(place: BlobPlace): string {
    return join(this.#layout.blobs, place.path);
  }

  #scheduleRemoval(place: BlobPlace): void {
    this.#retired.set(place.blobId, place);
    if (this.#isClosed || this.#timers.has(place.blobId)) return;
    const remove = (): void => {
      this.#timers.delete(place.blobId);
      const removal = this.#remove(place)
        .catch((error: unknown) => {
          this.#ports.log.error(
            { blobId: place.blobId, err: error },
            "A retired blob could not be removed; it is tried again after the grace.",
          );
          this.#scheduleRemoval(place);
        })
        .finally(() => this.#removals.delete(removal));
      this.#removals.add(removal);
    };
    this.#timers.set(place.blobId, this.#ports.clock.setTimer(this.#graceMs, remove));
  }

  async #remove(place: BlobPlace): Promise<void> {
    await this.discard(place);
    await this.#ports.disk.remove(join(this.#layout.retired, String(place.blobId)));
    // An ID is never used again, so that forgetting it cannot let another blob's readers in.
    this.#retired.delete(place.blobId);
    this.#marked.delete(place.blobId);
  }
}

/** What takes the place of a blob's file in a moment; a failure or a death may leave it. */
const mendingPath = (path: string): string => `${path}.mending`;

function retiredPlace(name: string, bytes: Uint8Array): BlobPlace | undefined {
  try {
    const { blobId, path } = JSON.parse(new TextDecoder().decode(bytes)) as Partial<BlobPlace>;
    return typeof path === "string" && blobIdOfPath(path) === blobId && String(blobId) === name
      ? { blobId: blobId as number, path }
      : undefined;
  } catch {
    return undefined;
  }
}
