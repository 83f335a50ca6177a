/**
 * The Metrics port over prom-client, in a registry of its own.
 *
 * S1: adding to a counter adds two numbers; the library is told at the scrape.
 * S2: a series is there from the moment somebody resolves it or reads it: a process shows what its roles can count, and nothing else.
 * S3: a metric has at most `METRIC_SERIES_MAX` series. What comes beyond is not counted, and the log says so once.
 * S4: a reader that fails or takes too long is left out of a scrape, and is not asked again before it has ended. Scrapes at once share one.
 */
import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from "prom-client";
import { METRIC_READ_MS_MAX, METRIC_SERIES_MAX } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  METRIC_NAMES,
  METRICS,
  type MetricDefinition,
  type MetricName,
  type MetricPart,
} from "../core/metrics.ts";
import type { Clock } from "../core/ports/clock.ts";
import { type Counter, type Exposition, type Histogram, type Metrics, type Reader, SILENT_METRICS } from "../core/ports/metrics.ts";

type Labels = Readonly<Record<string, string>>;

interface AnySample {
  readonly labels: Labels;
  readonly value: number;
}

interface Reading {
  readonly name: MetricName;
  readonly reader: () => readonly AnySample[] | Promise<readonly AnySample[]>;
  isUnderWay: boolean;
  /** For the scrape that is being made. */
  samples: readonly AnySample[];
}

/** S1 */
class Tally implements Counter {
  readonly labels: Labels;
  value = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }

  add(by = 1): void {
    this.value += by;
  }
}

export class PromMetrics implements Metrics, Exposition {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #registry = new Registry();
  readonly #tallies = new Map<MetricName, Map<string, Tally>>();
  readonly #histograms = new Map<MetricName, { readonly histogram: PromHistogram; readonly series: Map<string, Histogram> }>();
  readonly #readings = new Set<Reading>();
  readonly #crowded = new Set<MetricName>();
  #scrape: Promise<string> | undefined;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = clock;
    this.#log = log;
    for (const name of METRIC_NAMES) this.#register(name, METRICS[name]);
  }

  /** Shows what these parts can count from the beginning, so that what was never counted is told from what is not known. */
  begin(...parts: readonly MetricPart[]): void {
    for (const name of METRIC_NAMES) {
      const { kind, part, labels }: MetricDefinition = METRICS[name];
      if (kind === "gauge" || !parts.includes(part)) continue;
      for (const series of combinations(labels))
        if (kind === "counter") this.counter(name as CounterName, series as never);
        else this.histogram(name as HistogramName, series as never);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  counter<Name extends CounterName>(name: Name, labels: LabelsOf<Name>): Counter {
    const series = this.#tallies.get(name) as Map<string, Tally>;
    const named: Labels = labels;
    return this.#resolve(name, series, named, () => new Tally({ ...named }));
  }

  histogram<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>): Histogram {
    const { histogram, series } = this.#histograms.get(name) as { histogram: PromHistogram; series: Map<string, Histogram> };
    const named: Labels = labels;
    return this.#resolve(name, series, named, () => {
      histogram.zero({ ...named });
      return histogram.labels({ ...named });
    });
  }

  read<Name extends CounterName | GaugeName>(name: Name, reader: Reader<Name>): () => void {
    const reading: Reading = { name, reader, isUnderWay: false, samples: [] };
    this.#readings.add(reading);
    return () => this.#readings.delete(reading);
  }

  text(): Promise<string> {
    this.#scrape ??= this.#expose().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }

  async #expose(): Promise<string> {
    await Promise.all([...this.#readings].map((reading) => this.#ask(reading)));
    return await this.#registry.metrics();
  }

  /** S2 */
  #register(name: MetricName, { kind, help, labels, buckets = [] }: MetricDefinition): void {
    const options = { name, help: `${help}.`, labelNames: Object.keys(labels), registers: [this.#registry] };
    if (kind === "histogram") {
      const histogram = new PromHistogram({ ...options, buckets: [...buckets] });
      if (options.labelNames.length === 0) histogram.remove();
      this.#histograms.set(name, { histogram, series: new Map() });
      return;
    }
    if (kind === "gauge") {
      const gauge = new PromGauge({
        ...options,
        collect: () => {
          gauge.reset();
          if (options.labelNames.length === 0) gauge.remove();
          for (const { labels, value } of this.#read(name)) gauge.inc({ ...labels }, value);
        },
      });
      return;
    }
    const tallies = new Map<string, Tally>();
    this.#tallies.set(name, tallies);
    const counter = new PromCounter({
      ...options,
      collect: () => {
        counter.reset();
        if (options.labelNames.length === 0) counter.remove();
        for (const { labels, value } of [...tallies.values(), ...this.#read(name)]) counter.inc({ ...labels }, value);
      },
    });
  }

  *#read(name: MetricName): Iterable<AnySample> {
    const known = new Set<string>();
    for (const reading of this.#readings) {
      if (reading.name !== name) continue;
      for (const sample of reading.samples) {
        known.add(keyOf(sample.labels));
        if (known.size <= METRIC_SERIES_MAX) yield sample;
        else this.#tellCrowded(name);
      }
    }
  }

  /** S4 */
  async #ask(reading: Reading): Promise<void> {
    reading.samples = [];
    if (reading.isUnderWay) return;
    try {
      const read = reading.reader();
      reading.samples = "then" in read ? await this.#within(reading, read) : read;
    } catch (error) {
      this.#log.warn({ err: error, metric: reading.name }, "A metric could not be read; it is left out of this scrape.");
    }
  }

  async #within(reading: Reading, read: Promise<readonly AnySample[]>): Promise<readonly AnySample[]> {
    reading.isUnderWay = true;
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.setTimer(METRIC_READ_MS_MAX, () =>
      late.reject(new Error(`it was not there within ${METRIC_READ_MS_MAX} ms`)),
    );
    const ended = read.finally(() => {
      reading.isUnderWay = false;
    });
    // After the time it was given nobody waits for it any more.
    ended.catch(() => undefined);
    try {
      return await Promise.race([ended, late.promise]);
    } finally {
      timer.cancel();
    }
  }

  #resolve<Series>(name: MetricName, known: Map<string, Series>, labels: Labels, make: () => Series): Series | (Counter & Histogram) {
    const key = keyOf(labels);
    let series = known.get(key);
    if (series !== undefined) return series;
    // S3
    if (known.size >= METRIC_SERIES_MAX) {
      this.#tellCrowded(name);
      return NOWHERE;
    }
    series = make();
    known.set(key, series);
    return series;
  }

  #tellCrowded(name: MetricName): void {
    if (this.#crowded.has(name)) return;
    this.#crowded.add(name);
    this.#log.error({ metric: name, seriesMax: METRIC_SERIES_MAX }, "A metric has too many series; further ones are not counted.");
  }
}

const NOWHERE: Counter & Histogram = {
  ...SILENT_METRICS.counter("troupe_chunk_bytes_total", {}),
  ...SILENT_METRICS.histogram("troupe_chunk_seconds", {}),
};

/** All there can be, where every label has a closed set of values. */
function combinations(labels: MetricDefinition["labels"]): Labels[] {
  let found: Labels[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (typeof values === "string") return [];
    found = found.flatMap((known) => values.map((value) => ({ ...known, [label]: value })));
  }
  return found;
}

/** The labels of one metric come in one order from one place, but need not. */
function keyOf(labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length === 0) return "";
  if (names.length === 1) return labels[names[0] as string] as string;
  return names
    .sort()
    .map((name) => labels[name])
    .join("\0");
}
