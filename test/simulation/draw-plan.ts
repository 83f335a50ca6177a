/** A plan from a seed: who does what, and what goes wrong. Faults and operations are drawn from streams of their own. */
import type { Fault, FaultKind, Topology } from "./fault.ts";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { NODES_USUAL, type Nodes, type Plan, topologyOf } from "./plan.ts";
import { type RandomStream, RandomStreams } from "./random-streams.ts";
import { drawOperations } from "./workload/operations.ts";

/** On average, in a calm world and in stormier ones. */
const FAULT_EVERY_MS = [30_000, 15_000, 5_000];
/** Each world has about this part of the kinds of faults: what a frequent one hides in one is seen in another. */
const KINDS_SHARE = 0.5;
/** First everything comes up. */
const FAULTS_FROM_MS = 4_000;
const MINUTE_MS = 60_000;

/** @param trouble the only kinds of faults there are; otherwise each seed has a part of all */
export function drawPlan(seed: number, minutes: number, nodes: Nodes = NODES_USUAL, trouble?: readonly string[]): Plan {
  const streams = new RandomStreams(seed);
  const topology = topologyOf(nodes);
  return {
    format: 1,
    seed,
    minutes,
    nodes,
    operations: drawOperations(streams, minutes, topology),
    faults: drawFaults(streams.stream("plan", "faults"), minutes, topology, trouble),
  };
}

function drawFaults(random: RandomStream, minutes: number, topology: Topology, trouble: readonly string[] | undefined): Fault[] {
  const everyMs = random.pick(FAULT_EVERY_MS);
  const chosen = FAULT_KINDS.filter(({ kind }) => (trouble === undefined ? random.chance(KINDS_SHARE) : trouble.includes(kind)));
  const kinds = chosen.length === 0 ? FAULT_KINDS : chosen;
  const faults: Fault[] = [];
  for (let atMs = FAULTS_FROM_MS; ; ) {
    // Times between events that know nothing of each other.
    atMs += Math.round(-Math.log(1 - random.between(0, 1)) * everyMs);
    if (atMs >= minutes * MINUTE_MS) return faults;
    const { kind, draw } = weighted(random, kinds);
    faults.push({ kind, atMs, ...draw(random, topology) });
  }
}

function weighted(random: RandomStream, kinds: readonly FaultKind[]): FaultKind {
  let left = random.between(
    0,
    kinds.reduce((sum, { weight }) => sum + weight, 0),
  );
  for (const kind of kinds) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return kinds[0] as FaultKind;
}
