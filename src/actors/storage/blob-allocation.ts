/**
 * Blob IDs and paths for a node: a lease of many from the ID allocator, so that a commit does not wait for it each time. What is left of
 * a lease when the node stops is a gap.
 */
import type { Client } from "../../bus/client.ts";
import { type BlobPlace, blobPath } from "../../core/blob-path.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { BLOB_KEY, type ids } from "../ids/contract.ts";

const LEASE_COUNT = 32;

export class BlobAllocation {
  readonly #ids: Client<typeof ids>;
  readonly #clock: Clock;
  #next = 0;
  #end = 0;
  #leasing: Promise<void> | undefined;

  constructor(allocator: Client<typeof ids>, clock: Clock) {
    this.#ids = allocator;
    this.#clock = clock;
  }

  /** @throws {TroupeError} what the allocator answers; `ID_SPACE_EXHAUSTED` */
  async next(): Promise<BlobPlace> {
    while (this.#next >= this.#end) {
      this.#leasing ??= this.#lease().finally(() => {
        this.#leasing = undefined;
      });
      await this.#leasing;
    }
    const blobId = this.#next;
    this.#next += 1;
    return { blobId, path: blobPath(blobId, this.#clock.wallMs() / 1000) };
  }

  async #lease(): Promise<void> {
    const lease = await this.#ids.next({ key: BLOB_KEY, count: LEASE_COUNT });
    this.#next = lease.first;
    this.#end = lease.first + lease.count;
  }
}
