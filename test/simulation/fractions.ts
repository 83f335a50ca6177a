/** Fractions in plans, most of them probabilities: with few digits, for plans are read by people. */
import type { RandomStream } from "./random-streams.ts";

/** Uniform, from `least` up to `most`, in ten-thousandths. */
export const fractionBetween = (random: RandomStream, least: number, most: number): number =>
  Math.round(random.between(least, most) * 10_000) / 10_000;

/** Now and then, or most of the time. */
export const seldomOrOften = (random: RandomStream): number =>
  random.chance(0.5) ? fractionBetween(random, 0.02, 0.2) : fractionBetween(random, 0.2, 0.8);
