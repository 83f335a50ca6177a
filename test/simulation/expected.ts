/** What a long run has to have seen: every kind of fault in effect, and every transition of the upload machine. */
import type { Expected } from "./campaign-summary.ts";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { allTransitionCounts } from "./oracle/transitions.ts";

export const EXPECTED: Expected = {
  faults: FAULT_KINDS.map(({ kind }) => `fault.${kind}`),
  transitions: allTransitionCounts(),
};
