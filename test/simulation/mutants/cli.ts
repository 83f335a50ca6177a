/** `npm run sim:mutants`: plants each bug in a copy of the sources and runs seeds until one shows it. A table at the end. */
import { availableParallelism } from "node:os";
import process from "node:process";
import { Command } from "commander";
import { readMinutes, readWorkers } from "../option-values.ts";
import { type Caught, hunt, SoundRuns } from "./hunt.ts";
import { MUTANTS } from "./mutants.ts";

interface MutantsOptions {
  readonly only?: string;
  readonly minutes: number;
  readonly workers: number;
}

/** Real time for one run; a bug may be one that never comes to an end. */
const BOUND_MS = 180_000;
const NAME_WIDTH = 34;

const program = new Command("sim:mutants")
  .description("Plants bugs and looks whether the simulation finds them.")
  .option("--only <words>", "those whose names have one of these in them, with commas between")
  .option("--minutes <minutes>", "simulated time of each run", readMinutes, 2)
  .option("--workers <count>", "bugs at a time", readWorkers, availableParallelism())
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
program.parse();
const { only = "", minutes, workers } = program.opts<MutantsOptions>();
const mutants = MUTANTS.filter(({ name }) => only.split(",").some((word) => name.includes(word)));
if (mutants.length === 0) program.error(`error: no bug has ${JSON.stringify(only)} in its name`);

// So that what was begun is cleared away.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
const sound = new SoundRuns(BOUND_MS);
const ends = new Map<string, Caught>();
const queue = mutants.values();
const lane = async (): Promise<void> => {
  for (const mutant of queue) {
    const end = await hunt(mutant, { minutes, boundMs: BOUND_MS, isSound: (task) => sound.isSound(task) });
    ends.set(mutant.name, end);
    process.stderr.write(`${mutant.name.padEnd(NAME_WIDTH)} ${wordsOf(end)}\n`);
  }
};
try {
  await Promise.all(Array.from({ length: workers }, lane));
} finally {
  await sound.stop();
}
process.stdout.write(`\n${"bug".padEnd(NAME_WIDTH)} ${"shown by".padEnd(40)} what it does\n`);
for (const { name, wrong } of mutants) {
  const end = ends.get(name) as Caught;
  process.stdout.write(`${name.padEnd(NAME_WIDTH)} ${shownBy(end).padEnd(40)} ${wrong}\n`);
}
const caughtCount = [...ends.values()].filter(({ kind }) => kind === "caught").length;
process.stdout.write(`sim:mutants: ${caughtCount} of ${mutants.length} bugs caught, ${minutes} simulated minutes a seed\n`);
process.exitCode = caughtCount === mutants.length ? 0 : 1;

function shownBy(end: Caught): string {
  if (end.kind === "caught") return `seed ${end.seed}: ${end.rule}`;
  return end.kind === "escaped" ? `NOT within ${end.seedCount} seeds` : "DOES NOT FIT";
}

function wordsOf(end: Caught): string {
  return end.kind === "escaped" ? shownBy(end) : `${shownBy(end)}: ${end.sentence.split("\n")[0]}`;
}
