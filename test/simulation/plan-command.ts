/** `npm run sim -- --seed S` and `--plan FILE`: one run, its trace in words, and the plan made small when it fails. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { durationOf, grouped, speedOf } from "./campaign-summary.ts";
import type { Plan } from "./plan.ts";
import { writeRegression } from "./plan-file.ts";
import { ProgressLine } from "./progress-line.ts";
import { runPlan } from "./run.ts";
import { RunnerProcess } from "./runner-process.ts";
import { shrink } from "./shrink.ts";

interface ShrinkCommandOptions {
  readonly workers: number;
  /** At most so many runs. */
  readonly runs: number;
  readonly boundMs: number;
}

export interface PlanCommandOptions extends ShrinkCommandOptions {
  readonly plan: Plan;
  readonly trace: boolean;
  readonly shrink: boolean;
}

const REGRESSIONS = fileURLToPath(new URL("regressions", import.meta.url));

/** @returns the exit code */
export async function runPlanCommand({ plan, trace, ...options }: PlanCommandOptions): Promise<number> {
  const beganMs = performance.now();
  let untilHealedMs = 0;
  const onHealing = (): void => {
    untilHealedMs = performance.now() - beganMs;
  };
  const told = trace ? { onHealing, onTraceLine: (text: string) => process.stdout.write(`${text}\n`) } : { onHealing };
  const result = await runPlan(plan, told).catch((error: Error) => {
    process.stderr.write(`sim: the simulation itself failed, or the plan names in "with" what is not there: ${error.stack}\n`);
    return undefined;
  });
  if (result === undefined) return 1;
  const realMs = performance.now() - beganMs;
  const { hash, violations, simulatedMs, healedAtMs, eventCount, operationCount } = result;
  if (trace) for (const [name, count] of Object.entries(result.counts)) process.stdout.write(`sim: ${String(count).padStart(8)} ${name}\n`);
  for (const { rule, sentence, atMs } of violations)
    process.stdout.write(`sim: it broke ${rule} at ${(atMs / 1000).toFixed(3)} s: ${sentence}\n`);
  process.stdout.write(
    `sim: trace ${hash}; ${durationOf(simulatedMs)} simulated in ${durationOf(realMs)}, ${speedOf(healedAtMs, untilHealedMs)} until the world healed; ` +
      `${grouped(operationCount)} operations; ${grouped(plan.faults.length)} faults; ${grouped(eventCount)} events; failures: ${violations.length}\n`,
  );
  const rule = violations[0]?.rule;
  if (rule === undefined) return 0;
  if (options.shrink) await shrinkAndKeep(plan, { ...options, rule });
  return 1;
}

/** Writes the smallest plan that was found, and says where; Ctrl-C keeps the smallest so far. */
export async function shrinkAndKeep(plan: Plan, options: ShrinkCommandOptions & { readonly rule: string }): Promise<void> {
  const { rule, workers, runs, boundMs } = options;
  const line = new ProgressLine();
  const runners = Array.from({ length: workers }, () => new RunnerProcess({ boundMs }));
  const free = [...runners];
  const interrupted = new AbortController();
  const onInterrupt = (): void => {
    interrupted.abort();
    for (const runner of runners) void runner.stop();
  };
  process.once("SIGINT", onInterrupt);
  try {
    const {
      violation,
      runCount,
      plan: smallest,
    } = await shrink(plan, {
      rule,
      runsMax: runs,
      width: workers,
      signal: interrupted.signal,
      run: async (candidate) => {
        const runner = free.pop() as RunnerProcess;
        try {
          return (await runner.run({ kind: "plan", plan: candidate })).violations;
        } finally {
          free.push(runner);
        }
      },
      onSmaller: ({ faults, operations, minutes }, count) =>
        line.show(() => `sim: after ${count} runs: ${faults.length} faults, ${operations.length} operations, ${minutes} minutes`),
    });
    line.clear();
    if (violation === undefined) {
      const why = interrupted.signal.aborted ? "interrupted before the plan had run again" : `the plan did not break ${rule} again`;
      return void process.stdout.write(`sim: ${why}, so it was not made smaller\n`);
    }
    // A stack below the sentence is of this checkout.
    const showed = violation.sentence.split("\n")[0] as string;
    const path = writeRegression(REGRESSIONS, { showed, rule, plan: smallest });
    const { faults, operations } = smallest;
    process.stdout.write(`sim: ${runCount} runs made it ${faults.length} faults and ${operations.length} operations: ${path}\n`);
  } finally {
    process.off("SIGINT", onInterrupt);
    await Promise.all(runners.map((runner) => runner.stop()));
  }
}
