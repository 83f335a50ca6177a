import { getEventListeners } from "node:events";
import { afterEach, expect, it } from "vitest";
import { drawPlan } from "./draw-plan.ts";
import { runPlan } from "./run.ts";

const { any } = AbortSignal;
afterEach(() => {
  AbortSignal.any = any;
});

it("a run that is over leaves nobody listening to a signal made of others, also where processes died", async () => {
  const made: AbortSignal[] = [];
  const watching: typeof any = (signals) => {
    const signal = any.call(AbortSignal, signals);
    made.push(signal);
    return signal;
  };
  AbortSignal.any = watching;
  const { violations, counts } = await runPlan(drawPlan(13_003, 0.5));
  expect(violations).toEqual([]);
  expect(counts["fault.process.killed"] ?? 0).toBeGreaterThan(0);
  expect(made.length).toBeGreaterThan(10);
  expect(made.filter((signal) => getEventListeners(signal, "abort").length > 0)).toEqual([]);
  expect(AbortSignal.any).toBe(watching);
});
