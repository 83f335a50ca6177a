/** Where in a chart a state is of which only the own name is told. */
import type { LaidOutChart } from "../../inspector/laid-out-chart.ts";
import type { Marks } from "../../inspector/marks.ts";

/** The first of that name; `undefined` for one of another version of the program. */
export function statePath(chart: LaidOutChart, state: string): string | undefined {
  return chart.nodes.find(({ key, path }) => key === state && path !== "")?.path;
}

export function marksOfState(chart: LaidOutChart, state: string): Marks {
  const path = statePath(chart, state);
  return path === undefined ? {} : { live: [path] };
}
