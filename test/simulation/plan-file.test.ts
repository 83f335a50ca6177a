import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { NODES_USUAL, type Plan } from "./plan.ts";
import { readPlanFile, writeRegression } from "./plan-file.ts";

const plan: Plan = {
  format: 1,
  seed: 12,
  minutes: 0.4,
  nodes: NODES_USUAL,
  operations: [
    { id: 0, client: "client1", atMs: 20, kind: "list", with: {} },
    {
      id: 1,
      client: "client2",
      atMs: 120,
      kind: "upload",
      with: { sizeBytes: 70_000, name: `${"long ".repeat(30)}"name"`, isFast: true, rate: 0.5 },
    },
  ],
  faults: [],
};
const regression = { showed: "An acknowledged file could not be read.", rule: "file-lost", plan };
const CHECKOUT = fileURLToPath(new URL("../..", import.meta.url));

test("a regression is read as it was written", async () => {
  await using folder = await temporaryDirectory();
  expect(readPlanFile(writeRegression(folder.path, regression))).toEqual(regression);
});

test("a regression is written as the formatter would", async () => {
  await using folder = await temporaryDirectory();
  // Around the width of a line.
  const faults = Array.from({ length: 30 }, (_, index) => ({
    kind: "bus.loss",
    atMs: 5,
    forMs: 10,
    with: { link: "tracker1>".padEnd(50 + index) },
  }));
  const paths = [regression, { ...regression, plan: { ...plan, seed: 13, faults, operations: [] } }].map((one) =>
    writeRegression(folder.path, one),
  );
  const biome = join(CHECKOUT, "node_modules/@biomejs/biome/bin/biome");
  const config = join(folder.path, "biome.json");
  writeFileSync(config, JSON.stringify({ formatter: { indentStyle: "space", indentWidth: 2, lineWidth: 140 } }));
  const child = spawnSync(process.execPath, [biome, "format", `--config-path=${config}`, ...paths], { cwd: folder.path, encoding: "utf8" });
  expect(child.stdout + child.stderr).toContain("Checked 2 files");
  expect(child.status, child.stdout + child.stderr).toBe(0);
});

test("a plan alone can be run, too", async () => {
  await using folder = await temporaryDirectory();
  const path = join(folder.path, "plan.json");
  writeFileSync(path, JSON.stringify(plan));
  expect(readPlanFile(path)).toEqual({ plan });
});

test("what is no plan is refused with the place that is wrong", async () => {
  await using folder = await temporaryDirectory();
  const path = join(folder.path, "plan.json");
  expect(() => readPlanFile(path)).toThrow(/plan\.json cannot be read as a plan/);
  writeFileSync(path, JSON.stringify({ ...plan, nodes: { ...NODES_USUAL, clients: 0 } }));
  expect(() => readPlanFile(path)).toThrow(/plan\.json is no plan: nodes\.clients/);
  writeFileSync(path, '{"name":"something else"}');
  expect(() => readPlanFile(path)).toThrow(/neither "format", as a plan, nor "plan", as a regression/);
});

const fault = { kind: "bus.loss", atMs: 5, forMs: 10, with: {} };
const operation = { id: 0, client: "client1", atMs: 5, kind: "list", with: {} };
test.each([
  [{ faults: [{ ...fault, kind: "bus.gone" }] }, 'there is no fault of the kind "bus.gone"'],
  [{ operations: [{ ...operation, kind: "dance" }] }, 'there is no operation of the kind "dance"'],
  [{ operations: [{ ...operation, client: "client99" }] }, 'there is no client "client99"'],
  [{ faults: [{ ...fault, atMs: -1 }] }, "faults.0.atMs"],
  [{ minutes: 1e9 }, "minutes"],
  [{ operations: [operation, { ...operation, atMs: 9 }] }, "two of its operations have one id"],
])("a plan with %j is refused before it runs", async (part, words) => {
  await using folder = await temporaryDirectory();
  const path = join(folder.path, "plan.json");
  writeFileSync(path, JSON.stringify({ ...plan, ...part }));
  expect(() => readPlanFile(path)).toThrow(words);
});
