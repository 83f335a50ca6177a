/** `npm run sim -- --seeds N`: how far it is, what failed, and at the end one line that sums it up. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { counted, durationOf, grouped, isCovered, summaryLine, summaryOf } from "./campaign-summary.ts";
import { drawPlan } from "./draw-plan.ts";
import { EXPECTED } from "./expected.ts";
import { boundMsOf, type ShrinkCommandOptions, shrinkAndKeep, warnOfIdleness } from "./plan-command.ts";
import { requireWritable } from "./plan-file.ts";
import { ProgressLine } from "./progress-line.ts";
import { FORCED_RULES } from "./runner-process.ts";
import { runSeeds } from "./seed-campaign.ts";
import { type SeedRecord, SeedRecords } from "./seed-records.ts";

export interface SeedsCommandOptions extends ShrinkCommandOptions {
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number;
  readonly keepGoing: boolean;
  readonly shrink: boolean;
}

const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));
/** From so many simulated minutes on, in which things are done and go wrong, what never came about is a failure. */
const LONG_RUN_MINUTES = 200;

/** @returns the exit code */
export async function runSeedsCommand(options: SeedsCommandOptions): Promise<number> {
  const { seeds, from, minutes, workers, keepGoing, signal } = options;
  const boundMs = boundMsOf(minutes, options.boundSeconds);
  if (options.shrink) requireWritable(options.keepIn);
  const line = new ProgressLine();
  const beganMs = performance.now();
  const now = { done: 0, known: 0, failed: 0, simulatedMs: 0 };
  const onRecord = (record: SeedRecord, isKnown: boolean): void => {
    now.done += 1;
    if (isKnown) now.known += 1;
    else now.simulatedMs += record.simulatedMs;
    if (record.violations.length > 0) {
      now.failed += 1;
      line.clear();
      tellFailure(record, boundMs);
    }
    line.show(() => {
      const realMs = performance.now() - beganMs;
      const left = (seeds - now.done) * (realMs / Math.max(1, now.done - now.known));
      return `sim: ${grouped(now.done)} of ${counted(seeds, "seed")}, ${(now.simulatedMs / realMs).toFixed(0)} simulated s a second, failures: ${now.failed}, ${durationOf(left)} left`;
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
    signal,
  });
  line.clear();
  const summary = summaryOf(records, EXPECTED);
  const failed = records.find(({ violations }) => violations.length > 0);
  const isLong = records.length * minutes >= LONG_RUN_MINUTES;
  const lacksMuch = isLong && !isCovered(summary);
  if (lacksMuch && !signal.aborted)
    process.stdout.write(
      `sim: from ${LONG_RUN_MINUTES} simulated minutes on each fault, transition and outcome has to come about, and some never did\n`,
    );
  if (records.length > 0 && failed === undefined) warnOfIdleness(summary.counts);
  process.stdout.write(`sim: ${summaryLine(summary, { knownCount: now.known, isLong })}\n`);
  if (signal.aborted) {
    process.stdout.write(
      `sim: interrupted after ${grouped(records.length)} of ${counted(seeds, "seed")}; the same command goes on from there\n`,
    );
    return 130;
  }
  if (options.shrink) await shrinkFirst(failed, options);
  if (signal.aborted) return 130;
  return failed !== undefined || lacksMuch ? 1 : 0;
}

async function shrinkFirst(failed: SeedRecord | undefined, options: SeedsCommandOptions): Promise<void> {
  const violation = failed?.violations[0];
  if (failed === undefined || violation === undefined)
    return void process.stdout.write("sim: no seed failed, so there is nothing to make small\n");
  process.stdout.write(`sim: takes the plan of seed ${failed.seed}\n`);
  await shrinkAndKeep(drawPlan(failed.seed, options.minutes), { ...options, violation });
}

function tellFailure({ seed, minutes, violations }: SeedRecord, boundMs: number): void {
  for (const { rule, sentence, atMs } of violations)
    process.stdout.write(`sim: seed ${seed} broke ${rule} at ${(atMs / 1000).toFixed(3)} s: ${sentence}\n`);
  const ofSeed = `--seed ${seed} --minutes ${minutes}`;
  process.stdout.write(
    violations.some(({ rule }) => FORCED_RULES.includes(rule))
      ? `sim: it may be the machine: ask again with --seeds 1 --from ${seed} --minutes ${minutes} --bound-seconds ${(boundMs / 1000) * 4}, ` +
          `or see how far it comes, with no bound of time: npm run sim -- ${ofSeed}\n`
      : `sim: see it with: npm run sim -- ${ofSeed} --trace (--shrink makes it small)\n`,
  );
}
