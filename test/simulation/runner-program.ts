/** A process that runs what it is asked, one plan after the other, until nobody asks any more: see runner-process.ts. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { drawPlan } from "./draw-plan.ts";
import type { Plan } from "./plan.ts";
import { type RunOptions, runPlan } from "./run.ts";
import type { RunResult } from "./run-result.ts";
import type { RunnerAnswer, RunnerProgress, RunnerTask, Watched } from "./runner-task.ts";

process.on("message", (task: RunnerTask) => void run(task).then((answer) => process.send?.(answer)));
process.on("disconnect", () => process.exit(0));
// Whoever asks may have died while this was loaded.
if (!process.connected) process.exit(0);
// The terminal tells all its processes; the one that asks decides what becomes of this one.
process.on("SIGINT", () => undefined);

// Whoever reads a trace may have seen enough of it; the one that asks finds that out, too.
process.stdout.on("error", () => process.exit(141));

// Bytes outside of the heap have no bound of their own.
const RESIDENT_MIB_MAX = 2_048;
setInterval(() => {
  if (residentMib() <= RESIDENT_MIB_MAX) return;
  process.stderr.write(`It has ${residentMib().toFixed(0)} MiB in memory, more than ${RESIDENT_MIB_MAX}.`);
  process.exit(1);
}, 500);
const PROGRESS_EVERY_MS = 100;

async function run(task: RunnerTask): Promise<RunnerAnswer> {
  try {
    const plan = task.kind === "seed" ? drawPlan(task.seed, task.minutes) : task.plan;
    const beganMs = performance.now();
    let realUntilHealedMs = 0;
    const onHealing = (): void => {
      realUntilHealedMs = performance.now() - beganMs;
    };
    const watched = task.kind === "plan" ? task.watched : undefined;
    const ended = watched === undefined ? await runPlan(plan, { onHealing }) : await runWatched(plan, { onHealing }, watched);
    const result = { ...ended, realUntilHealedMs: Math.round(realUntilHealedMs) };
    return { kind: "result", result };
  } catch (error) {
    return { kind: "thrown", sentence: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

async function runWatched(plan: Plan, options: RunOptions, { isTraced }: Watched): Promise<RunResult> {
  let simulatedMs = 0;
  const onTime = (nowMs: number): void => {
    simulatedMs = nowMs;
  };
  const progress = (): RunnerProgress => ({ kind: "progress", simulatedMs });
  const timer = setInterval(() => process.send?.(progress()), PROGRESS_EVERY_MS);
  try {
    const told = isTraced ? { ...options, onTime, onTraceLine } : { ...options, onTime };
    return await runPlan(plan, told);
  } finally {
    clearInterval(timer);
  }
}

function residentMib(): number {
  return process.memoryUsage.rss() / 1024 ** 2;
}

function onTraceLine(line: string): void {
  process.stdout.write(`${line}\n`);
}
