/** For kinds of faults that change something they must change back: what takes each running fault back, and nothing of any other. */
import type { Cluster } from "./cluster.ts";
import type { Fault } from "./fault.ts";

const running = new WeakMap<Cluster, Map<Fault, () => void>>();

/** @param takeBack what {@link takeBackFault} does, once */
export function holdFault(cluster: Cluster, fault: Fault, takeBack: () => void): void {
  let faults = running.get(cluster);
  if (faults === undefined) {
    faults = new Map();
    running.set(cluster, faults);
  }
  faults.set(fault, takeBack);
}

/** The `end` of such a kind. */
export function takeBackFault(cluster: Cluster, fault: Fault): void {
  const faults = running.get(cluster);
  const takeBack = faults?.get(fault);
  faults?.delete(fault);
  takeBack?.();
}
