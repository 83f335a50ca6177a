/** In which ways a plan can be made smaller, one step at a time. */
import type { Fault, FaultValue } from "./fault.ts";
import { type Nodes, type Operation, type Plan, topologyOf } from "./plan.ts";
import type { Search } from "./shrink.ts";

/** A list in a plan, and the plan with another list in its place. */
export type PlanParts = (plan: Plan) => { readonly count: number; readonly keep: (kept: (index: number) => boolean) => Plan };

export const withoutFaults: PlanParts = (plan) => ({
  count: plan.faults.length,
  keep: (kept) => ({ ...plan, faults: plan.faults.filter((_, index) => kept(index)) }),
});

export const withoutOperations: PlanParts = (plan) => ({
  count: plan.operations.length,
  keep: (kept) => ({ ...plan, operations: plan.operations.filter((_, index) => kept(index)) }),
});

/** Delta debugging: a part of the list alone, then all but a part; parts become smaller until each is one entry. */
export async function lessOf(search: Search, parts: PlanParts): Promise<void> {
  let partCount = 2;
  // Often it needs none of them.
  if (parts(search.plan).count > 0) await search.takeFirst([parts(search.plan).keep(() => false)]);
  while (!search.isSpent) {
    const { count, keep } = parts(search.plan);
    if (count === 0) return;
    partCount = Math.min(partCount, count);
    const partOf = (index: number): number => Math.floor((index * partCount) / count);
    const numbers = Array.from({ length: partCount }, (_, part) => part);
    const alone = partCount > 2 ? numbers.map((part) => keep((index) => partOf(index) === part)) : [];
    const allBut = numbers.map((part) => keep((index) => partOf(index) !== part));
    if (await search.takeFirst([...alone, ...allBut])) partCount = Math.max(2, Math.min(partCount - 1, parts(search.plan).count));
    else if (partCount === count) return;
    else partCount *= 2;
  }
}

/** Each role with one process only, or with one less; what names a process that is gone goes with it. */
export function withoutNodes(plan: Plan): Plan[] {
  return (Object.keys(plan.nodes) as (keyof Nodes)[]).flatMap((role) => {
    const count = plan.nodes[role];
    return [...new Set([1, count - 1])].filter((fewer) => fewer >= 1 && fewer < count).map((fewer) => withNodes(plan, role, fewer));
  });
}

function withNodes(plan: Plan, role: keyof Nodes, count: number): Plan {
  const nodes = { ...plan.nodes, [role]: count };
  const left = new Set(Object.values(topologyOf(nodes)).flat());
  const gone = new Set(
    Object.values(topologyOf(plan.nodes))
      .flat()
      .filter((name) => !left.has(name)),
  );
  const isThere = (value: FaultValue): boolean => typeof value !== "string" || value.split(/[^a-z0-9]+/).every((word) => !gone.has(word));
  const namesNobodyGone = (given: { readonly with: Readonly<Record<string, FaultValue>> }): boolean =>
    Object.values(given.with).every(isThere);
  return {
    ...plan,
    nodes,
    operations: plan.operations.filter((operation) => isThere(operation.client) && namesNobodyGone(operation)),
    faults: plan.faults.filter(namesNobodyGone),
  };
}

/** A number in a plan: what makes plans of one in which it is smaller. */
export type NumberStep = (plan: Plan) => Plan[];

/** Every number of every fault and operation; a plan in which one is smaller has the same steps. */
export function numberSteps(plan: Plan): NumberStep[] {
  const faults = plan.faults.flatMap((fault, index) => [
    (now: Plan) => withFault(now, index, (present) => smaller(present.forMs, 1).map((forMs) => ({ ...present, forMs }))),
    ...Object.keys(fault.with).map(
      (key) => (now: Plan) => withFault(now, index, (present) => smallerIn(present.with, key).map((less) => ({ ...present, with: less }))),
    ),
  ]);
  const operations = plan.operations.flatMap((operation, index) =>
    Object.keys(operation.with).map((key) => (now: Plan) => {
      const present = now.operations[index] as Operation;
      return smallerIn(present.with, key).map((less) => ({ ...now, operations: now.operations.with(index, { ...present, with: less }) }));
    }),
  );
  return [...faults, ...operations];
}

function withFault(plan: Plan, index: number, lesser: (fault: Fault) => Fault[]): Plan[] {
  return lesser(plan.faults[index] as Fault).map((fault) => ({ ...plan, faults: plan.faults.with(index, fault) }));
}

function smallerIn(given: Readonly<Record<string, FaultValue>>, key: string): Record<string, FaultValue>[] {
  const value = given[key];
  return typeof value === "number" ? smaller(value, 0).map((less) => ({ ...given, [key]: less })) : [];
}

/** What lasts has to last; so a duration of more than nothing stays one. */
function smaller(value: number, least: number): number[] {
  if (!Number.isSafeInteger(value) || value <= least) return [];
  return [...new Set([0, 1, Math.floor(value / 2)])].filter((less) => less >= least && less < value);
}

const MINUTE_MS = 60_000;

/** Nothing begins after `untilMs`, nor after the last thing in the plan; it heals as early. 0: whatever there is stays. */
export function inEarlierTime(plan: Plan, untilMs: number): Plan {
  const faults = untilMs > 0 ? plan.faults.filter(({ atMs }) => atMs <= untilMs) : plan.faults;
  const operations = untilMs > 0 ? plan.operations.filter(({ atMs }) => atMs <= untilMs) : plan.operations;
  const lastMs = Math.max(0, ...faults.map(({ atMs, forMs }) => atMs + forMs), ...operations.map(({ atMs }) => atMs));
  // In hundredths, upwards: a plan is read by people.
  const minutes = Math.min(plan.minutes, Math.max(1, Math.ceil((lastMs / MINUTE_MS) * 100)) / 100);
  return { ...plan, faults, operations, minutes };
}
