/** `npm run sim -- --seed S` and `--plan FILE`: one run, its trace in words, and the plan made small when it fails. */
import { relative } from "node:path";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { counted, durationOf, grouped, speedOf } from "./campaign-summary.ts";
import type { Plan } from "./plan.ts";
import { keepRegression, type Regression, regressionText, requireWritable } from "./plan-file.ts";
import { ProgressLine } from "./progress-line.ts";
import type { TimedRunResult } from "./run-result.ts";
import { FORCED_RULES, RunnerProcess } from "./runner-process.ts";
import { shrink } from "./shrink.ts";
import type { Violation } from "./world.ts";

export interface ShrinkCommandOptions {
  readonly workers: number;
  /** At most so many runs. */
  readonly runs: number;
  /** Real time for each; {@link boundMsOf} unless somebody says so. */
  readonly boundSeconds?: number;
  /** The folder of small plans. */
  readonly keepIn: string;
  /** Whoever waits has had enough. */
  readonly signal: AbortSignal;
}

export interface PlanCommandOptions extends ShrinkCommandOptions {
  readonly plan: Plan;
  readonly trace: boolean;
  readonly shrink: boolean;
}

/** The plans that the tests run again. */
export const REGRESSIONS = fileURLToPath(new URL("regressions", import.meta.url));
/** Real time for a simulated minute, on a machine that has much else to do; past it a run is taken not to end. */
const BOUND_SECONDS_A_MINUTE = 60;
const BOUND_SECONDS_MIN = 120;
/** Of real time: what is over sooner needs no word of how far it is. */
const QUIET_MS = 3_000;

export function boundMsOf(minutes: number, boundSeconds = Math.max(BOUND_SECONDS_MIN, minutes * BOUND_SECONDS_A_MINUTE)): number {
  return boundSeconds * 1000;
}

/** @returns the exit code */
export async function runPlanCommand({ plan, trace, ...options }: PlanCommandOptions): Promise<number> {
  const { signal } = options;
  if (options.shrink) requireWritable(options.keepIn);
  const beganMs = performance.now();
  const { result, simulatedMs } = await watched(plan, trace, signal);
  if (signal.aborted) {
    say(`interrupted at ${(simulatedMs / 1000).toFixed(1)} simulated s`);
    return 130;
  }
  tell(plan, result, { realMs: performance.now() - beganMs, trace });
  const [violation] = result.violations;
  if (violation === undefined) {
    if (options.shrink) say("it broke nothing, so there is nothing to make small");
    return 0;
  }
  if (options.shrink) await shrinkAndKeep(plan, { ...options, violation });
  return signal.aborted ? 130 : 1;
}

/** In a process of its own, which may be ended whatever it is at. @returns also how far it was when that happened */
async function watched(plan: Plan, isTraced: boolean, signal: AbortSignal): Promise<{ result: TimedRunResult; simulatedMs: number }> {
  const line = new ProgressLine();
  const beganMs = performance.now();
  let simulatedMs = 0;
  const onProgress = (nowMs: number): void => {
    simulatedMs = nowMs;
    if (isTraced || performance.now() - beganMs < QUIET_MS) return;
    line.show(() => `sim: ${grouped(nowMs / 1000)} simulated s so far; the world heals after ${grouped(plan.minutes * 60)} s`);
  };
  const runner = new RunnerProcess({ onProgress });
  const onAbort = (): void => void runner.stop();
  signal.addEventListener("abort", onAbort);
  try {
    return { result: await runner.run({ kind: "plan", plan, watched: { isTraced } }), simulatedMs };
  } finally {
    signal.removeEventListener("abort", onAbort);
    line.clear();
    await runner.stop();
  }
}

function tell(plan: Plan, result: TimedRunResult, { realMs, trace }: { readonly realMs: number; readonly trace: boolean }): void {
  const { hash, violations, counts, simulatedMs, healedAtMs, realUntilHealedMs, eventCount, operationCount } = result;
  if (trace) for (const [name, count] of Object.entries(counts)) say(`${String(count).padStart(8)} ${name}`);
  for (const { rule, sentence, atMs } of violations) {
    if (FORCED_RULES.includes(rule)) return say(`it did not come to its end: ${rule}: ${sentence}`);
    say(`it broke ${rule} at ${(atMs / 1000).toFixed(3)} s: ${sentence}`);
  }
  if (violations.length === 0) warnOfIdleness(counts);
  const effects = Object.entries(counts).reduce((sum, [name, count]) => (name.startsWith("fault.") ? sum + count : sum), 0);
  say(
    `trace ${hash}; ${durationOf(simulatedMs)} simulated in ${durationOf(realMs)}, ${speedOf(healedAtMs, realUntilHealedMs)} until the world healed; ` +
      `${counted(operationCount, "operation")}; ${counted(plan.faults.length, "fault")}, which took effect ${counted(effects, "time")}; ` +
      `${counted(eventCount, "event")}; failures: ${violations.length}`,
  );
}

