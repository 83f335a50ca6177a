/** What many runs came to, in a line; and what should have come about in them and never did. */
import type { SeedRecord } from "./seed-records.ts";

/** Names of counts that a long run must have seen. */
export interface Expected {
  readonly faults: readonly string[];
  readonly transitions: readonly string[];
  /** What else there is no point in running without: operations that succeed, files that are read back. */
  readonly outcomes: readonly string[];
}

export interface CampaignSummary {
  readonly seedCount: number;
  readonly repeatedCount: number;
  readonly failedCount: number;
  readonly simulatedMs: number;
  /** Of all processes together, in this and in earlier commands. */
  readonly realMs: number;
  /** In which things were done and went wrong; and how long that took one process in real time. */
  readonly untilHealed: { readonly simulatedMs: number; readonly realMs: number };
  readonly operationCount: number;
  readonly eventCount: number;
  readonly faultCount: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly neverFired: Expected;
}

export function summaryOf(records: readonly SeedRecord[], expected: Expected): CampaignSummary {
  const counts = new Map<string, number>();
  for (const record of records)
    for (const [name, count] of Object.entries(record.counts)) counts.set(name, (counts.get(name) ?? 0) + count);
  const sum = (of: (record: SeedRecord) => number): number => records.reduce((total, record) => total + of(record), 0);
  const never = (names: readonly string[]): string[] => names.filter((name) => (counts.get(name) ?? 0) === 0);
  return {
    seedCount: records.length,
    repeatedCount: records.filter(({ isRepeated }) => isRepeated).length,
    failedCount: records.filter(({ violations }) => violations.length > 0).length,
    simulatedMs: sum(({ simulatedMs }) => simulatedMs),
    realMs: sum(({ realMs }) => realMs),
    untilHealed: { simulatedMs: sum(({ healedAtMs }) => healedAtMs), realMs: sum(({ realUntilHealedMs }) => realUntilHealedMs) },
    operationCount: sum(({ operationCount }) => operationCount),
    eventCount: sum(({ eventCount }) => eventCount),
    faultCount: [...counts].reduce((total, [name, count]) => (name.startsWith("fault.") ? total + count : total), 0),
    counts: Object.fromEntries([...counts].sort(([one], [other]) => (one < other ? -1 : 1))),
    neverFired: { faults: never(expected.faults), transitions: never(expected.transitions), outcomes: never(expected.outcomes) },
  };
}

export function isCovered({ neverFired }: CampaignSummary): boolean {
  return Object.values(neverFired).every((names: readonly string[]) => names.length === 0);
}

const NAMES_SHOWN = 3;

/** @param how what only this run knows */
export function summaryLine(summary: CampaignSummary, how: { readonly knownCount: number; readonly isLong: boolean }): string {
  const { seedCount, repeatedCount, failedCount, simulatedMs, realMs, untilHealed, operationCount, eventCount, faultCount, neverFired } =
    summary;
  // A short run sees little, which says nothing; then a long list would hide the rest.
  const names = (list: readonly string[]): string =>
    list.length === 0 ? "none" : how.isLong || list.length <= NAMES_SHOWN ? list.join(", ") : `${list.length} kinds`;
  return [
    `${counted(seedCount, "seed")} (${grouped(how.knownCount)} known before, ${grouped(repeatedCount)} run twice)`,
    `${durationOf(simulatedMs)} simulated in ${durationOf(realMs)} of one process`,
    `${speedOf(untilHealed.simulatedMs, untilHealed.realMs)} in a process until the world healed`,
    counted(operationCount, "operation"),
    counted(eventCount, "event"),
    `${counted(faultCount, "fault")} took effect`,
    `faults that never did: ${names(neverFired.faults)}`,
    `transitions that never were: ${names(neverFired.transitions)}`,
    `outcomes that never were: ${names(neverFired.outcomes)}`,
    `failures: ${grouped(failedCount)}`,
  ].join("; ");
}

/** Of simulated time in real time. */
export function speedOf(simulatedMs: number, realMs: number): string {
  return `${realMs > 0 ? (simulatedMs / realMs).toFixed(0) : "?"} simulated s a second`;
}

export function grouped(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** `1 seed`, `2 seeds`. */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function durationOf(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7_200 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3_600).toFixed(1)} h`;
}
