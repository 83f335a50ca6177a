/**
 * The Cache port in this process's memory, bounded by entries and by bytes.
 *
 * M1: a tombstone is never pushed out by values. When there are too many tombstones, the oldest goes, and nothing is kept until it
 *     would have ended: a reader that looked something up before a delete can never put it back.
 * M2: values are copied on their way in and out; nobody shares memory with the cache.
 */
import assert from "node:assert/strict";
import { LRUCache } from "lru-cache";
import { CACHE_BYTES_MAX, CACHE_ENTRIES_MAX } from "../core/limits.ts";
import type { Cache, Cached } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";

export interface MemoryCacheOptions {
  /** How many values, and how many tombstones, are kept. */
  readonly entriesMax?: number;
  /** How many bytes keys and values may have together. */
  readonly bytesMax?: number;
}

interface Entry {
  readonly value: Uint8Array;
  readonly endsMs: number;
}

export class MemoryCache implements Cache {
  readonly #clock: Clock;
  readonly #entriesMax: number;
  readonly #values: LRUCache<string, Entry>;
  /** When each tombstone ends, in order of setting. */
  readonly #tombstones = new Map<string, number>();
  /** M1: values are refused until then. */
  #refusesUntilMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(clock: Clock, options: MemoryCacheOptions = {}) {
    this.#clock = clock;
    this.#entriesMax = options.entriesMax ?? CACHE_ENTRIES_MAX;
    // Lifetimes are kept here, on our clock: the library's own would read another one.
    this.#values = new LRUCache({
      max: this.#entriesMax,
      maxSize: options.bytesMax ?? CACHE_BYTES_MAX,
      sizeCalculation: ({ value }, key) => value.length + key.length + 1,
    });
  }

  async get(key: string): Promise<Cached> {
    const nowMs = this.#clock.nowMs();
    if (this.#isBuried(key, nowMs)) return { kind: "tombstone" };
    const entry = this.#values.get(key);
    if (entry === undefined) return { kind: "absent" };
    if (nowMs >= entry.endsMs) {
      this.#values.delete(key);
      return { kind: "absent" };
    }
    return { kind: "value", value: entry.value.slice() };
  }

  async set(key: string, value: Uint8Array, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    const nowMs = this.#clock.nowMs();
    if (this.#closed || nowMs < this.#refusesUntilMs || this.#isBuried(key, nowMs)) return;
    // A plain copy: `slice` of a Buffer would still share its memory.
    this.#values.set(key, { value: new Uint8Array(value), endsMs: nowMs + lifetimeMs });
  }

  async tombstone(key: string, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    this.#values.delete(key);
    // A shorter tombstone does not end a longer one: what the longer one was set for may still be under way.
    const endsMs = Math.max(nowMs + lifetimeMs, this.#tombstones.get(key) ?? 0);
    this.#tombstones.delete(key);
    this.#tombstones.set(key, endsMs);
    this.#sweep(nowMs);
  }

  async forget(key: string): Promise<void> {
    this.#values.delete(key);
    this.#tombstones.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#values.clear();
    this.#tombstones.clear();
  }

  #isBuried(key: string, nowMs: number): boolean {
    const endsMs = this.#tombstones.get(key);
    if (endsMs === undefined) return false;
    if (nowMs < endsMs) return true;
    this.#tombstones.delete(key);
    return false;
  }

  /** Drops what has ended from the old end; then, while there are still too many, the oldest (M1). */
  #sweep(nowMs: number): void {
    for (const [key, endsMs] of this.#tombstones) {
      const ended = nowMs >= endsMs;
      if (!ended && this.#tombstones.size <= this.#entriesMax) return;
      this.#tombstones.delete(key);
      if (!ended) this.#refusesUntilMs = Math.max(this.#refusesUntilMs, endsMs);
    }
  }
}