/** Keeps the smallest plan that was found, also when it was interrupted, and says where. @throws {Refusal} when there is no keeping it */
export async function shrinkAndKeep(plan: Plan, options: ShrinkCommandOptions & { readonly violation: Violation }): Promise<void> {
  const { violation: first, workers, runs, signal } = options;
  const boundMs = boundMsOf(plan.minutes, options.boundSeconds);
  say(`makes it small, with at most ${counted(runs, "run")} of at most ${grouped(boundMs / 1000)} s; Ctrl-C keeps the smallest so far`);
  const line = new ProgressLine();
  const runners = Array.from({ length: workers }, () => new RunnerProcess({ boundMs }));
  const free = [...runners];
  const stopAll = async (): Promise<void> => void (await Promise.all(runners.map((runner) => runner.stop())));
  signal.addEventListener("abort", stopAll);
  try {
    const shrunk = await shrink(plan, {
      rule: first.rule,
      runsMax: runs,
      width: workers,
      signal,
      run: async (candidate) => {
        const runner = free.pop() as RunnerProcess;
        try {
          return (await runner.run({ kind: "plan", plan: candidate })).violations;
        } finally {
          free.push(runner);
        }
      },
      onSmaller: (smaller, runCount) => line.show(() => `sim: after ${counted(runCount, "run")}: ${sizeOf(smaller)}`),
    });
    line.clear();
    if (shrunk.violation === undefined) return say(`${NOT_SMALLER[shrunk.end]}, so it was not made smaller`);
    say(`${counted(shrunk.runCount, "run")} made it ${sizeOf(shrunk.plan)}`);
    keep({ showed: firstLine(shrunk.violation), rule: first.rule, plan: shrunk.plan }, options);
    if (shrunk.end === "runs-spent") say(`it ended after ${counted(runs, "run")}: with more --runs it may get smaller`);
    if (shrunk.end === "interrupted") say(`interrupted after ${counted(shrunk.runCount, "run")}: it may get smaller`);
  } finally {
    signal.removeEventListener("abort", stopAll);
    await stopAll();
  }
}

const NOT_SMALLER = {
  smallest: "the plan did not break the same rule again",
  "runs-spent": "the plan did not break the same rule again",
  interrupted: "interrupted before the plan had run again",
} as const;

function keep(regression: Regression, { keepIn, violation: first }: { readonly keepIn: string; readonly violation: Violation }): void {
  const { rule, showed } = regression;
  let kept: ReturnType<typeof keepRegression>;
  try {
    kept = keepRegression(keepIn, regression);
  } catch (error) {
    // What took so many runs is not lost with the file.
    process.stdout.write(regressionText(regression));
    throw error;
  }
  const path = relative(process.cwd(), kept.path);
  say(`it breaks ${rule} with: ${showed}`);
  if (showed !== firstLine(first)) say(`which is not what it was at first: ${firstLine(first)}`);
  if (kept.isOlder) {
    say(`${path} stays, for it is as small or smaller; this is the new one:`);
    return void process.stdout.write(regressionText(regression));
  }
  say(`it is kept: ${path}; see it with: npm run sim -- --plan ${path} --trace`);
  if (keepIn === REGRESSIONS) say("npm test runs it from now on, everywhere once it is committed");
}

/** A stack below the sentence is of this checkout. */
const firstLine = ({ sentence }: Violation): string => sentence.split("\n")[0] as string;

function sizeOf({ faults, operations, minutes }: Plan): string {
  return `${counted(faults.length, "fault")}, ${counted(operations.length, "operation")}, ${minutes} minutes`;
}

/** Where nothing is done nothing is found. @param counts of one run, or of many */
export function warnOfIdleness(counts: TimedRunResult["counts"]): void {
  if (!Object.keys(counts).some((name) => name.startsWith("operation.") && name.endsWith(".done")))
    say("warning: no operation was done, so that nothing failed says little");
}

function say(sentence: string): void {
  process.stdout.write(`sim: ${sentence}\n`);
}
