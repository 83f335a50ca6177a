import { expect, test } from "vitest";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { CACHE_ANSWER_MS_MAX, CACHE_LIFETIME_MS, CACHE_PAUSE_MAX_MS, CACHE_TOMBSTONE_MS } from "../../../src/core/limits.ts";
import { describeCache, keep, leaseOf } from "../../contract/cache.ts";
import type { Fault } from "../fault.ts";
import { PassingTime } from "../passing-time.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { CACHE_FAULTS } from "./faults.ts";
import { SimulatedCacheServer } from "./simulated-cache-server.ts";

async function rig() {
  const world = new World(1);
  const time = new PassingTime(world);
  const server = new SimulatedCacheServer(world);
  const open = async (name: string) => {
    const cache = time.around(server.connect(new SimulatedProcess(world, name, 1)));
    await time.pass(10);
    return cache;
  };
  const cache = await open("catalog1");
  const faultOf = (kind: string, more: Fault["with"] = {}): Fault => ({ kind, atMs: 0, forMs: 0, with: more });
  return { world, time, server, cache, other: await open("catalog2"), faultOf };
}

describeCache("the simulated cache", async () => {
  const { time, cache } = await rig();
  return { cache, pass: (durationMs) => time.pass(durationMs + 1), [Symbol.asyncDispose]: () => cache.close() };
});

const value = bytesOf("value");

test("all catalogs have the same one", async () => {
  const { cache, other } = await rig();
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  expect(await other.get("a")).toEqual({ kind: "value", value });
});

test("F17: flushed and evicting, it has nothing, and takes it again", async () => {
  const { server, cache, faultOf } = await rig();
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  server.flush();
  expect((await cache.get("a")).kind).toBe("absent");
  const evict = faultOf("cache.evict", { probability: 1 });
  server.faults.begin(evict);
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  expect((await cache.get("a")).kind).toBe("absent");
  server.faults.end(evict);
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  expect((await cache.get("a")).kind).toBe("value");
});

test("F17: after a failover an older value is back for no longer than its own lifetime", async () => {
  const { world, time, server, cache, faultOf } = await rig();
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  const lag = faultOf("cache.lag");
  server.leaveReplicaBehind(lag);
  await cache.tombstone("a", CACHE_TOMBSTONE_MS);
  expect(await cache.get("a")).toEqual({ kind: "absent" });
  server.failOver(lag);
  await time.pass(300);
  expect(await cache.get("a")).toEqual({ kind: "value", value });
  expect(world.counts.of("fault.cache.lag")).toBe(1);
  await time.pass(CACHE_LIFETIME_MS - 300);
  expect(await leaseOf(cache, "a")).toBeDefined();
});

test.each([true, false])("F17: away (silent: %s), each question ends soon; once back it is used again", async (isSilent) => {
  const { world, time, server, cache, faultOf } = await rig();
  const fault = faultOf("cache.away", { isSilent });
  server.goAway(fault);
  for (const key of ["a", "b"]) {
    const askedMs = world.nowMs;
    expect(await cache.get(key)).toEqual({ kind: "absent" });
    expect(world.nowMs - askedMs).toBeLessThanOrEqual(CACHE_ANSWER_MS_MAX + 2);
  }
  await time.pass(20_000);
  server.faults.end(fault);
  await time.pass(2 * CACHE_PAUSE_MAX_MS);
  await keep(cache, "a", value, CACHE_LIFETIME_MS);
  expect((await cache.get("a")).kind).toBe("value");
});

test("F17: slower than catalogs bear, it is done without", async () => {
  const { world, server, cache, faultOf } = await rig();
  server.faults.begin(faultOf("cache.slow", { extraMs: 100_000 }));
  const askedMs = world.nowMs;
  expect(await cache.get("a")).toEqual({ kind: "absent" });
  expect(world.nowMs - askedMs).toBeLessThanOrEqual(CACHE_ANSWER_MS_MAX + 2);
});

test("every kind of fault is drawn the same for the same numbers", () => {
  const topology = { trackers: [], allocators: [], catalogs: [], storages: [], gateways: [], clients: [] };
  const drawn = () => CACHE_FAULTS.map((kind) => kind.draw(new World(3).random.stream("plan", kind.kind), topology));
  expect(drawn()).toEqual(drawn());
});
