/** What happens to the cache: it forgets, it is away, it is slow, or an older copy of it takes its place. */
import type { FaultKind } from "../fault.ts";

const MEMORY_FAULTS: readonly FaultKind[] = [
  {
    kind: "cache.flush",
    weight: 0.5,
    draw: () => ({ forMs: 0, with: {} }),
    begin({ cache }) {
      if (cache.flush()) cache.faults.count("cache.flush");
    },
  },
  {
    kind: "cache.evict",
    weight: 0.5,
    draw: (random) => ({ forMs: 1_000 + random.integer(10_000), with: { probability: random.between(0.1, 1) } }),
    begin: ({ cache }, fault) => cache.faults.begin(fault),
    end: ({ cache }, fault) => cache.faults.end(fault),
  },
  {
    // Values and tombstones of less than a second are lost, and what they replaced is back: no longer than that does any of it live.
    kind: "cache.lag",
    weight: 1,
    draw: (random) => ({ forMs: 50 + random.integer(900), with: {} }),
    begin: ({ cache }, fault) => cache.leaveReplicaBehind(fault),
    end: ({ cache }, fault) => cache.failOver(fault),
  },
];

const WAY_FAULTS: readonly FaultKind[] = [
  {
    kind: "cache.away",
    weight: 0.5,
    draw: (random) => ({ forMs: 200 + random.integer(8_000), with: { isSilent: random.chance(0.5) } }),
    begin: ({ cache }, fault) => cache.goAway(fault),
    end: ({ cache }, fault) => cache.faults.end(fault),
  },
  {
    kind: "cache.slow",
    weight: 0.5,
    // Some below what catalogs bear, some above.
    draw: (random) => ({ forMs: 500 + random.integer(8_000), with: { extraMs: 10 + random.integer(400) } }),
    begin: ({ cache }, fault) => cache.faults.begin(fault),
    end: ({ cache }, fault) => cache.faults.end(fault),
  },
];

export const CACHE_FAULTS: readonly FaultKind[] = [...MEMORY_FAULTS, ...WAY_FAULTS];
