/** What the values of flags may be; others are refused in words. */
import { InvalidArgumentError } from "commander";

/** More than a run can hold, or a machine has cores. */
const MINUTES_MAX = 1_000;
export const WORKERS_MAX = 256;

export function wholeNumber(text: string): number {
  const count = Number(text);
  if (!/^\d{1,9}$/.test(text) || count < 1) throw new InvalidArgumentError("It is a whole number from 1.");
  return count;
}

export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,6}(?:\.\d{1,3})?$/.test(text) || value <= 0) throw new InvalidArgumentError("It is a number above 0.");
  return value;
}

export function minutesOf(text: string): number {
  const minutes = positive(text);
  if (minutes > MINUTES_MAX) throw new InvalidArgumentError(`It is at most ${MINUTES_MAX}; more seeds find more than longer ones.`);
  return minutes;
}

export function workersOf(text: string): number {
  const count = wholeNumber(text);
  if (count > WORKERS_MAX) throw new InvalidArgumentError(`It is at most ${WORKERS_MAX}.`);
  return count;
}
