/**
 * What keeps messages of one process from another though both have a connection, as when the route between two servers of a cluster breaks:
 * first they are lost, and once the servers have noticed, who is beyond does not count as listening.
 */
import type { World } from "../world.ts";

export interface Barrier {
  readonly from: string;
  readonly to: string;
  /** On the world's clock. */
  readonly noticedAtMs: number;
}

export class BusBarriers {
  readonly #world: World;
  readonly #barriers = new Set<Barrier>();

  constructor(world: World) {
    this.#world = world;
  }

  add(barrier: Barrier): void {
    this.#barriers.add(barrier);
  }

  remove(barrier: Barrier): void {
    this.#barriers.delete(barrier);
  }

  /** Whether the server knows that nothing gets through. */
  isKnown(from: string, to: string): boolean {
    for (const barrier of this.#barriers) {
      if (barrier.from === from && barrier.to === to && barrier.noticedAtMs <= this.#world.nowMs) return true;
    }
    return false;
  }

  /** Whether a message is lost, which is counted. */
  stops(from: string, to: string): boolean {
    for (const barrier of this.#barriers) {
      if (barrier.from !== from || barrier.to !== to) continue;
      this.#world.counts.add("fault.bus.partition");
      return true;
    }
    return false;
  }
}
