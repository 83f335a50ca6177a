/** What a process asks of its database, its cache and its disk, as metrics. */
import { expect, it } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { GroupedSyncDisk } from "../../src/store/grouped-sync.ts";
import { MeasuredCache } from "../../src/store/measured-cache.ts";
import { MeasuredDatabase } from "../../src/store/measured-database.ts";
import { MemoryCache } from "../../src/store/memory-cache.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { scrape } from "../support/exposition.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function stage() {
  const clock = new VirtualClock();
  return { clock, metrics: new PromMetrics({ clock, log: SILENT_LOG }) };
}

it("a transaction's time has its repetitions in it, and these are counted; only a database that cannot be reached is a failure", async () => {
  const { clock, metrics } = stage();
  const inner: Database<unknown> = {
    async transact(work) {
      for (const _ of ["deadlock", "deadlock"]) {
        await work(undefined as never);
        await clock.advance(300);
      }
      return await work(undefined as never);
    },
    async read(work) {
      return await work(undefined as never);
    },
    close: async () => undefined,
  };
  const database = new MeasuredDatabase(inner, { clock, metrics }, "storage");
  expect(await database.transact(async () => "done")).toBe("done");
  await expect(database.read(() => Promise.reject(new TroupeError("DATABASE_UNAVAILABLE")))).rejects.toThrow();
  await expect(database.read(() => Promise.reject(new TroupeError("FILE_NOT_FOUND")))).rejects.toThrow();
  const scraped = await scrape(metrics);
  const [transactions, reads] = [
    { database: "storage", access: "transaction" },
    { database: "storage", access: "read" },
  ];
  expect(scraped.value("troupe_database_seconds_sum", transactions)).toBeCloseTo(0.6);
  expect(scraped.value("troupe_database_retries_total", transactions)).toBe(2);
  expect(scraped.value("troupe_database_failures_total", transactions)).toBe(0);
  expect(scraped.value("troupe_database_seconds_count", reads)).toBe(2);
  expect(scraped.value("troupe_database_failures_total", reads)).toBe(1);
});

it("lookups in the catalog's cache are hits and misses", async () => {
  const { clock, metrics } = stage();
  const cache = new MeasuredCache(new MemoryCache(clock), metrics);
  const found = await cache.get("file:1");
  if (found.kind === "absent" && found.lease !== undefined) await cache.set("file:1", Buffer.from("x"), found.lease, 1_000);
  await cache.get("file:1");
  await cache.get("file:1");
  await cache.tombstone("file:1", 1_000);
  await cache.get("file:1");
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_lookups_total", { memory: "catalog-cache", outcome: "hit" })).toBe(2);
  expect(scraped.value("troupe_lookups_total", { memory: "catalog-cache", outcome: "miss" })).toBe(2);
});

it("syncs that were asked for are counted, and those that took place are timed", async () => {
  const { clock, metrics } = stage();
  await using directory = await temporaryDirectory();
  const disk = new GroupedSyncDisk(new NodeDisk(), { clock, metrics });
  const file = await disk.open(`${directory.path}/data`, "create");
  await Promise.all([file.sync(), file.sync(), file.sync(), file.sync(), disk.syncDirectory(directory.path)]);
  await file.close();
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_disk_sync_requests_total")).toBe(5);
  // The first begins at once; those that come meanwhile share the second.
  expect(scraped.value("troupe_disk_sync_seconds_count", { target: "file" })).toBe(2);
  expect(scraped.value("troupe_disk_sync_seconds_count", { target: "directory" })).toBe(1);
  expect(scraped.value("troupe_disk_sync_failures_total")).toBe(0);
  expect(scraped.value("troupe_disk_syncs_waiting")).toBe(0);
});
