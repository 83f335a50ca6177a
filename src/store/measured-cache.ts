/** A Cache that counts what it could answer and what it could not. */
import type { Cache, Cached, CacheLease } from "../core/ports/cache.ts";
import type { Counter, Metrics } from "../core/ports/metrics.ts";

export class MeasuredCache implements Cache {
  readonly #cache: Cache;
  readonly #hits: Counter;
  readonly #misses: Counter;

  constructor(cache: Cache, metrics: Metrics) {
    this.#cache = cache;
    this.#hits = metrics.counter("troupe_lookups_total", { memory: "catalog-cache", outcome: "hit" });
    this.#misses = metrics.counter("troupe_lookups_total", { memory: "catalog-cache", outcome: "miss" });
  }

  async get(key: string): Promise<Cached> {
    const cached = await this.#cache.get(key);
    (cached.kind === "value" ? this.#hits : this.#misses).add();
    return cached;
  }

  set(key: string, value: Uint8Array, lease: CacheLease, lifetimeMs: number): Promise<void> {
    return this.#cache.set(key, value, lease, lifetimeMs);
  }

  tombstone(key: string, lifetimeMs: number): Promise<void> {
    return this.#cache.tombstone(key, lifetimeMs);
  }

  close(): Promise<void> {
    return this.#cache.close();
  }
}
