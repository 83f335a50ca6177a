/** What a process that runs plans is asked, and what it answers. */
import type { Plan } from "./plan.ts";
import type { TimedRunResult } from "./run-result.ts";

export type RunnerTask =
  | { readonly kind: "seed"; readonly seed: number; readonly minutes: number }
  | { readonly kind: "plan"; readonly plan: Plan; readonly watched?: Watched };

/** A run says meanwhile how far it is, and, if it is traced, each line of its trace on its process's standard output. */
export interface Watched {
  readonly isTraced: boolean;
}

/** Before the answer, again and again. */
export interface RunnerProgress {
  readonly kind: "progress";
  readonly simulatedMs: number;
}

export type RunnerAnswer =
  | { readonly kind: "result"; readonly result: TimedRunResult }
  /** The program of the simulation itself failed: `sentence` is its stack. */
  | { readonly kind: "thrown"; readonly sentence: string };
