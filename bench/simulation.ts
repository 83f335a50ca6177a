/**
 * `taskset -c 0 node bench/simulation.ts`: how many seconds a process on one core simulates in a real one, at the load that is asked of the
 * simulation: 21 operations a minute of each of five clients, and a fault every 30 s on average. Seeds bring faults twice and six times as
 * often, too, so only those whose plans have about that many count here. The first two warm the process up.
 * What is left out is what a run does once the world has healed: there the oracle reads everything, and nothing goes wrong.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { drawPlan } from "../test/simulation/draw-plan.ts";
import { RunnerProcess } from "../test/simulation/runner-process.ts";

const MINUTES = 2;
/** In {@link MINUTES}: four, or one more or less. */
const FAULTS = [3, 5] as const;
const WARM_UP_SEEDS = 2;

const { values: options } = parseArgs({
  options: { from: { type: "string", default: "1" }, seeds: { type: "string", default: "20" } },
});
const runner = new RunnerProcess({});
let simulatedMs = 0;
let realMs = 0;
let faultCount = 0;
const seedCount = Number(options.seeds);
for (let seed = Number(options.from), index = -WARM_UP_SEEDS; index < seedCount; seed += 1) {
  const { faults } = drawPlan(seed, MINUTES);
  if (faults.length < FAULTS[0] || faults.length > FAULTS[1]) continue;
  const { violations, healedAtMs, realUntilHealedMs } = await runner.run({ kind: "seed", seed, minutes: MINUTES });
  for (const { rule, sentence } of violations) throw new Error(`seed ${seed}: ${rule}: ${sentence}`);
  const isCounted = index >= 0;
  process.stdout.write(`seed ${seed}: ${perSecond(healedAtMs, realUntilHealedMs)}${isCounted ? "" : " (to warm up)"}\n`);
  if (isCounted) {
    simulatedMs += healedAtMs;
    realMs += realUntilHealedMs;
    faultCount += faults.length;
  }
  index += 1;
}
await runner.stop();
const everySeconds = (seedCount * MINUTES * 60) / faultCount;
process.stdout.write(
  `${seedCount} seeds, a fault every ${everySeconds.toFixed(0)} s: ${perSecond(simulatedMs, realMs)} until the world healed\n`,
);

function perSecond(simulated: number, real: number): string {
  return `${(simulated / real).toFixed(0)} simulated s a real second`;
}
