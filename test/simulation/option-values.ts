/** Values of options as they are typed, for the simulation's commands. What is wrong is said in words. */
import { InvalidArgumentError } from "commander";
import { readCount } from "../../src/cli/option-values.ts";

/** More than a run can hold, or a machine has cores. */
const MINUTES_MAX = 1_000;
export const WORKERS_MAX = 256;

export function readPositive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,6}(?:\.\d{1,3})?$/.test(text) || value <= 0) throw new InvalidArgumentError("It is a number above 0.");
  return value;
}

export function readMinutes(text: string): number {
  const minutes = readPositive(text);
  if (minutes > MINUTES_MAX) throw new InvalidArgumentError(`It is at most ${MINUTES_MAX}; more seeds find more than longer ones.`);
  return minutes;
}

export function readWorkers(text: string): number {
  const count = readCount(text);
  if (count > WORKERS_MAX) throw new InvalidArgumentError(`It is at most ${WORKERS_MAX}.`);
  return count;
}
