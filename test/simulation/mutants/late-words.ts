/** Worlds in which the words of storage nodes that die reach the catalog when their next lives have taken their uploads over. */
import { drawPlan } from "../draw-plan.ts";
import type { Fault } from "../fault.ts";
import { NODES_USUAL, type Plan, topologyOf } from "../plan.ts";
import { type RandomStream, RandomStreams } from "../random-streams.ts";

const MINUTES = 0.5;
const NODES = { ...NODES_USUAL, trackers: 1, allocators: 1, catalogs: 1, storages: 2, gateways: 1 };
const FROM_MS = 5_000;
const UNTIL_MS = 28_000;
/** A node is back, and takes its uploads up, before the next of these. */
const EVERY_MS = 4_500;

export function drawLateWords(seed: number): Plan {
  const random = new RandomStreams(seed).stream("late words", "faults");
  const { storages } = topologyOf(NODES);
  const faults: Fault[] = [];
  for (let atMs = FROM_MS; atMs < UNTIL_MS; atMs += EVERY_MS) faults.push(...lateWords(random, atMs, random.pick(storages)));
  return { ...drawPlan(seed, MINUTES, NODES), faults };
}

/** Later than a life takes to begin, and before whoever asks has given up: a request is not begun after that. */
function lateWords(random: RandomStream, atMs: number, storage: string): Fault[] {
  const late = { process: "catalog1", direction: "in", probability: 0.5, leastMs: 2_500, mostMs: 4_800 };
  const death = { process: storage, events: 5 + random.integer(40), downMs: 500 };
  return [
    { kind: "bus.reordering", atMs, forMs: 1_500, with: late },
    { kind: "process.killed", atMs: atMs + 300 + random.integer(900), forMs: 5_000, with: death },
  ];
}
