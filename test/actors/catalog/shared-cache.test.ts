/** Two catalogs over one database and one real Redis, in everything that can become of the Redis. */
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import type { LocatedFile } from "../../../src/actors/catalog/contract.ts";
import { deleteFile } from "../../../src/actors/catalog/delete.ts";
import { renameFile } from "../../../src/actors/catalog/files.ts";
import { fileKey, lookUpFile } from "../../../src/actors/catalog/lookup.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { CACHE_CLOCK_SLACK_MS, CACHE_LIFETIME_MS } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { connectRedis } from "../../../src/store/redis-cache.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { leaseOf } from "../../contract/cache.ts";
import { startTestRedis, type TestRedis } from "../../support/redis-server.ts";
import { CatalogRig } from "./rig.ts";

const clock = new SystemClock();
const ann = { owner: "ann" };
/** A lookup waits for Redis this long at most, and once. */
const BOUND_MS = 1_000;

interface Stage extends AsyncDisposable {
  readonly rig: CatalogRig;
  readonly redis: TestRedis;
  readonly one: CatalogPorts;
  readonly other: CatalogPorts;
  find(ports: CatalogPorts, file: LocatedFile): Promise<string>;
}

async function openStage(settings: Record<string, string> = {}): Promise<Stage> {
  const ends = new AsyncDisposableStack();
  const redis = ends.use(await startTestRedis({ settings }));
  const rig = ends.use(await CatalogRig.open());
  const open = async (): Promise<CatalogPorts> => {
    const cache = await connectRedis({ url: redis.url, clock, log: SILENT_LOG, answerMsMax: BOUND_MS });
    ends.defer(() => cache.close());
    return { database: rig.database, cache, clock, log: SILENT_LOG, wake() {} };
  };
  const [one, other] = [await open(), await open()];
  return {
    rig,
    redis,
    one,
    other,
    /** The name it is found under, or the error's code. */
    find: async (ports, file) => {
      try {
        return (await lookUpFile(ports, ann, file.fileId)).name;
      } catch (error) {
        return (error as { code: string }).code;
      }
    },
    [Symbol.asyncDispose]: () => ends.disposeAsync(),
  };
}

async function ask<T>(redis: TestRedis, work: (redis: Redis) => Promise<T>): Promise<T> {
  const connection = new Redis(redis.url);
  try {
    return await work(connection);
  } finally {
    connection.disconnect();
  }
}

async function untilMs(endMs: number): Promise<void> {
  while (performance.now() < endMs) await pause(5);
}

interface Fault {
  readonly title: string;
  readonly settings?: Record<string, string>;
  readonly beforeDelete?: (stage: Stage) => Promise<void>;
  readonly afterDelete?: (stage: Stage) => Promise<void>;
}

const FAULTS: readonly Fault[] = [
  { title: "flushed after the delete", afterDelete: ({ redis }) => ask(redis, async (it) => void (await it.flushall())) },
  {
    title: "standing still at the delete, and back with what it held",
    beforeDelete: async ({ redis }) => redis.pause(),
    afterDelete: async ({ redis }) => redis.resume(),
  },
  { title: "down from before the delete on", beforeDelete: ({ redis }) => redis.stop() },
  {
    title: "started again with what it had saved before the delete",
    beforeDelete: ({ redis }) => ask(redis, async (it) => void (await it.save())),
    afterDelete: async ({ redis }) => {
      await redis.kill();
      await redis.restart();
    },
  },
  {
    title: "evicting everything after the delete",
    settings: { maxmemory: "3mb", "maxmemory-policy": "allkeys-lru" },
    afterDelete: ({ redis }) =>
      ask(redis, async (it) => {
        for (let index = 0; index < 100; index += 1) await it.set(`other ${index}`, Buffer.alloc(50_000));
      }),
  },
];

describe("a Redis that catalogs share", () => {
  test("F25: what one deletes or renames, the other sees at once", async () => {
    await using stage = await openStage();
    const { rig, one, other, find } = stage;
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    // More than once only where the machine is so loaded that the first is too old already.
    do expect([await find(one, file), await find(other, file)]).toEqual(["a.mp4", "a.mp4"]);
    while ((await other.cache.get(fileKey(file.fileId))).kind !== "value");
    await renameFile(one, ann, { fileId: file.fileId, name: "b.mp4" });
    expect([await find(one, file), await find(other, file)]).toEqual(["b.mp4", "b.mp4"]);
    await deleteFile(other, ann, file.fileId);
    expect([await find(one, file), await find(other, file)]).toEqual(["FILE_NOT_FOUND", "FILE_NOT_FOUND"]);
  });

  for (const { title, settings, beforeDelete, afterDelete } of FAULTS) {
    test(`F17, F25: ${title}: a deleted file is not found any more in time, and the others always are`, async () => {
      await using stage = await openStage(settings);
      const { rig, one, other, find } = stage;
      const [{ file }, { file: kept }] = [await rig.upload("ann", "a.mp4", "x", 1), await rig.upload("ann", "b.mp4", "y", 2)];
      const early = await leaseOf(other.cache, fileKey(file.fileId));
      expect([await find(one, file), await find(other, file), await find(other, kept)]).toEqual(["a.mp4", "a.mp4", "b.mp4"]);
      await beforeDelete?.(stage);
      await deleteFile(one, ann, file.fileId);
      const deletedMs = performance.now();
      expect(await find(one, kept)).toBe("b.mp4");
      await afterDelete?.(stage);
      // A lookup from before, which ends only now; and those who look in between.
      await other.cache.set(fileKey(file.fileId), bytesOf(JSON.stringify(file)), early, CACHE_LIFETIME_MS);
      for (const ports of [one, other]) {
        expect(["a.mp4", "FILE_NOT_FOUND"]).toContain(await find(ports, file));
        expect(await find(ports, kept)).toBe("b.mp4");
      }
      await untilMs(deletedMs + CACHE_LIFETIME_MS + CACHE_CLOCK_SLACK_MS);
      for (const ports of [one, other]) expect([await find(ports, file), await find(ports, kept)]).toEqual(["FILE_NOT_FOUND", "b.mp4"]);
    });
  }
});
