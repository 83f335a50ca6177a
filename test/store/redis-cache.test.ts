import { type AddressInfo, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../src/bin/engines/engine-process.ts";
import { CACHE_LIFETIME_MS, CACHE_PAUSE_MIN_MS, CACHE_VALUE_BYTES_MAX } from "../../src/core/limits.ts";
import type { Log } from "../../src/core/log.ts";
import type { Cache } from "../../src/core/ports/cache.ts";
import { connectRedis } from "../../src/store/redis-cache.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { describeCache, keep, leaseOf } from "../contract/cache.ts";
import { startTestRedis, type TestRedis } from "../support/redis-server.ts";

const PASSWORD = "dG9wLXNlY3JldA";
const value = Uint8Array.of(1, 2, 3);
/** Redis and this process share a loaded machine: only where the bound is the claim is it short. */
const PATIENT_MS = 5_000;
const BOUND_MS = 400;

class Lines {
  readonly lines: string[] = [];
  readonly log: Log;

  constructor() {
    const write = (facts: object, sentence: string): void => void this.lines.push(`${sentence} ${JSON.stringify(facts)}`);
    this.log = { debug: write, info: write, warn: write, error: write, child: () => this.log };
  }
}

const clock = new SystemClock();

async function until(what: () => Promise<boolean> | boolean, withinMs = 20_000): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await what())) {
    if (performance.now() > endMs) throw new Error("it did not come about");
    await pause(5);
  }
}

/** Whether the cache is of use: it gives leases again. */
const isUsed = async (cache: Cache): Promise<boolean> => {
  const cached = await cache.get("is it used");
  return cached.kind === "value" || cached.lease !== undefined;
};

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis({ password: PASSWORD });
});
afterAll(() => redis[Symbol.asyncDispose]());

let spaceCount = 0;
async function openCache(
  url: string,
  more: { readonly prefix?: string; readonly log?: Log; readonly answerMsMax?: number } = {},
): Promise<Cache & AsyncDisposable> {
  const { prefix = `test ${++spaceCount}:`, log = new Lines().log, answerMsMax = PATIENT_MS } = more;
  const cache = await connectRedis({ url, prefix, clock, log, answerMsMax });
  return Object.assign(cache, { [Symbol.asyncDispose]: () => cache.close() });
}

describeCache("Redis", async () => {
  const cache = await openCache(redis.url);
  return {
    cache,
    pass: async (durationMs) => {
      const endMs = performance.now() + durationMs + 2;
      await until(() => performance.now() > endMs);
    },
    [Symbol.asyncDispose]: () => cache.close(),
  };
});

describe("a cache in Redis", () => {
  it("is shared by all who have the same prefix, and by nobody else", async () => {
    await using one = await openCache(redis.url, { prefix: "shared:" });
    await using same = await openCache(redis.url, { prefix: "shared:" });
    await using other = await openCache(redis.url, { prefix: "other:" });
    const early = await leaseOf(same, "a");
    await keep(one, "a", value);
    expect(await same.get("a")).toEqual({ kind: "value", value });
    expect((await other.get("a")).kind).toBe("absent");
    await same.tombstone("a", 60_000);
    expect(await one.get("a")).toEqual({ kind: "absent" });
    await one.set("a", value, early, 60_000);
    expect(await same.get("a")).toEqual({ kind: "absent" });
  });

  it("F17: what others put under its keys is nothing, and is replaced", async () => {
    await using cache = await openCache(redis.url, { prefix: "foreign:" });
    const foreign = new Redis(redis.url);
    try {
      const future = Buffer.alloc(30);
      future[0] = 0x31;
      future.writeDoubleBE(Date.now() + 3_600_000, 1);
      future.writeDoubleBE(Date.now() + 7_200_000, 9);
      const past = Buffer.from(future);
      past.writeDoubleBE(0, 1);
      past.writeDoubleBE(Date.now() - 1, 9);
      const large = Buffer.concat([past, Buffer.alloc(2 * CACHE_VALUE_BYTES_MAX)]);
      large.writeDoubleBE(Date.now() + 3_600_000, 9);
      for (const [key, stored] of Object.entries({ text: "value", empty: "", short: "1", future, past, large }))
        await foreign.set(`foreign:${key}`, stored);
      await foreign.lpush("foreign:list", "T");
      for (const key of ["text", "empty", "short", "future", "past", "large", "list"]) {
        expect((await cache.get(key)).kind, key).toBe("absent");
        await keep(cache, key, value);
        expect(await cache.get(key), key).toEqual({ kind: "value", value });
      }
    } finally {
      foreign.disconnect();
    }
  });

  it("every key ends by itself in Redis, so that what nobody asks for any more goes", async () => {
    await using cache = await openCache(redis.url, { prefix: "ends:" });
    await keep(cache, "a", value, 60_000);
    await cache.tombstone("b", 60_000);
    const watcher = new Redis(redis.url);
    try {
      for (const key of ["ends:a", "ends:b"]) {
        const left = await watcher.pttl(key);
        expect(left).toBeGreaterThan(0);
        expect(left).toBeLessThanOrEqual(60_000);
      }
    } finally {
      watcher.disconnect();
    }
  });

  it("a value that is too large is not kept", async () => {
    await using cache = await openCache(redis.url);
    await keep(cache, "a", new Uint8Array(CACHE_VALUE_BYTES_MAX));
    expect((await cache.get("a")).kind).toBe("value");
    await keep(cache, "b", new Uint8Array(CACHE_VALUE_BYTES_MAX + 1));
    expect((await cache.get("b")).kind).toBe("absent");
  });

  it("thousands of questions at once are answered or not asked, and none waits behind them", async () => {
    await using cache = await openCache(redis.url);
    await keep(cache, "a", value);
    const answers = await Promise.all(Array.from({ length: 5_000 }, () => cache.get("a")));
    expect(answers.filter(({ kind }) => kind === "value").length).toBeGreaterThan(0);
    await until(() => isUsed(cache));
  });

  it("the address is checked, and not repeated", async () => {
    for (const url of ["", "localhost", "http://:hidden@127.0.0.1:1", "redis://:hidden@", "redis://:hidden@127.0.0.1/files"]) {
      const refused = expect(connectRedis({ url, clock, log: new Lines().log })).rejects;
      await refused.toMatchObject({ code: "SETTING_INVALID", message: expect.not.stringContaining("hidden") });
    }
  });
});

