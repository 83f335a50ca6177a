/**
 * A file that is open only while it is used: an idle upload keeps its place without keeping a descriptor. Behaves as the
 * {@link DiskFile} it opens on demand.
 */
import type { Disk, DiskFile, OpenMode } from "./ports/disk.ts";

export class LazyFile implements DiskFile {
  readonly path: string;
  readonly #disk: Disk;
  readonly #mode: Exclude<OpenMode, "create">;
  #opening: Promise<DiskFile> | undefined;
  #useCount = 0;

  constructor(disk: Disk, path: string, mode: Exclude<OpenMode, "create">) {
    this.#disk = disk;
    this.path = path;
    this.#mode = mode;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return this.#use((file) => file.read(into, offset));
  }

  write(bytes: Uint8Array, offset: number): Promise<number> {
    return this.#use((file) => file.write(bytes, offset));
  }

  sync(): Promise<void> {
    return this.#use((file) => file.sync());
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#use((file) => file.truncate(sizeBytes));
  }

  sizeBytes(): Promise<number> {
    return this.#use((file) => file.sizeBytes());
  }

  /** Gives the descriptor back when nothing is under way; the next use opens the file again. Call it only with nothing unsynced. */
  async rest(): Promise<void> {
    if (this.#useCount === 0) await this.close();
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening !== undefined) await (await opening).close();
  }

  async #use<T>(work: (file: DiskFile) => Promise<T>): Promise<T> {
    this.#useCount += 1;
    try {
      this.#opening ??= this.#open();
      return await work(await this.#opening);
    } finally {
      this.#useCount -= 1;
    }
  }

  async #open(): Promise<DiskFile> {
    try {
      return await this.#disk.open(this.path, this.#mode);
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
  }
}
