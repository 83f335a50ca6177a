/**
 * A disk in memory that loses what was not synced when the power is cut: of the writes that were under way, each may have happened, or a
 * part of it, or none. Names are durable at once.
 */
import { TroupeError } from "../../src/core/errors.ts";
import type { Disk, DiskFile, FileStatus, OpenMode } from "../../src/core/ports/disk.ts";
import type { Random } from "../../src/core/ports/random.ts";
import { diskFull } from "./faulty-disk.ts";

interface StoredFile {
  /** As every reader sees it. */
  current: Buffer;
  /** As it is after a cut. */
  durable: Buffer;
  unsynced: { readonly bytes: Buffer; readonly offset: number }[];
}

const missing = (path: string): TroupeError => new TroupeError("DISK_FAILED", `${path}: not there`, { facts: { errno: "ENOENT" } });

export class LosingDisk implements Pick<Disk, "open" | "makeDirectory" | "status" | "remove" | "syncDirectory"> {
  readonly #files = new Map<string, StoredFile>();
  readonly #random: Random;
  /** After so many calls the power is cut. */
  callsLeft = Number.POSITIVE_INFINITY;
  /** After so many calls one finds the disk full. */
  callsUntilFull = Number.POSITIVE_INFINITY;
  #generation = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get isCut(): boolean {
    return this.callsLeft <= 0;
  }

  /** The power comes back. Files opened before are not to be used any more. */
  restart(): void {
    this.callsLeft = this.callsUntilFull = Number.POSITIVE_INFINITY;
    this.#generation += 1;
    for (const file of this.#files.values()) {
      for (const { bytes, offset } of file.unsynced.splice(0)) {
        const kept = [0, bytes.length, this.#random.integer(bytes.length + 1)][this.#random.integer(3)] as number;
        file.durable = written(file.durable, bytes.subarray(0, kept), offset);
      }
      file.current = Buffer.from(file.durable);
    }
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#call(path);
    const file = this.#files.get(path) ?? { current: Buffer.alloc(0), durable: Buffer.alloc(0), unsynced: [] };
    if (!this.#files.has(path) && mode !== "create") throw missing(path);
    this.#files.set(path, file);
    const generation = this.#generation;
    const call = async (isWrite = false): Promise<void> => {
      await this.#call(path, isWrite);
      if (generation !== this.#generation) throw new TroupeError("STOPPING", "The power was cut since.");
    };
    return {
      path,
      read: async (into, offset) => {
        await call();
        return file.current.copy(into, 0, offset, offset + into.length);
      },
      write: async (bytes, offset) => {
        await call(true);
        const copy = Buffer.from(bytes);
        file.current = written(file.current, copy, offset);
        file.unsynced.push({ bytes: copy, offset });
        return bytes.length;
      },
      sync: async () => {
        // What is written while it runs is not in it.
        const count = file.unsynced.length;
        await call(true);
        for (const { bytes, offset } of file.unsynced.splice(0, count)) file.durable = written(file.durable, bytes, offset);
      },
      truncate: async (sizeBytes) => {
        await call();
        for (const side of ["current", "durable"] as const)
          file[side] = written(file[side].subarray(0, sizeBytes), Buffer.alloc(0), sizeBytes);
      },
      sizeBytes: async () => file.current.length,
      close: () => Promise.resolve(),
    };
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#call(path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#call(path);
  }

  /** Every directory is there. */
  async status(path: string): Promise<FileStatus> {
    const file = this.#files.get(path);
    return { kind: file === undefined ? "directory" : "file", sizeBytes: file?.current.length ?? 0, modifiedMs: 0 };
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path);
  }

  async #call(path: string, mayBeFull = false): Promise<void> {
    // Callers interleave, as on a real disk.
    if (this.#random.integer(2) === 0) await new Promise(setImmediate);
    this.callsLeft -= 1;
    if (this.isCut) throw new TroupeError("STOPPING", "The power is cut.");
    if (!mayBeFull) return;
    this.callsUntilFull -= 1;
    if (this.callsUntilFull === 0) throw diskFull(path);
  }
}

function written(file: Buffer, bytes: Buffer, offset: number): Buffer {
  const result = Buffer.alloc(Math.max(file.length, offset + bytes.length));
  file.copy(result);
  bytes.copy(result, offset);
  return result;
}
