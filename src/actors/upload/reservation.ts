/** The space of its node that an upload has reserved and not yet filled. */
import type { SessionNode } from "./ports.ts";

export class Reservation {
  readonly #node: SessionNode;
  #bytes = 0;

  constructor(node: SessionNode) {
    this.#node = node;
  }

  /** @throws {TroupeError} `DISK_FULL` */
  async grow(bytes: number): Promise<void> {
    await this.#node.reserve(bytes);
    this.#bytes += bytes;
  }

  /** Was granted before, and is needed again: after a restart, or for bytes that were lost. */
  restore(bytes: number): void {
    this.#bytes += bytes;
    this.#node.restoreReservation(bytes);
  }

  /** They are on the disk, or not needed any more. */
  settle(bytes: number): void {
    const settled = Math.min(bytes, this.#bytes);
    this.#bytes -= settled;
    this.#node.settle(settled);
  }

  settleAll(): void {
    this.settle(this.#bytes);
  }
}
