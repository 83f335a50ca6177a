/** What the operating system and the runtime tell of this process, as metrics. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import process from "node:process";
import type { LoadWatch } from "../core/load-watch.ts";
import type { GaugeName } from "../core/metrics.ts";
import type { Descriptors } from "../core/ports/descriptors.ts";
import type { Metrics, Sample } from "../core/ports/metrics.ts";

export interface ProcessPorts {
  readonly descriptors: Descriptors;
  readonly load: Pick<LoadWatch, "reason" | "refusedCount">;
}

export interface ProcessFacts {
  readonly version: string;
  readonly nodeId: string;
  readonly roles: string;
}

/** How often the event loop is looked at. A timer that wakes up: no more often than tells something. */
const LOOP_DELAY_EVERY_MS = 20;
const NANOSECONDS = 1e9;
const QUANTILES = ["0.5", "0.99", "1"] as const;

/** @returns ends it */
export function measureProcess(
  metrics: Metrics,
  { descriptors, load }: ProcessPorts,
  { version, nodeId, roles }: ProcessFacts,
): () => void {
  const delay = monitorEventLoopDelay({ resolution: LOOP_DELAY_EVERY_MS });
  delay.enable();
  // Once: worked out at each scrape, it would differ by a little each time, and look like a restart.
  const startedSeconds = (Date.now() - process.uptime() * 1_000) / 1_000;
  const plain = <Name extends PlainGauge>(name: Name, value: () => number): (() => void) =>
    metrics.read(name, () => [{ labels: {}, value: value() } as Sample<Name>]);
  const ends = [
    metrics.read("troupe_process_info", () => [{ labels: { version, node: nodeId, roles }, value: 1 }]),
    metrics.read("troupe_event_loop_delay_seconds", () => {
      // What it measures is how long a turn of the timer took, and that takes the interval at least.
      const samples = QUANTILES.map((quantile) => {
        const nanoseconds = quantile === "1" ? delay.max : delay.percentile(Number(quantile) * 100);
        return {
          labels: { quantile },
          value: delay.count === 0 ? 0 : Math.max(0, nanoseconds / NANOSECONDS - LOOP_DELAY_EVERY_MS / 1_000),
        };
      });
      delay.reset();
      return samples;
    }),
    metrics.read("troupe_overloaded", () => [{ labels: {}, value: load.reason === undefined ? 0 : 1 }]),
    metrics.read("troupe_overload_refusals_total", () => [{ labels: {}, value: load.refusedCount }]),
    metrics.read("process_cpu_seconds_total", () => {
      const { user, system } = process.cpuUsage();
      return [{ labels: {}, value: (user + system) / 1e6 }];
    }),
    plain("process_resident_memory_bytes", () => process.memoryUsage.rss()),
    plain("troupe_heap_used_bytes", () => process.memoryUsage().heapUsed),
    plain("troupe_external_memory_bytes", () => process.memoryUsage().external),
    plain("process_start_time_seconds", () => startedSeconds),
    metrics.read("process_open_fds", () => told(descriptors.counts()?.openCount)),
    metrics.read("process_max_fds", () => told(descriptors.counts()?.openMax)),
  ];
  return () => {
    for (const end of ends) end();
    delay.disable();
  };
}

/** What the system does not tell is no series. */
const told = (value: number | undefined) => (value === undefined ? [] : [{ labels: {}, value }]);

type PlainGauge = GaugeName & `${"process" | "troupe"}_${string}_${"bytes" | "seconds"}`;
