import process from "node:process";
import { expect, it } from "vitest";
import { processDescriptors } from "../../src/bin/process-descriptors.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { measureProcess } from "../../src/store/process-metrics.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { scrape } from "../support/exposition.ts";

it("a process tells what it is, what it takes, and how near it is to its limits", async () => {
  const metrics = new PromMetrics({ clock: new SystemClock(), log: SILENT_LOG });
  const end = measureProcess(metrics, processDescriptors(), { version: "1.2.3", nodeId: "node1", roles: "tracker,ids" });
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
  end();
  const after = await scrape(metrics);
  expect(after.series.filter(({ name }) => name !== "troupe_gc_pause_seconds_total")).toEqual([]);
});
