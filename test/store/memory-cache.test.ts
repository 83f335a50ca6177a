import { describe, expect, it } from "vitest";
import { MemoryCache } from "../../src/store/memory-cache.ts";
import { describeCache, keep, leaseOf } from "../contract/cache.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describeCache("MemoryCache", async () => {
  const clock = new VirtualClock();
  const cache = new MemoryCache(clock);
  return {
    cache,
    pass: (durationMs) => clock.advance(durationMs),
    async [Symbol.asyncDispose]() {
      await cache.close();
    },
  };
});

describe("MemoryCache, bounded", () => {
  const value = new Uint8Array(10);

  it("keeps at most so many values, the most recently used ones", async () => {
    const cache = new MemoryCache(new VirtualClock(), { entriesMax: 3 });
    for (const key of ["a", "b", "c"]) await keep(cache, key, value);
    await cache.get("a");
    await keep(cache, "d", value);
    expect((await cache.get("a")).kind).toBe("value");
    expect((await cache.get("b")).kind).toBe("absent");
    expect((await cache.get("d")).kind).toBe("value");
  });

  it("keeps at most so many bytes, and never a value larger than all of them", async () => {
    const cache = new MemoryCache(new VirtualClock(), { bytesMax: 25 });
    for (const key of ["a", "b", "c"]) await keep(cache, key, value);
    expect((await cache.get("a")).kind).toBe("absent");
    expect((await cache.get("c")).kind).toBe("value");
    const lease = await leaseOf(cache, "d");
    await cache.set("d", new Uint8Array(100), lease, 1000);
    expect((await cache.get("d")).kind).toBe("absent");
  });

  it("F17, F25: a tombstone that was pushed out lets a late value in for no longer than its own lifetime", async () => {
    const clock = new VirtualClock();
    const cache = new MemoryCache(clock, { entriesMax: 3 });
    const early = await leaseOf(cache, "deleted");
    await clock.advance(600);
    await cache.tombstone("deleted", 1000);
    for (let index = 0; index < 5; index += 1) await keep(cache, `key ${index}`, value);
    await cache.set("deleted", value, early, 1000);
    await clock.advance(400);
    expect((await cache.get("deleted")).kind).toBe("absent");
  });

  it("F9: a jump of the wall clock ends no lifetime", async () => {
    const clock = new VirtualClock();
    const cache = new MemoryCache(clock);
    await keep(cache, "a", value, 1000);
    clock.jumpWall(3_600_000);
    expect((await cache.get("a")).kind).toBe("value");
  });
});
