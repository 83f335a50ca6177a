/**
 * The Metrics port: what the table in `src/core/metrics.ts` names is counted through it. Only diagnostics read it; it decides nothing.
 *
 * P1: whoever counts often resolves its series once and keeps it: adding to one costs next to nothing.
 * P2: what somebody counts anyway is read when it is asked for, not counted a second time.
 */
import type { CounterName, GaugeName, HistogramName, LabelsOf } from "../metrics.ts";

export interface Counter {
  /** @param by not negative; default 1 */
  add(by?: number): void;
}

export interface Histogram {
  observe(value: number): void;
}

export interface Sample<Name extends CounterName | GaugeName> {
  readonly labels: LabelsOf<Name>;
  readonly value: number;
}

/** Where several read the same series, their values are added up. What a counter's reader gives never gets less. */
export type Reader<Name extends CounterName | GaugeName> = () => readonly Sample<Name>[] | Promise<readonly Sample<Name>[]>;

export interface Metrics {
  counter<Name extends CounterName>(name: Name, labels: LabelsOf<Name>): Counter;
  histogram<Name extends HistogramName>(name: Name, labels: LabelsOf<Name>): Histogram;
  /** Asked at each scrape. @returns ends that */
  read<Name extends CounterName | GaugeName>(name: Name, reader: Reader<Name>): () => void;
}

/** What a scraper is answered. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

const NOTHING = { add() {}, observe() {} };
/** Counts nothing. */
export const SILENT_METRICS: Metrics = { counter: () => NOTHING, histogram: () => NOTHING, read: () => () => undefined };
/** Of a process that counts nothing. */
export const SILENT_EXPOSITION: Exposition = { contentType: "text/plain; version=0.0.4; charset=utf-8", text: async () => "" };
