/** A bounded first-in, first-out queue in amortised constant time: what is too much is refused, never kept. */
import assert from "node:assert/strict";

/** Below this many consumed places, moving the rest to the front is not worth it. */
const COMPACT_FROM = 64;

export class Fifo<T> {
  readonly #max: number;
  #items: (T | undefined)[] = [];
  #head = 0;

  /** @param max how many items may wait */
  constructor(max: number) {
    assert(Number.isSafeInteger(max) && max > 0, "a queue holds at least one item");
    this.#max = max;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  get hasRoom(): boolean {
    return this.length < this.#max;
  }

  /** False, and nothing kept, when `max` items wait. */
  push(item: T): boolean {
    if (!this.hasRoom) return false;
    this.#items.push(item);
    return true;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    // Drop the reference: a handled message must not stay in memory until the next compaction.
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) this.clear();
    else if (this.#head >= COMPACT_FROM && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
  }
}
