/**
 * `npm run sim`: many seeds, or one of them, or a plan that was written down. See docs/SIMULATION.md.
 *
 * Exit codes: 0 when nothing was found, 1 when something was, 2 for a command that cannot be carried out, 130 when it was interrupted,
 * 141 when whoever read its output had enough.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { Command } from "commander";
import { readCount } from "../../src/cli/option-values.ts";
import { readMinutes, readPositive, readWorkers, WORKERS_MAX } from "./option-values.ts";
import type { Plan } from "./plan.ts";
import { Refusal } from "./refusal.ts";

export interface SimOptions {
  readonly seeds?: number;
  readonly seed?: number;
  readonly plan?: string;
  readonly from: number;
  readonly minutes: number;
  readonly workers: number;
  readonly keepGoing: boolean;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly runs: number;
  readonly boundSeconds?: number;
}

/** Real time for a simulated minute, on a machine that has much else to do; past it a seed is taken not to end. */
const BOUND_SECONDS_A_MINUTE = 60;
const BOUND_SECONDS_MIN = 120;

const program = new Command("sim")
  .description("Runs the whole cluster in one thread, under seeds.")
  .option("--seeds <count>", "run so many seeds", readCount)
  .option("--from <seed>", "the first of them", readCount, 1)
  .option("--seed <seed>", "run one seed", readCount)
  .option("--plan <file>", "run a plan that was written down")
  .option("--minutes <minutes>", "simulated time in which things are done and go wrong", readMinutes, 2)
  .option("--workers <count>", "processes at a time", readWorkers, Math.min(availableParallelism(), WORKERS_MAX))
  .option("--keep-going", "do not end with the first failure", false)
  .option("--trace", "print what happens in one seed or plan", false)
  .option("--shrink", "make the plan that fails small, and keep it as a regression", false)
  .option("--runs <count>", "runs that making it small may take", readCount, 400)
  .option("--bound-seconds <seconds>", "real time after which a run is taken not to end", readPositive)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program.parse();
const options = program.opts<SimOptions>();
const ways = [options.seeds, options.seed, options.plan].filter((way) => way !== undefined);
if (ways.length !== 1) program.error("error: one of --seeds, --seed and --plan says what to run");
if (options.trace && options.seeds !== undefined) program.error("error: --trace is for one seed (--seed) or plan (--plan)");

// So that what was begun is ended, too.
process.once("SIGTERM", () => process.exit(143));
// Whoever reads a trace may have seen enough of it.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(141);
  });
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`sim: ${error.message}\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const boundMs = (options.boundSeconds ?? Math.max(BOUND_SECONDS_MIN, options.minutes * BOUND_SECONDS_A_MINUTE)) * 1000;
  // The cluster is loaded once it is known what to do with it: a wrong flag is refused at once.
  if (options.seeds !== undefined) {
    const { runSeedsCommand } = await import("./seeds-command.ts");
    return await runSeedsCommand({ ...options, seeds: options.seeds, boundMs });
  }
  const plan = options.plan === undefined ? await drawn(options.seed as number) : await written(options.plan);
  const { runPlanCommand } = await import("./plan-command.ts");
  return await runPlanCommand({ ...options, plan, boundMs });
}

async function drawn(seed: number): Promise<Plan> {
  const { drawPlan } = await import("./draw-plan.ts");
  return drawPlan(seed, options.minutes);
}

async function written(path: string): Promise<Plan> {
  const { readPlanFile } = await import("./plan-file.ts");
  return readPlanFile(path).plan;
}
