/** A bounded memory of hints with a lifetime, on the Clock port. The least recently used goes first. */
import { LRUCache } from "lru-cache";
import { GATEWAY_ENTRIES_MAX } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";

export function remembered<Value extends object>(clock: Clock, lifetimeMs?: number): LRUCache<string, Value> {
  return new LRUCache<string, Value>({
    max: GATEWAY_ENTRIES_MAX,
    // A resolution of 0 asks our clock every time; any other would start timers of its own.
    ...(lifetimeMs === undefined ? {} : { ttl: lifetimeMs, ttlResolution: 0, perf: { now: () => clock.nowMs() } }),
  });
}
