import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Fault } from "./fault.ts";
import { NODES_USUAL, type Operation, type Plan, topologyOf } from "./plan.ts";
import { shrink } from "./shrink.ts";
import type { Violation } from "./world.ts";

const RULE = "bytes-differ";
const broken: Violation[] = [{ rule: RULE, sentence: "A byte differs.", atMs: 50_000 }];

const fault = (index: number): Fault => ({
  kind: `disk.${index}`,
  atMs: index * 1_000,
  forMs: 900 + index,
  with: { process: `storage${(index % 4) + 1}`, count: index },
});
const operation = (index: number): Operation => ({
  id: index,
  client: `client${(index % 5) + 1}`,
  atMs: index * 500,
  kind: `upload${index}`,
  with: { sizeBytes: index * 1_000, user: index },
});
const planOf = (faultCount: number, operationCount: number): Plan => ({
  format: 1,
  seed: 7,
  minutes: 2,
  nodes: NODES_USUAL,
  faults: Array.from({ length: faultCount }, (_, index) => fault(index)),
  operations: Array.from({ length: operationCount }, (_, index) => operation(index)),
});
const kinds = (parts: readonly { readonly kind: string }[]): string[] => parts.map(({ kind }) => kind);

/** Fails while all of these are in the plan. */
const needing = (names: readonly string[]) => async (plan: Plan) => {
  const there = new Set([...kinds(plan.faults), ...kinds(plan.operations)]);
  return names.every((name) => there.has(name)) ? broken : [];
};

describe("shrinking a plan", () => {
  test("exactly the faults and operations stay that the failure needs", async () => {
    const subset = fc.uniqueArray(fc.nat(29), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(subset, subset, async (faults, operations) => {
        const needed = [...faults.map((index) => `disk.${index}`), ...operations.map((index) => `upload${index}`)];
        const { plan, violation } = await shrink(planOf(30, 30), { run: needing(needed), rule: RULE, runsMax: 5_000 });
        expect(violation).toEqual(broken[0]);
        expect([...kinds(plan.faults), ...kinds(plan.operations)].sort()).toEqual([...needed].sort());
      }),
      { numRuns: 25 },
    );
  });

  test("the smallest plan is the same however many run at once, after as many runs", async () => {
    const run = needing(["disk.3", "disk.17", "upload9"]);
    const [one, three] = await Promise.all([1, 3].map((width) => shrink(planOf(20, 30), { run, rule: RULE, runsMax: 100, width })));
    expect(three).toEqual(one);
  });

  test("an interruption leaves the smallest plan so far, and no run after it counts", async () => {
    const interrupted = new AbortController();
    const run = async (plan: Plan) => {
      // What is ended from outside breaks rules, too.
      if (plan.faults.length === 0) interrupted.abort();
      return broken;
    };
    const options = { run, rule: RULE, runsMax: 100, signal: interrupted.signal };
    const { plan, violation, end } = await shrink(planOf(4, 4), options);
    expect([plan.faults.length, violation, end]).toEqual([4, broken[0], "interrupted"]);
  });

  test("what breaks another rule does not stand for the failure", async () => {
    const run = async (plan: Plan) => (plan.faults.length === 5 ? broken : [{ rule: "other", sentence: "Another.", atMs: 1 }]);
    const { plan, end } = await shrink(planOf(5, 4), { run, rule: RULE, runsMax: 500 });
    expect(end).toBe("smallest");
    expect(plan.faults).toHaveLength(5);
    expect(plan.operations).toHaveLength(0);
  });

  test("a plan that does not fail is left as it is", async () => {
    const plan = planOf(3, 3);
    expect(await shrink(plan, { run: async () => [], rule: RULE, runsMax: 50 })).toEqual({
      plan,
      violation: undefined,
      runCount: 1,
      end: "smallest",
    });
  });

  test("it makes no more runs than it may", async () => {
    let runCount = 0;
    const run = async (plan: Plan) => {
      runCount += 1;
      return needing(["disk.3", "disk.11", "upload29"])(plan);
    };
    const shrunk = await shrink(planOf(30, 30), { run, rule: RULE, runsMax: 20 });
    expect([runCount, shrunk.runCount, shrunk.end]).toEqual([20, 20, "runs-spent"]);
    expect(await run(shrunk.plan)).toEqual(broken);
  });

  test("processes that are not needed go, with what names them", async () => {
    const run = async (plan: Plan) => {
      const names = new Set(Object.values(topologyOf(plan.nodes)).flat());
      const named = [...plan.operations.map(({ client }) => client), ...plan.faults.map((one) => String(one.with["process"]))];
      expect(named.filter((name) => !names.has(name))).toEqual([]);
      // So much is needed that much else stays until nodes go.
      return plan.nodes.storages >= 2 && plan.operations.length >= 4 && plan.faults.length >= 4 ? broken : [];
    };
    const { plan } = await shrink(planOf(10, 20), { run, rule: RULE, runsMax: 2_000 });
    expect(plan.nodes).toMatchObject({ trackers: 1, allocators: 1, catalogs: 1, gateways: 1 });
    expect([plan.operations.length, plan.faults.length]).toEqual([4, 4]);
  });

  test("numbers become as small as they may be, and so does the time", async () => {
    const run = async (plan: Plan) => (plan.operations.some(({ with: { sizeBytes } }) => Number(sizeBytes) >= 5_000) ? broken : []);
    const { plan } = await shrink(planOf(10, 30), { run, rule: RULE, runsMax: 2_000 });
    expect(plan.operations).toHaveLength(1);
    const [left] = plan.operations as [Operation];
    expect(Number(left.with["sizeBytes"])).toBeGreaterThanOrEqual(5_000);
    expect(Number(left.with["sizeBytes"])).toBeLessThan(10_000);
    expect(left.with["user"]).toBe(0);
    expect(plan.minutes * 60_000).toBeGreaterThanOrEqual(left.atMs);
    expect(plan.minutes).toBeLessThan(0.3);
  });
});
