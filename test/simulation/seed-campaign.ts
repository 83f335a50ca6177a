/**
 * Many seeds, several at a time, each process with one core.
 *
 * E1: what is known of a seed is not found out again; what was found out is kept at once.
 * E2: one seed in fifty is run once more, in a process that ran nothing else: its trace must have the same hash.
 * E3: seeds begin in order. It ends with the first failure, unless it is to keep going; what is under way then is left.
 */
import { performance } from "node:perf_hooks";
import type { TimedRunResult } from "./run-result.ts";
import { FORCED_RULES, RunnerProcess, type RunnerProcessOptions } from "./runner-process.ts";
import type { SeedRecord, SeedRecords } from "./seed-records.ts";

export interface SeedCampaignOptions extends RunnerProcessOptions {
  readonly from: number;
  readonly count: number;
  readonly minutes: number;
  readonly workers: number;
  readonly keepGoing: boolean;
  readonly records: SeedRecords;
  /** A seed is done, or was known. */
  readonly onRecord?: (record: SeedRecord, isKnown: boolean) => void;
  /** Whoever runs it has had enough. */
  readonly signal?: AbortSignal;
}

export interface SeedCampaignResult {
  /** By seed. */
  readonly records: readonly SeedRecord[];
}

const REPEATED_EACH = 50;

export async function runSeeds(options: SeedCampaignOptions): Promise<SeedCampaignResult> {
  const { from, count, minutes, workers, keepGoing, records: known, onRecord, signal } = options;
  const records = new Map<number, SeedRecord>();
  const runners = new Set<RunnerProcess>();
  const ended = Promise.withResolvers<void>();
  let isOver = false;
  let next = from;
  const end = (): void => {
    isOver = true;
    ended.resolve();
  };
  const take = (record: SeedRecord, isKnown: boolean): void => {
    records.set(record.seed, record);
    onRecord?.(record, isKnown);
    if (record.violations.length > 0 && !keepGoing) end();
  };
  const started = (): RunnerProcess => {
    const runner = new RunnerProcess(options);
    runners.add(runner);
    return runner;
  };
  const stopped = async (runner: RunnerProcess): Promise<void> => {
    runners.delete(runner);
    await runner.stop();
  };
  /** E2 */
  const repeated = async (seed: number, first: TimedRunResult): Promise<TimedRunResult> => {
    const runner = started();
    const second = await runner.run({ kind: "seed", seed, minutes });
    await stopped(runner);
    if (isOver || second.hash === first.hash) return first;
    // It was ended from outside, which says nothing of its trace.
    if (second.violations.some(({ rule }) => FORCED_RULES.includes(rule))) return { ...first, violations: second.violations };
    const sentence = `The trace's hash was ${first.hash} first and ${second.hash === "" ? "none" : second.hash} in another process.`;
    return { ...first, violations: [{ rule: "same-seed-other-trace", sentence, atMs: 0 }] };
  };
  const lane = async (): Promise<void> => {
    let runner: RunnerProcess | undefined;
    while (!isOver && next < from + count) {
      const seed = next++;
      // E1
      const record = known.find(seed);
      if (record !== undefined) {
        take(record, true);
        continue;
      }
      runner ??= started();
      const beganMs = performance.now();
      const first = await runner.run({ kind: "seed", seed, minutes });
      if (isOver) break;
      const realMs = performance.now() - beganMs;
      const isRepeated = seed % REPEATED_EACH === 0 && first.violations.length === 0;
      const result = isRepeated ? await repeated(seed, first) : first;
      if (isOver) break;
      take(known.add(seed, result, { realMs, isRepeated }), false);
    }
    if (runner !== undefined) await stopped(runner);
  };
  signal?.addEventListener("abort", end);
  const lanes = Promise.all(Array.from({ length: Math.min(workers, count) }, lane));
  try {
    await Promise.race([lanes, ended.promise]);
  } finally {
    // Also when what was found out cannot be kept.
    isOver = true;
    await Promise.all([...runners].map(stopped));
    signal?.removeEventListener("abort", end);
  }
  await lanes;
  return { records: [...records.values()].sort((one, other) => one.seed - other.seed) };
}
