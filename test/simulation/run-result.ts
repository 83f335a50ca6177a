/** What is known of a run when it is over, as JSON: it comes from another process, and is kept. */
import type { Violation } from "./world.ts";

export interface RunResult {
  /** Of the trace: the same for the same plan and the same sources, in any process. */
  readonly hash: string;
  readonly violations: readonly Violation[];
  /** How often each thing came about; see counts.ts. */
  readonly counts: Readonly<Record<string, number>>;
  readonly simulatedMs: number;
  /** Simulated, too; of a run that failed before, when that was. */
  readonly healedAtMs: number;
  readonly eventCount: number;
  readonly operationCount: number;
}

/** With what depends on the machine. */
export interface TimedRunResult extends RunResult {
  /** Real time it took until the world healed. */
  readonly realUntilHealedMs: number;
}
