/** `npm run sim -- --seeds N`: how far it is, what failed, and at the end one line that sums it up. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { durationOf, grouped, isCovered, summaryLine, summaryOf } from "./campaign-summary.ts";
import { drawPlan } from "./draw-plan.ts";
import { EXPECTED } from "./expected.ts";
import { shrinkAndKeep } from "./plan-command.ts";
import { ProgressLine } from "./progress-line.ts";
import { runSeeds } from "./seed-campaign.ts";
import { type SeedRecord, SeedRecords } from "./seed-records.ts";

export interface SeedsCommandOptions {
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number;
  readonly workers: number;
  readonly keepGoing: boolean;
  readonly shrink: boolean;
  readonly runs: number;
  readonly boundMs: number;
}

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** From so many simulated minutes on, in which things are done and go wrong, what never came about is a failure. */
const LONG_RUN_MINUTES = 200;

/** @returns the exit code */
export async function runSeedsCommand(options: SeedsCommandOptions): Promise<number> {
  const { seeds, from, minutes, workers, keepGoing, boundMs } = options;
  const line = new ProgressLine();
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  const beganMs = performance.now();
  const now = { done: 0, known: 0, failed: 0, simulatedMs: 0 };
  const onRecord = (record: SeedRecord, isKnown: boolean): void => {
    now.done += 1;
    if (isKnown) now.known += 1;
    else now.simulatedMs += record.simulatedMs;
    if (record.violations.length > 0) {
      now.failed += 1;
      line.clear();
      tellFailure(record);
    }
    line.show(() => {
      const realMs = performance.now() - beganMs;
      const left = (seeds - now.done) * (realMs / Math.max(1, now.done - now.known));
      return `sim: ${grouped(now.done)} of ${grouped(seeds)} seeds, ${(now.simulatedMs / realMs).toFixed(0)} simulated s a second, failures: ${now.failed}, ${durationOf(left)} left`;
    });
  };
  const { records } = await runSeeds({
    from,
    count: seeds,
    minutes,
    workers,
    keepGoing,
    boundMs,
    records: SeedRecords.ofCheckout(CHECKOUT, minutes),
    onRecord,
    signal: interrupted.signal,
  });
  line.clear();
  const summary = summaryOf(records, EXPECTED);
  const failed = records.find(({ violations }) => violations.length > 0);
  if (failed !== undefined && options.shrink && !interrupted.signal.aborted)
    await shrinkAndKeep(drawPlan(failed.seed, minutes), { ...options, rule: failed.violations[0]?.rule as string });
  const isLong = records.length * minutes >= LONG_RUN_MINUTES;
  if (interrupted.signal.aborted)
    process.stdout.write(
      `sim: interrupted after ${grouped(records.length)} of ${grouped(seeds)} seeds; the same command goes on from there\n`,
    );
  else if (isLong && !isCovered(summary))
    process.stdout.write(
      `sim: from ${LONG_RUN_MINUTES} simulated minutes on each fault, transition and outcome has to come about, and some never did\n`,
    );
  const how = { knownCount: now.known, isLong };
  process.stdout.write(`sim: ${summaryLine(summary, how)}\n`);
  if (interrupted.signal.aborted) return 130;
  return failed !== undefined || (isLong && !isCovered(summary)) ? 1 : 0;
}

function tellFailure({ seed, minutes, violations }: SeedRecord): void {
  for (const { rule, sentence, atMs } of violations)
    process.stdout.write(`sim: seed ${seed} broke ${rule} at ${(atMs / 1000).toFixed(3)} s: ${sentence}\n`);
  process.stdout.write(`sim: see it with: npm run sim -- --seed ${seed} --minutes ${minutes} --trace (--shrink makes it small)\n`);
}
