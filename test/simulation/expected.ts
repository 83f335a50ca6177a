/**
 * What a long run has to have seen: every kind of fault in effect, every transition of the upload machine, every kind of operation with
 * success, and that there was something to judge.
 */
import type { Expected } from "./campaign-summary.ts";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { allTransitionCounts } from "./oracle/transitions.ts";
import { OPERATION_KINDS } from "./workload/operations.ts";

/** A catalog refuses what it let begin only when its database was lost or set back, which this world spares: files would be lost with it. */
const SPARED: readonly string[] = ["transition.instant.possession.refused.failed"];

export const EXPECTED: Expected = {
  faults: FAULT_KINDS.map(({ kind }) => `fault.${kind}`),
  transitions: allTransitionCounts().filter((transition) => !SPARED.includes(transition)),
  outcomes: [
    ...OPERATION_KINDS.map(({ kind }) => `operation.${kind}.done`),
    "file.acknowledged",
    "upload.taken-up.after-death",
    "upload.taken-up.after-stop",
    "disk.power.lost-names",
    "disk.power.lost-writes",
    "oracle.files-used",
    "oracle.files-read-back",
    "oracle.files-gone",
  ],
};