describe("F17: Redis", () => {
  it("F17, I24: with another password: said in words, without the password, and everything goes on without", async () => {
    const { lines, log } = new Lines();
    await using cache = await openCache(`redis://:wrong-${PASSWORD}@127.0.0.1:${redis.port}`, { log });
    await using none = await openCache(`redis://127.0.0.1:${redis.port}`, { log });
    for (const each of [cache, none]) {
      expect(await each.get("a")).toEqual({ kind: "absent" });
      await each.tombstone("a", 1_000);
    }
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      expect(line).toContain(`Redis at 127.0.0.1:${redis.port} cannot be used: it refuses us (`);
      expect(line).toContain("the password belongs into its address");
      expect(line).not.toContain(PASSWORD);
    }
  });

  it("away when it is first wanted: one line says so, and it is used as soon as it comes", async () => {
    const { lines, log } = new Lines();
    const port = await freePort();
    await using cache = await openCache(`redis://127.0.0.1:${port}`, { log });
    expect(await cache.get("a")).toEqual({ kind: "absent" });
    expect(lines).toEqual([expect.stringContaining(`127.0.0.1:${port} cannot be used: nobody listens there`)]);
    await using late = await startTestRedis({ port });
    await until(() => isUsed(cache));
    await keep(cache, "a", value);
    expect(await cache.get("a")).toEqual({ kind: "value", value });
    expect(lines.slice(1)).toEqual([expect.stringContaining("Redis is back")]);
    expect(late.isRunning).toBe(true);
  });

  it("stopped and started again, and flushed: empty, then used again; one line each way", async () => {
    const { lines, log } = new Lines();
    await using own = await startTestRedis();
    await using cache = await openCache(own.url, { log });
    await keep(cache, "a", value);
    await own.stop();
    await until(async () => !(await isUsed(cache)));
    expect(await cache.get("a")).toEqual({ kind: "absent" });
    await own.restart();
    await until(() => isUsed(cache));
    expect((await cache.get("a")).kind).toBe("absent");
    expect(lines).toHaveLength(2);
    expect([lines[0], lines[1]]).toEqual([expect.stringContaining("cannot be used"), expect.stringContaining("Redis is back")]);
    await keep(cache, "a", value);
    const other = new Redis(own.url);
    await other.flushall();
    await other.script("FLUSH");
    other.disconnect();
    expect((await cache.get("a")).kind).toBe("absent");
    await keep(cache, "a", value);
    expect(await cache.get("a")).toEqual({ kind: "value", value });
    expect(lines).toHaveLength(2);
  });

  it("standing still: those who ask wait once, for no longer than the bound, and nobody after them; then it is used again", async () => {
    const { lines, log } = new Lines();
    await using own = await startTestRedis();
    await using cache = await openCache(own.url, { log, answerMsMax: BOUND_MS });
    await keep(cache, "a", value);
    own.pause();
    const beganMs = performance.now();
    const first = await Promise.all([cache.get("a"), cache.get("b"), cache.tombstone("c", 1_000)]);
    const waitedMs = performance.now() - beganMs;
    expect(first.slice(0, 2)).toEqual([{ kind: "absent" }, { kind: "absent" }]);
    expect(waitedMs).toBeGreaterThanOrEqual(BOUND_MS - 1);
    expect(lines).toEqual([expect.stringContaining(`it did not answer within ${BOUND_MS} ms`)]);
    // A thousand bounds would be longer than this test may take.
    for (let time = 0; time < 1_000; time += 1) expect(await cache.get("a")).toEqual({ kind: "absent" });
    own.resume();
    await until(() => isUsed(cache));
    expect(lines).toEqual([expect.anything(), expect.stringContaining("Redis is back")]);
  });

  it("standing still when it is first wanted: starting takes no longer than its bound", async () => {
    await using own = await startTestRedis();
    own.pause();
    const { lines, log } = new Lines();
    await using cache = await openCache(own.url, { log });
    expect(await cache.get("a")).toEqual({ kind: "absent" });
    expect(lines).toEqual([expect.stringContaining("it did not let us in")]);
    own.resume();
    await until(() => isUsed(cache));
  });

  it("evicting: what does not fit goes, and what is there is right", async () => {
    await using own = await startTestRedis({ settings: { maxmemory: "3mb", "maxmemory-policy": "allkeys-lru" } });
    await using cache = await openCache(own.url);
    const large = (index: number): Uint8Array => new Uint8Array(50_000).fill(index);
    for (let index = 0; index < 100; index += 1) await keep(cache, `key ${index}`, large(index));
    let keptCount = 0;
    for (let index = 0; index < 100; index += 1) {
      const cached = await cache.get(`key ${index}`);
      if (cached.kind !== "value") continue;
      keptCount += 1;
      expect(cached.value).toEqual(large(index));
    }
    expect(keptCount).toBeGreaterThan(0);
    expect(keptCount).toBeLessThan(100);
  });

  it("full and told to evict nothing: said in words, and done without", async () => {
    await using own = await startTestRedis({ settings: { maxmemory: "1", "maxmemory-policy": "noeviction" } });
    const { lines, log } = new Lines();
    await using cache = await openCache(own.url, { log });
    expect(await cache.get("a")).toEqual({ kind: "absent" });
    expect(lines).toEqual([expect.stringContaining("it is full (")]);
  });

  it("started again with what it held long ago: a value is not younger for it", async () => {
    await using own = await startTestRedis();
    await using cache = await openCache(own.url, { prefix: "old:" });
    const other = new Redis(own.url);
    await other.ping();
    await keep(cache, "a", value, CACHE_LIFETIME_MS);
    // As a server does whose clock has lost its way: the key would live on, with its value.
    await other.persist("old:a");
    await other.save();
    other.disconnect();
    await cache.tombstone("a", 60_000);
    // Without a last save, what it reads back is what it held before the tombstone.
    await own.kill();
    await own.restart();
    await until(() => isUsed(cache));
    await until(async () => (await cache.get("a")).kind === "absent", 2 * CACHE_LIFETIME_MS);
    const watcher = new Redis(own.url);
    expect(await watcher.exists("old:a")).toBe(1);
    watcher.disconnect();
  });

  it("somebody else at that address: tried again and again with pauses, said once", async () => {
    const { lines, log } = new Lines();
    const asked: number[] = [];
    const server = createServer((socket) => {
      asked.push(performance.now());
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await using cache = await openCache(`redis://127.0.0.1:${port}`, { log });
      await until(() => asked.length >= 4);
      expect((asked[3] as number) - (asked[0] as number)).toBeGreaterThan(3 * CACHE_PAUSE_MIN_MS);
      expect(await cache.get("a")).toEqual({ kind: "absent" });
      expect(lines).toEqual([expect.stringContaining(`127.0.0.1:${port} cannot be used: `)]);
    } finally {
      server.close();
    }
  });

  it("closing ends everything also while Redis is away", async () => {
    const { lines, log } = new Lines();
    const cache = await connectRedis({ url: `redis://127.0.0.1:${await freePort()}`, clock, log });
    await cache.close();
    expect(await cache.get("a")).toEqual({ kind: "absent" });
    expect(lines).toHaveLength(1);
  });
});
