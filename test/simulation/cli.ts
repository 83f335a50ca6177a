/**
 * `npm run sim`: many seeds, or one of them, or a plan that was written down. See docs/SIMULATION.md.
 *
 * Exit codes: 0 when nothing was found, 1 when something was, 2 for a command that cannot be carried out, 130 when it was interrupted,
 * 141 when whoever read its output had enough.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { readMinutes, readSeconds, readWhole, readWorkers, WORKERS_MAX } from "./option-values.ts";
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
  readonly keepIn?: string;
}

const program = new Command("sim")
  .description("Runs the whole cluster in one thread, under seeds.")
  .option("--seeds <count>", "run so many seeds", readWhole)
  .option("--from <seed>", "with --seeds: the first of them", readWhole, 1)
  .option("--seed <seed>", "run one seed", readWhole)
  .option("--plan <file>", "run a plan that was written down")
  .option("--minutes <minutes>", "of seeds: simulated time in which things are done and go wrong", readMinutes, 2)
  .option("--workers <count>", "with --seeds or --shrink: processes at a time", readWorkers, Math.min(availableParallelism(), WORKERS_MAX))
  .option("--keep-going", "with --seeds: do not end with the first failure", false)
  .option("--trace", "print what happens in one seed or plan", false)
  .option(
    "--shrink",
    "make the plan that fails small, and keep it as a regression; of several (--keep-going) only that of the first seed",
    false,
  )
  .option("--runs <count>", "with --shrink: runs that it may take", readWhole, 400)
  .option("--keep-in <folder>", "with --shrink: where the small plan is kept (default: test/simulation/regressions)")
  .option("--bound-seconds <seconds>", "with --seeds or --shrink: real time after which a run is taken not to end", readSeconds)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

program.parse();
const options = program.opts<SimOptions>();
const ways = [options.seeds, options.seed, options.plan].filter((way) => way !== undefined);
if (ways.length !== 1) program.error("error: one of --seeds, --seed and --plan says what to run");
const isMany = options.seeds !== undefined;
const WITH_SHRINK = "is for making a plan small (--shrink)";
const WITH_MANY = "is for many seeds (--seeds)";
const WITH_EITHER = "is for many seeds (--seeds), or for making a plan small (--shrink)";
/** Flags that say nothing about what is run. */
const idle: readonly (readonly [name: keyof SimOptions, flag: string, matters: boolean, why: string])[] = [
  ["from", "--from", isMany, WITH_MANY],
  ["keepGoing", "--keep-going", isMany, WITH_MANY],
  ["trace", "--trace", !isMany, "is for one seed (--seed) or plan (--plan)"],
  ["minutes", "--minutes", options.plan === undefined, "is for seeds: a plan that was written down has its own"],
  ["runs", "--runs", options.shrink, WITH_SHRINK],
  ["keepIn", "--keep-in", options.shrink, WITH_SHRINK],
  ["workers", "--workers", isMany || options.shrink, WITH_EITHER],
  ["boundSeconds", "--bound-seconds", isMany || options.shrink, WITH_EITHER],
];
for (const [name, flag, matters, why] of idle)
  if (!matters && program.getOptionValueSource(name) === "cli") program.error(`error: ${flag} ${why}`);

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
  // The cluster is loaded once it is known what to do with it: a wrong flag is refused at once.
  const { REGRESSIONS, runPlanCommand } = await import("./plan-command.ts");
  const given = { ...options, keepIn: options.keepIn === undefined ? REGRESSIONS : resolve(options.keepIn) };
  if (options.seeds !== undefined) {
    const { runSeedsCommand } = await import("./seeds-command.ts");
    return await runSeedsCommand({ ...given, seeds: options.seeds, signal: interruption() });
  }
  const plan = options.plan === undefined ? await drawn(options.seed as number) : await written(options.plan);
  return await runPlanCommand({ ...given, plan, signal: interruption() });
}

/** Ctrl-C: what is done then is kept. Who asks twice wants it over. */
function interruption(): AbortSignal {
  const interrupted = new AbortController();
  process.on("SIGINT", () => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  });
  return interrupted.signal;
}

async function drawn(seed: number): Promise<Plan> {
  const { drawPlan } = await import("./draw-plan.ts");
  return drawPlan(seed, options.minutes);
}

async function written(path: string): Promise<Plan> {
  const { readPlanFile } = await import("./plan-file.ts");
  return readPlanFile(path).plan;
}
