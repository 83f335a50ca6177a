/**
 * A node's space: what new uploads may still reserve. Declared sizes are reserved at creation, so that a thousand creations cannot
 * fill the disk; the node closes itself to uploads before the disk is full, so that those under way can end.
 *
 * C1: free for uploads = what the disk has free − what is reserved and not yet written − the reserve that stays.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../../core/errors.ts";
import { DISK_RESERVE_BYTES } from "../../core/limits.ts";
import type { Disk } from "../../core/ports/disk.ts";

export interface Space {
  readonly totalBytes: number;
  /** C1; never below 0. */
  readonly freeBytes: number;
  readonly reservedBytes: number;
}

export class Capacity {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #reserveBytes: number;
  /** Reserved and not yet on the disk. */
  #pendingBytes = 0;

  constructor(disk: Disk, path: string, reserveBytes: number = DISK_RESERVE_BYTES) {
    this.#disk = disk;
    this.#path = path;
    this.#reserveBytes = reserveBytes;
  }

  async space(): Promise<Space> {
    const { totalBytes, freeBytes } = await this.#disk.space(this.#path);
    return { totalBytes, freeBytes: Math.max(0, freeBytes - this.#pendingBytes - this.#reserveBytes), reservedBytes: this.#pendingBytes };
  }

  /** @throws {TroupeError} `DISK_FULL`, with what is free */
  async reserve(bytes: number): Promise<void> {
    const { freeBytes } = await this.#disk.space(this.#path);
    // No await between the check and the booking: two creations cannot both take the last space.
    const available = freeBytes - this.#pendingBytes - this.#reserveBytes;
    if (bytes > available)
      throw new TroupeError("DISK_FULL", `${bytes} bytes are wanted and ${Math.max(0, available)} are free for uploads.`, {
        facts: { freeBytes: Math.max(0, available) },
      });
    this.#pendingBytes += bytes;
  }

  /** A reservation made before a restart: it was granted then. */
  restore(bytes: number): void {
    this.#pendingBytes += bytes;
  }

  /** Reserved bytes are on the disk now, or are not needed any more. */
  settle(bytes: number): void {
    assert(bytes <= this.#pendingBytes, "only what was reserved is settled");
    this.#pendingBytes -= bytes;
  }
}
