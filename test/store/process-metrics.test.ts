import process from "node:process";
import { expect, it } from "vitest";
import { processDescriptors } from "../../src/bin/process-descriptors.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { measureProcess } from "../../src/store/process-metrics.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { scrape } from "../support/exposition.ts";

it("a process tells what it is, what it takes, and how near it is to its limits", async () => {
  const load: { reason: string | undefined; refusedCount: number } = { reason: undefined, refusedCount: 0 };
  const metrics = new PromMetrics({ clock: new SystemClock(), log: SILENT_LOG });
  const end = measureProcess(
    metrics,
    { descriptors: processDescriptors(), load },
    { version: "1.2.3", nodeId: "node1", roles: "tracker,ids" },
  );
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_process_info", { version: "1.2.3", node: "node1", roles: "tracker,ids" })).toBe(1);
  for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "troupe_heap_used_bytes", "process_start_time_seconds"])
    expect(scraped.value(name), name).toBeGreaterThan(0);
  expect(scraped.value("process_start_time_seconds")).toBeLessThanOrEqual(Date.now() / 1_000);
  for (const quantile of ["0.5", "0.99", "1"]) {
    const delay = scraped.value("troupe_event_loop_delay_seconds", { quantile });
    expect(delay).toBeGreaterThanOrEqual(0);
    expect(delay).toBeLessThan(60);
  }
  if (process.platform === "linux") {
    expect(scraped.value("process_open_fds")).toBeGreaterThan(2);
    expect(scraped.value("process_max_fds") ?? Number.POSITIVE_INFINITY).toBeGreaterThan(scraped.value("process_open_fds") as number);
  }
  // Equal, and not nearly: another time is another start to whoever watches.
  const again = await scrape(metrics);
  expect(again.value("process_start_time_seconds")).toBe(scraped.value("process_start_time_seconds"));
  expect([again.value("troupe_overloaded"), again.value("troupe_overload_refusals_total")]).toEqual([0, 0]);
  Object.assign(load, { reason: "9 file descriptors are left", refusedCount: 3 });
  const short = await scrape(metrics);
  expect([short.value("troupe_overloaded"), short.value("troupe_overload_refusals_total")]).toEqual([1, 3]);
  end();
  expect((await scrape(metrics)).series).toEqual([]);
});
