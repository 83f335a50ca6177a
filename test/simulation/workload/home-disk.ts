/**
 * A client's own disk: every content is there as a file, whose bytes are made when they are read. What the client writes itself, the records of
 * uploads it has begun, lies on a disk of the world and outlives its process.
 */
import { TroupeError } from "../../../src/core/errors.ts";
import type { DirectoryEntry, Disk, DiskFile, DiskSpace, FileStatus, OpenMode } from "../../../src/core/ports/disk.ts";
import { WORLD_BEGAN_MS } from "../simulated-process.ts";
import { Content } from "./content.ts";

export const HOME = "/home/client";
const FILES = "/files/";

/** Where the content lies on every client's disk. */
export function pathOf(content: Content): string {
  return `${FILES}${content.label}`;
}

export class HomeDisk implements Disk {
  readonly #own: Disk;

  /** @param own for all but contents */
  constructor(own: Disk) {
    this.#own = own;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const content = contentAt(path);
    return content === undefined ? await this.#own.open(path, mode) : new ContentFile(path, content);
  }

  async status(path: string): Promise<FileStatus | undefined> {
    const content = contentAt(path);
    if (content === undefined) return await this.#own.status(path);
    return { sizeBytes: content.sizeBytes, modifiedMs: WORLD_BEGAN_MS, kind: "file" };
  }

  makeDirectory(path: string): Promise<void> {
    return this.#own.makeDirectory(path);
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#own.readDirectory(path);
  }

  link(from: string, to: string): Promise<void> {
    return this.#own.link(from, to);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#own.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#own.remove(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#own.syncDirectory(path);
  }

  space(path: string): Promise<DiskSpace> {
    return this.#own.space(path);
  }

  lock(directory: string): Promise<{ release(): Promise<void> }> {
    return this.#own.lock(directory);
  }
}

function contentAt(path: string): Content | undefined {
  const [, seed, size] = new RegExp(`^${FILES}(\\d+)\\.(\\d+)$`).exec(path) ?? [];
  return seed === undefined ? undefined : Content.of(Number(seed), Number(size));
}

/** In the operating system's memory, so that reading takes no time. */
class ContentFile implements DiskFile {
  readonly path: string;
  readonly #content: Content;

  constructor(path: string, content: Content) {
    this.path = path;
    this.#content = content;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    const bytes = this.#content.span(offset, offset + into.length);
    into.set(bytes);
    return bytes.length;
  }

  async sizeBytes(): Promise<number> {
    return this.#content.sizeBytes;
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  async write(): Promise<number> {
    throw this.#readOnly();
  }

  async truncate(): Promise<void> {
    throw this.#readOnly();
  }

  async sync(): Promise<void> {
    throw this.#readOnly();
  }

  #readOnly(): TroupeError {
    return new TroupeError("DISK_FAILED", `${this.path} is only read.`, { facts: { errno: "EBADF" } });
  }
}
