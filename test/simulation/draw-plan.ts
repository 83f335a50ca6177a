/** A plan from a seed: who does what, and what goes wrong. Faults and operations are drawn from streams of their own. */
import type { Fault, Topology } from "./fault.ts";
import { FAULT_KINDS } from "./fault-kinds.ts";
import { NODES_USUAL, type Nodes, type Plan, topologyOf } from "./plan.ts";
import { type RandomStream, RandomStreams } from "./random-streams.ts";
import { drawOperations } from "./workload/operations.ts";

/** On average, in a calm world and in stormier ones; closer to each other in a run of less than a minute, so that it has some. */
const FAULT_EVERY_MS = [30_000, 15_000, 5_000];
/** Each world has about this part of the kinds of faults: what a frequent one hides in one is seen in another. */
const KINDS_SHARE = 0.5;
/** First everything comes up. */
const FAULTS_FROM_MS = 4_000;
const MINUTE_MS = 60_000;

export function drawPlan(seed: number, minutes: number, nodes: Nodes = NODES_USUAL): Plan {
  const streams = new RandomStreams(seed);
  const topology = topologyOf(nodes);
  return {
    format: 1,
    seed,
    minutes,
    nodes,
    operations: drawOperations(streams, minutes, topology),
    faults: drawFaults(streams.stream("plan", "faults"), minutes, topology),
  };
}

function drawFaults(random: RandomStream, minutes: number, topology: Topology): Fault[] {
  const everyMs = random.pick(FAULT_EVERY_MS) * Math.min(1, minutes);
  const chosen = FAULT_KINDS.filter(() => random.chance(KINDS_SHARE));
  const kinds = chosen.length === 0 ? FAULT_KINDS : chosen;
  const faults: Fault[] = [];
  for (let atMs = FAULTS_FROM_MS; ; ) {
    // Times between events that know nothing of each other.
    atMs += Math.round(-Math.log(1 - random.between(0, 1)) * everyMs);
    if (atMs >= minutes * MINUTE_MS) return faults;
    const { kind, draw } = random.weighted(kinds);
    faults.push({ kind, atMs, ...draw(random, topology) });
  }
}
