/**
 * Some short seeds, the same in each run of the tests; `TROUPE_TEST_SEEDS` says how many. Hundreds of them are a step of their own, which has
 * all cores for itself.
 */
import process from "node:process";
import { beforeAll, describe, expect, test } from "vitest";
import { drawPlan } from "./draw-plan.ts";
import { runPlan } from "./run.ts";
import type { RunResult } from "./run-result.ts";
import { RunnerProcess } from "./runner-process.ts";

const SEEDS = Number(process.env["TROUPE_TEST_SEEDS"] ?? 12);
const MINUTES = 0.25;
const REAL_TIME_MS = 240_000;

describe("a seed", () => {
  let result: RunResult;

  beforeAll(async () => {
    result = await runPlan(drawPlan(1, MINUTES));
  });

  test("gives the same trace in two processes", async () => {
    const runner = new RunnerProcess({ boundMs: REAL_TIME_MS });
    try {
      // What ran before in a process changes nothing.
      for (const seed of [2, 1]) {
        const again = await runner.run({ kind: "seed", seed, minutes: MINUTES });
        if (seed === 1) expect([again.hash, again.eventCount, again.counts]).toEqual([result.hash, result.eventCount, result.counts]);
      }
    } finally {
      await runner.stop();
    }
  });

  test("gives another trace than another seed", async () => {
    expect((await runPlan(drawPlan(2, MINUTES))).hash).not.toBe(result.hash);
  });
});

test(`the first ${SEEDS} seeds break nothing`, { timeout: 300_000 + SEEDS * 30_000 }, async () => {
  for (let seed = 1; seed <= SEEDS; seed += 1)
    expect((await runPlan(drawPlan(seed, MINUTES))).violations, `npm run sim -- --seed ${seed} --minutes ${MINUTES} --trace`).toEqual([]);
});
