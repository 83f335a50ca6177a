/** Values of options as they are typed, for the simulation's commands. What is wrong is said in words, with the bounds there are. */
import { InvalidArgumentError } from "commander";

/** More than a run can hold, or a machine has cores. */
const MINUTES_MAX = 1_000;
export const WORKERS_MAX = 256;
const WHOLE_MAX = 999_999_999;
const SECONDS_MAX = 999_999;

export function readWhole(text: string): number {
  return whole(text, WHOLE_MAX);
}

export function readWorkers(text: string): number {
  return whole(text, WORKERS_MAX);
}

export function readSeconds(text: string): number {
  return decimal(text, SECONDS_MAX, "");
}

export function readMinutes(text: string): number {
  return decimal(text, MINUTES_MAX, "; more seeds find more than longer ones");
}

function whole(text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) throw new InvalidArgumentError(`It is a whole number from 1 to ${most}.`);
  return value;
}

/** With thousandths at most, for it is part of names and of what is printed. */
function decimal(text: string, most: number, why: string): number {
  const value = Number(text);
  if (!/^\d+(?:\.\d{1,3})?$/.test(text) || value <= 0 || value > most)
    throw new InvalidArgumentError(`It is a number from 0.001 to ${most} with at most three decimals${why}.`);
  return value;
}
