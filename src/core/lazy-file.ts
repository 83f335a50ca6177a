/**
 * A file that is open only while it is used: an idle upload keeps its place without keeping a descriptor. Behaves as the
 * {@link DiskFile} it opens on demand.
 */
import { TroupeError } from "./errors.ts";
import type { Disk, DiskFile, OpenMode } from "./ports/disk.ts";

export class LazyFile implements DiskFile {
  readonly path: string;
  readonly #disk: Disk;
  readonly #mode: Exclude<OpenMode, "create">;
  #opening: Promise<DiskFile> | undefined;
  #useCount = 0;
  #isClosed = false;

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
    if (this.#useCount === 0) await this.reopenNext();
  }

  /** For good: what still wants to use it is refused with `STOPPING`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.reopenNext();
  }

  /** The next use opens the file anew: after a failed sync, what is open is not believed any more. */
  async reopenNext(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening === undefined) return;
    const file = await opening.catch(() => undefined);
    await file?.close();
  }

  async #use<T>(work: (file: DiskFile) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new TroupeError("STOPPING", `${this.path} has been closed.`);
    this.#useCount += 1;
    try {
      this.#opening ??= this.#open();
      return await work(await this.#opening);
    } finally {
      this.#useCount -= 1;
    }
  }

  #open(): Promise<DiskFile> {
    const opening = this.#disk.open(this.path, this.#mode);
    // Unless another has taken its place, the next use tries again.
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = undefined;
    });
    return opening;
  }
}
