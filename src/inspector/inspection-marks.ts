/**
 * What a running machine tells of itself, as marks in its chart.
 *
 * K1: what the chart does not know is left out: another version of the program may tell it.
 */
import { type Chart, edgeTaken, isWithin } from "./chart.ts";
import type { Inspected } from "./inspected.ts";
import type { Marks } from "./marks.ts";

/** @param durationText how a time shall be read: `1.2 s` */
export function marksOf(
  chart: Pick<Chart, "nodes" | "edges">,
  { state, visits, transitions, steps }: Pick<Inspected, "state" | "visits" | "transitions" | "steps">,
  durationText: (durationMs: number) => string,
): Marks {
  const counts: Record<string, number> = {};
  for (const taken of transitions) {
    const edge = edgeTaken(chart, taken);
    if (edge !== undefined) counts[edge.id] = (counts[edge.id] ?? 0) + taken.count;
  }
  // A state that holds others was current as long as they were.
  const times = chart.nodes.flatMap(({ path }) => {
    const inside = visits.filter((visit) => path !== "" && isWithin(visit.state, path));
    return inside.length === 0 ? [] : [[path, durationText(inside.reduce((sum, { totalMs }) => sum + totalMs, 0))] as const];
  });
  const step = steps.findLast(({ isIgnored }) => isIgnored !== true);
  const event = step?.events.at(-1)?.event;
  const last = step === undefined || event === undefined ? undefined : edgeTaken(chart, { from: step.from, event, to: step.to });
  return {
    live: [state],
    visited: visits.map((visit) => visit.state),
    times: Object.fromEntries(times),
    counts,
    ...(last === undefined ? {} : { last: last.id }),
  };
}
