/** Every plan that once failed: it shows nothing any more. */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readPlanFile } from "./plan-file.ts";
import { runPlan } from "./run.ts";

const FOLDER = fileURLToPath(new URL("regressions/", import.meta.url));
const names = existsSync(FOLDER) ? readdirSync(FOLDER).sort() : [];

describe("plans that once failed", () => {
  test("are named after the rule they broke, and their seed", () => {
    const wanted = names.map((name) => {
      const { rule, plan } = readPlanFile(FOLDER + name);
      return `${rule}-${plan.seed}.json`;
    });
    expect(names).toEqual(wanted);
  });

  test.each(names)("%s shows nothing any more", async (name) => {
    const { plan } = readPlanFile(FOLDER + name);
    expect((await runPlan(plan)).violations).toEqual([]);
  });
});
