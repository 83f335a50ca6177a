/**
 * The Cache port in this process's memory, bounded by entries and by bytes.
 *
 * M1: values are copied on their way in and out; nobody shares memory with the cache.
 */
import assert from "node:assert/strict";
import { LRUCache } from "lru-cache";
import { CACHE_BYTES_MAX, CACHE_ENTRIES_MAX } from "../core/limits.ts";
import type { Cache, Cached, CacheLease } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";

export interface MemoryCacheOptions {
  /** How many values and tombstones are kept together. */
  readonly entriesMax?: number;
  /** How many bytes keys and values may have together. */
  readonly bytesMax?: number;
}

/** Without a value: a tombstone. */
interface Entry {
  readonly value?: Uint8Array;
  readonly endsMs: number;
}

export class MemoryCache implements Cache {
  readonly #clock: Clock;
  readonly #entries: LRUCache<string, Entry>;
  #closed = false;

  constructor(clock: Clock, options: MemoryCacheOptions = {}) {
    this.#clock = clock;
    // Lifetimes are kept here, on our clock: the library's own would read another one.
    this.#entries = new LRUCache({
      max: options.entriesMax ?? CACHE_ENTRIES_MAX,
      maxSize: options.bytesMax ?? CACHE_BYTES_MAX,
      sizeCalculation: ({ value }, key) => (value?.length ?? 0) + key.length + 1,
    });
  }

  async get(key: string): Promise<Cached> {
    const entry = this.#living(key);
    if (entry === undefined) return { kind: "absent", lease: { takenMs: this.#clock.nowMs() } };
    return entry.value === undefined ? { kind: "absent" } : { kind: "value", value: entry.value.slice() };
  }

  async set(key: string, value: Uint8Array, lease: CacheLease, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    const endsMs = lease.takenMs + lifetimeMs;
    const existing = this.#living(key);
    const isBuried = existing !== undefined && existing.value === undefined;
    if (this.#closed || isBuried || this.#clock.nowMs() >= endsMs) return;
    // A plain copy: `slice` of a Buffer would still share its memory.
    this.#entries.set(key, { value: new Uint8Array(value), endsMs });
  }

  async tombstone(key: string, lifetimeMs: number): Promise<void> {
    assert(lifetimeMs > 0, "a lifetime is positive");
    if (!this.#closed) this.#entries.set(key, { endsMs: this.#clock.nowMs() + lifetimeMs });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#entries.clear();
  }

  #living(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#clock.nowMs() < entry.endsMs) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
