import { describe, expect, it } from "vitest";
import { MemoryCache } from "../../src/store/memory-cache.ts";
import { describeCache } from "../contract/cache.ts";
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
    for (const key of ["a", "b", "c"]) await cache.set(key, value, 1000);
    await cache.get("a");
    await cache.set("d", value, 1000);
    expect((await cache.get("a")).kind).toBe("value");
    expect((await cache.get("b")).kind).toBe("absent");
    expect((await cache.get("d")).kind).toBe("value");
  });

  it("keeps at most so many bytes, and never a value larger than all of them", async () => {
    const cache = new MemoryCache(new VirtualClock(), { bytesMax: 25 });
    await cache.set("a", value, 1000);
    await cache.set("b", value, 1000);
    await cache.set("c", value, 1000);
    expect((await cache.get("a")).kind).toBe("absent");
    expect((await cache.get("c")).kind).toBe("value");
    await cache.set("c", new Uint8Array(100), 1000);
    expect((await cache.get("c")).kind).toBe("absent");
  });

  it("F25: values never push a tombstone out", async () => {
    const cache = new MemoryCache(new VirtualClock(), { entriesMax: 3 });
    await cache.tombstone("deleted", 1000);
    for (let index = 0; index < 20; index += 1) await cache.set(`key ${index}`, value, 1000);
    await cache.set("deleted", value, 1000);
    expect((await cache.get("deleted")).kind).toBe("tombstone");
  });

  it("F25: when there are too many tombstones, no late value gets in before the dropped one would have ended", async () => {
    const clock = new VirtualClock();
    const cache = new MemoryCache(clock, { entriesMax: 3 });
    for (let index = 0; index < 5; index += 1) await cache.tombstone(`deleted ${index}`, 1000);
    await cache.set("deleted 0", value, 60_000);
    expect((await cache.get("deleted 0")).kind).toBe("absent");
    await clock.advance(1000);
    await cache.set("deleted 0", value, 60_000);
    expect((await cache.get("deleted 0")).kind).toBe("value");
  });

  it("tombstones that have ended make room", async () => {
    const clock = new VirtualClock();
    const cache = new MemoryCache(clock, { entriesMax: 3 });
    for (let round = 0; round < 5; round += 1) {
      for (let index = 0; index < 3; index += 1) await cache.tombstone(`deleted ${round} ${index}`, 1000);
      await clock.advance(1000);
    }
    await cache.set("a", value, 1000);
    expect((await cache.get("a")).kind).toBe("value");
  });

  it("F9: a jump of the wall clock ends no lifetime", async () => {
    const clock = new VirtualClock();
    const cache = new MemoryCache(clock);
    await cache.set("a", value, 1000);
    clock.jumpWall(3_600_000);
    expect((await cache.get("a")).kind).toBe("value");
  });
});
