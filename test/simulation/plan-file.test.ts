import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { drawPlan } from "./draw-plan.ts";
import type { Fault } from "./fault.ts";
import { wrongWith } from "./fault-kinds.ts";
import { NODES_USUAL, type Plan } from "./plan.ts";
import { keepRegression, readPlanFile } from "./plan-file.ts";
import { fileTrouble } from "./refusal.ts";
import { numberSteps, withoutNodes } from "./shrink-steps.ts";

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
  expect(readPlanFile(keepRegression(folder.path, regression).path)).toEqual(regression);
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
  const paths = [regression, { ...regression, plan: { ...plan, seed: 13, faults, operations: [] } }].map(
    (one) => keepRegression(folder.path, one).path,
  );
  const biome = join(CHECKOUT, "node_modules/@biomejs/biome/bin/biome");
  const config = join(folder.path, "biome.json");
  writeFileSync(config, JSON.stringify({ formatter: { indentStyle: "space", indentWidth: 2, lineWidth: 140 } }));
  const child = spawnSync(process.execPath, [biome, "format", `--config-path=${config}`, ...paths], { cwd: folder.path, encoding: "utf8" });
  expect(child.stdout + child.stderr).toContain("Checked 2 files");
  expect(child.status, child.stdout + child.stderr).toBe(0);
});

test("a smaller regression takes the place of a larger one, and of no other", async () => {
  await using folder = await temporaryDirectory();
  const [first] = plan.operations;
  const smaller = { ...regression, plan: { ...plan, operations: first === undefined ? [] : [first] } };
  const kept = [regression, smaller, regression, smaller].map((one) => keepRegression(folder.path, one));
  expect(kept.map(({ isOlder }) => isOlder)).toEqual([false, false, true, true]);
  expect(readPlanFile(join(folder.path, "file-lost-12.json"))).toEqual(smaller);
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
  expect(() => readPlanFile(path)).toThrow(/plan\.json cannot be read: there is no such file/);
  writeFileSync(path, JSON.stringify({ ...plan, nodes: { ...NODES_USUAL, clients: 0 } }));
  expect(() => readPlanFile(path)).toThrow(/plan\.json is no plan: nodes\.clients/);
  writeFileSync(path, "nonsense");
  expect(() => readPlanFile(path)).toThrow(/plan\.json is no plan, for it is no JSON/);
  expect(() => readPlanFile(folder.path)).toThrow(/cannot be read: it is a directory/);
  for (const newer of [
    { ...plan, format: 2, tides: [] },
    { ...regression, plan: { ...plan, format: 2 } },
  ]) {
    writeFileSync(path, JSON.stringify(newer));
    expect(() => readPlanFile(path)).toThrow(/plan\.json is of a newer kind: format 2; this checkout reads 1/);
  }
  writeFileSync(path, '{"name":"something else"}');
  expect(() => readPlanFile(path)).toThrow(/neither "format", as a plan, nor "plan", as a regression/);
});

const fault = { kind: "bus.loss", atMs: 5, forMs: 10, with: {} };
const loss = (part: Fault["with"]): Fault => ({
  ...fault,
  with: { process: "tracker1", direction: "in", probability: 0.5, leastMs: 0, mostMs: 0, ...part },
});
const way = { client: "client1", server: "storage1", direction: "both" };
const operation = { id: 0, client: "client1", atMs: 5, kind: "list", with: {} };
test.each([
  [{ faults: [{ ...fault, kind: "bus.gone" }] }, 'there is no fault of the kind "bus.gone"'],
  [{ operations: [{ ...operation, kind: "dance" }] }, 'there is no operation of the kind "dance"'],
  [{ operations: [{ ...operation, client: "client99" }] }, 'there is no client "client99"'],
  [{ faults: [{ ...fault, atMs: -1 }] }, "faults.0.atMs"],
  [{ faults: [fault] }, 'faults.0: bus.loss needs "process"'],
  [{ faults: [loss({ process: "storage9" })] }, '"process" of bus.loss is "storage9", which is no allocator or'],
  [{ faults: [loss({ process: "client1" })] }, '"process" of bus.loss is "client1", which is no allocator or'],
  [{ faults: [loss({ direction: "sideways" })] }, "which is none of both, in, out"],
  [{ faults: [loss({ probability: 7 })] }, '"probability" of bus.loss is 7, which is not from 0 to 1'],
  [{ faults: [loss({ probability: "x" })] }, '"probability" of bus.loss is "x", which is no number'],
  [{ faults: [loss({ leastMs: -1 })] }, '"leastMs" of bus.loss is -1, which is below 0'],
  [{ faults: [loss({ leastMs: 0.5 })] }, '"leastMs" of bus.loss is 0.5, which is no whole number'],
  [{ faults: [loss({ tide: 1 })] }, 'bus.loss knows nothing of "tide"'],
  [{ faults: [{ ...fault, kind: "process.joined", with: { process: "storage1" } }] }, "which is no storage of this plan"],
  [{ faults: [{ ...fault, kind: "network.refuse", with: { server: "client1" } }] }, "which is no gateway or storage of this plan"],
  [{ faults: [{ ...fault, kind: "network.partition", with: way }] }, "network.partition is never between client1 and storage1"],
  [{ minutes: 1e9 }, "minutes"],
  [{ operations: [operation, { ...operation, atMs: 9 }] }, "two of its operations have one id"],
])("a plan with %j is refused before it runs", async (part, words) => {
  await using folder = await temporaryDirectory();
  const path = join(folder.path, "plan.json");
  writeFileSync(path, JSON.stringify({ ...plan, ...part }));
  expect(() => readPlanFile(path)).toThrow(words);
});

test.each([
  ["EACCES", /^this user may not; change who may/],
  ["EROFS", /read-only/],
  ["ENOSPC", /no room left; make some$/],
  ["EIO", /^as the system says it$/],
])("what is to be done about a file depends on what is wrong with it: %s", (code, words) => {
  expect(fileTrouble(Object.assign(new Error("as the system says it"), { code }))).toMatch(words);
});

test.each([
  NODES_USUAL,
  { trackers: 1, allocators: 1, catalogs: 1, storages: 1, gateways: 1, clients: 1 },
  { trackers: 3, allocators: 1, catalogs: 5, storages: 40, gateways: 2, clients: 20 },
])("whatever is drawn for %j can be written down, and is still a plan when it is made small", (nodes) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const drawn = { ...drawPlan(seed, 1, nodes), operations: [] };
    const alone = drawn.faults.map((one) => ({ ...drawn, faults: [one] }));
    const small = alone.flatMap((one) => [one, ...withoutNodes(one), ...numberSteps(one).flatMap((step) => step(one))]);
    for (const { faults, nodes: left } of small) expect(faults.flatMap((one) => wrongWith(one, left) ?? [])).toEqual([]);
  }
});
