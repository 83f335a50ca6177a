/** Metrics as a scraper meets them. */
import { expect, it } from "vitest";
import { METRIC_READ_MS_MAX, METRIC_SERIES_MAX } from "../../src/core/limits.ts";
import { METRIC_NAMES, METRICS, type MetricDefinition } from "../../src/core/metrics.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { readableLog } from "../bus/theatre.ts";
import { scrape } from "../support/exposition.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function stage() {
  const clock = new VirtualClock();
  const { log, lines } = readableLog();
  return { clock, lines, metrics: new PromMetrics({ clock, log }) };
}

const ERRORS = { actor: "tracker", code: "BUSY" } as const;

it("every metric of the table is there with its help and its type, and no series before somebody counts", async () => {
  const { metrics } = stage();
  const scraped = await scrape(metrics);
  for (const name of METRIC_NAMES) {
    const { help, kind }: MetricDefinition = METRICS[name];
    expect(scraped.helps.get(name)).toBe(`${help}.`);
    expect(scraped.types.get(name)).toBe(kind);
  }
  expect(scraped.series).toEqual([]);
  expect(metrics.contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
});

it("a series is there from the moment it is resolved, and the same whoever resolves it", async () => {
  const { metrics } = stage();
  const once = metrics.counter("troupe_bus_request_failures_total", ERRORS);
  const series = metrics.histogram("troupe_chunk_seconds", {});
  expect((await scrape(metrics)).value("troupe_bus_request_failures_total", ERRORS)).toBe(0);
  expect((await scrape(metrics)).value("troupe_chunk_seconds_count")).toBe(0);
  once.add();
  metrics.counter("troupe_bus_request_failures_total", { code: "BUSY", actor: "tracker" }).add(2.5);
  for (const seconds of [0.02, 0.02, 1_000]) series.observe(seconds);
  for (const _ of [1, 2]) {
    const scraped = await scrape(metrics);
    expect(scraped.value("troupe_bus_request_failures_total")).toBe(3.5);
    expect(scraped.value("troupe_chunk_seconds_count")).toBe(3);
    expect(scraped.value("troupe_chunk_seconds_sum")).toBeCloseTo(1_000.04);
    expect(scraped.value("troupe_chunk_seconds_bucket", { le: "0.05" })).toBe(2);
    expect(scraped.value("troupe_chunk_seconds_bucket", { le: "300" })).toBe(2);
    expect(scraped.value("troupe_chunk_seconds_bucket", { le: "+Inf" })).toBe(3);
  }
});

it("what a part can count begins at 0, and gauges only when somebody reads them", async () => {
  const { metrics } = stage();
  metrics.begin("uploads", "storage");
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_uploads_ended_total", { state: "failed" })).toBe(0);
  expect(scraped.value("troupe_upload_state_seconds_count", { state: "verifying" })).toBe(0);
  expect(scraped.value("troupe_blobs_damaged_total")).toBe(0);
  expect(scraped.value("troupe_disk_free_bytes")).toBeUndefined();
  expect(scraped.value("troupe_http_requests_total")).toBeUndefined();
});

it("readers are asked at each scrape, their series added up, and gone when they end", async () => {
  const { metrics } = stage();
  let depth = 3;
  const end = metrics.read("troupe_mailbox_waiting", () => [{ labels: { actor: "tracker" }, value: depth }]);
  metrics.read("troupe_mailbox_waiting", async () => [
    { labels: { actor: "tracker" }, value: 10 },
    { labels: { actor: "ids" }, value: 1 },
  ]);
  metrics.read("troupe_actor_turns_total", () => [{ labels: { actor: "tracker" }, value: 7 }]);
  expect((await scrape(metrics)).value("troupe_mailbox_waiting", { actor: "tracker" })).toBe(13);
  depth = 0;
  for (const _ of [1, 2]) {
    const scraped = await scrape(metrics);
    expect(scraped.value("troupe_mailbox_waiting", { actor: "tracker" })).toBe(10);
    expect(scraped.value("troupe_actor_turns_total")).toBe(7);
  }
  end();
  expect((await scrape(metrics)).value("troupe_mailbox_waiting")).toBe(11);
});

it("a reader that fails or takes too long is left out, said to be, and not asked again before it has ended", async () => {
  const { metrics, clock, lines } = stage();
  const slow = Promise.withResolvers<readonly { labels: object; value: number }[]>();
  let asked = 0;
  metrics.read("troupe_disk_free_bytes", () => {
    asked += 1;
    return slow.promise as Promise<readonly { labels: Record<never, never>; value: number }[]>;
  });
  metrics.read("troupe_disk_total_bytes", () => {
    throw new Error("the disk is gone");
  });
  metrics.read("troupe_disk_suspect", () => [{ labels: {}, value: 1 }]);
  const first = scrape(metrics);
  await clock.advance(METRIC_READ_MS_MAX);
  expect((await first).value("troupe_disk_suspect")).toBe(1);
  expect((await first).value("troupe_disk_free_bytes")).toBeUndefined();
  expect((await first).value("troupe_disk_total_bytes")).toBeUndefined();
  expect(
    lines
      .filter(({ level }) => level === "warn")
      .map(({ facts }) => facts["metric"])
      .sort(),
  ).toEqual(["troupe_disk_free_bytes", "troupe_disk_total_bytes"]);
  await scrape(metrics);
  expect(asked).toBe(1);
  slow.resolve([{ labels: {}, value: 5 }]);
  await slow.promise;
  expect((await scrape(metrics)).value("troupe_disk_free_bytes")).toBe(5);
  expect(clock.timerCount).toBe(0);
});

it("a metric has no more series than it may, and the log says so once", async () => {
  const { metrics, lines } = stage();
  for (let index = 0; index < METRIC_SERIES_MAX + 50; index += 1)
    metrics.counter("troupe_bus_request_failures_total", { actor: "tracker", code: `E${index}` }).add();
  metrics.read("troupe_actors", () =>
    Array.from({ length: METRIC_SERIES_MAX + 50 }, (_, index) => ({ labels: { actor: `a${index}` }, value: 1 })),
  );
  const scraped = await scrape(metrics);
  for (const name of ["troupe_bus_request_failures_total", "troupe_actors"]) {
    expect(scraped.value(name)).toBe(METRIC_SERIES_MAX);
    expect(lines.filter(({ facts }) => facts["metric"] === name)).toHaveLength(1);
  }
});

it("scrapes at once share one", async () => {
  const { metrics } = stage();
  let asked = 0;
  metrics.read("troupe_disk_suspect", () => {
    asked += 1;
    return [{ labels: {}, value: 1 }];
  });
  const texts = await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
  expect(new Set(texts).size).toBe(1);
  expect(asked).toBe(1);
});
