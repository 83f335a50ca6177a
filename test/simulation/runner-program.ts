/** A process that runs what it is asked, one plan after the other, until nobody asks any more: see runner-process.ts. */
import process from "node:process";
import { drawPlan } from "./draw-plan.ts";
import { runPlan } from "./run.ts";
import type { RunnerAnswer, RunnerTask } from "./runner-task.ts";

process.on("message", (task: RunnerTask) => void run(task).then((answer) => process.send?.(answer)));
process.on("disconnect", () => process.exit(0));
// The terminal tells all its processes; the one that asks decides what becomes of this one.
process.on("SIGINT", () => undefined);

async function run(task: RunnerTask): Promise<RunnerAnswer> {
  try {
    const plan = task.kind === "seed" ? drawPlan(task.seed, task.minutes) : task.plan;
    return { kind: "result", result: await runPlan(plan, {}) };
  } catch (error) {
    return { kind: "thrown", sentence: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
