/** Every kind of fault the world knows. */
import { BUS_FAULTS } from "./bus/faults.ts";
import { CACHE_FAULTS } from "./cache/faults.ts";
import { DATABASE_FAULTS } from "./database/faults.ts";
import { DISK_FAULTS } from "./disk/faults.ts";
import type { FaultKind } from "./fault.ts";
import { NETWORK_FAULTS } from "./network/faults.ts";
import { PROCESS_FAULTS } from "./processes/faults.ts";

export const FAULT_KINDS: readonly FaultKind[] = [
  ...PROCESS_FAULTS,
  ...BUS_FAULTS,
  ...DISK_FAULTS,
  ...DATABASE_FAULTS,
  ...CACHE_FAULTS,
  ...NETWORK_FAULTS,
];

/** @throws {RangeError} for a kind that a plan names and nobody knows any more */
export function faultKind(name: string): FaultKind {
  const found = FAULT_KINDS.find(({ kind }) => kind === name);
  if (found === undefined) throw new RangeError(`There is no fault of the kind ${JSON.stringify(name)}.`);
  return found;
}
