/**
 * What happens to the ways of bytes, between clients and gateways, between gateways and storage nodes, and between storage nodes. Which
 * segments it hits is drawn by the lines while it lasts.
 */
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, FaultValue, Topology } from "../fault.ts";
import { seldomOrOften } from "../fractions.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Hindrance } from "./line.ts";
import type { Way } from "./simulated-network.ts";

type Drawn = { readonly forMs: number; readonly with: Readonly<Record<string, FaultValue>> };

const textOf = (fault: Fault, key: string): string => String(fault.with[key]);
const numberOf = (fault: Fault, key: string): number => Number(fault.with[key]);
const shortOrLong = (random: RandomStream, longestMs: number): number =>
  random.chance(0.5) ? 200 + random.integer(4_000) : 4_000 + random.integer(longestMs - 4_000);

/** Who asks whom. */
function drawPair(random: RandomStream, { clients, gateways, storages }: Topology): { readonly client: string; readonly server: string } {
  const which = random.integer(10);
  if (which < 5) return { client: random.pick(clients), server: random.pick(gateways) };
  const server = random.pick(storages);
  const others = storages.filter((name) => name !== server);
  // A node reads from another what an upload is put together from.
  const asking = which === 9 && others.length > 0 ? others : gateways;
  return { client: random.pick(asking), server };
}

const forth = (fault: Fault): Way => [textOf(fault, "client"), textOf(fault, "server")];
const back = (fault: Fault): Way => [textOf(fault, "server"), textOf(fault, "client")];
const bothWays = (fault: Fault): Way[] => [forth(fault), back(fault)];

/** On the lines of a pair, while it lasts. */
function hindering(
  kind: string,
  weight: number,
  draw: (random: RandomStream) => Drawn,
  hindranceOf: (fault: Fault) => Hindrance,
  waysOf: (fault: Fault) => Way[] = bothWays,
): FaultKind {
  return {
    kind: `network.${kind}`,
    weight,
    draw(random, topology) {
      const pair = drawPair(random, topology);
      const drawn = draw(random);
      return { forMs: drawn.forMs, with: { ...pair, ...drawn.with } };
    },
    begin: (cluster, fault) => cluster.network.hinder(fault, hindranceOf(fault), waysOf(fault)),
    end,
  };
}

const end = (cluster: Cluster, fault: Fault): void => cluster.network.unhinder(fault);

/** Connections stand still in the middle and go on later: shorter and longer than the silence after which their ends give up. */
const stall = hindering(
  "stall",
  1,
  (random) => ({
    forMs: random.chance(0.7) ? shortOrLong(random, 20_000) : 20_000 + random.integer(70_000),
    with: { probability: seldomOrOften(random) },
  }),
  (fault) => ({ kind: "stall", probability: numberOf(fault, "probability") }),
);

const truncate = hindering(
  "truncate",
  1,
  (random) => ({ forMs: shortOrLong(random, 25_000), with: { probability: seldomOrOften(random) } }),
  (fault) => ({ kind: "truncate", probability: numberOf(fault, "probability") }),
);

/** At once all connections there are; then each that carries something, now and then. */
const reset: FaultKind = {
  ...hindering(
    "reset",
    1,
    (random) => ({ forMs: shortOrLong(random, 15_000), with: { probability: seldomOrOften(random) } }),
    (fault) => ({ kind: "reset", probability: numberOf(fault, "probability") }),
  ),
  begin(cluster, fault) {
    const [client, server] = forth(fault);
    cluster.network.reset(client, server);
    cluster.network.hinder(fault, { kind: "reset", probability: numberOf(fault, "probability") }, bothWays(fault));
  },
};

/** Nobody can connect to one process, while what is connected goes on. */
const refuse: FaultKind = {
  kind: "network.refuse",
  weight: 1,
  draw: (random, { gateways, storages }) => ({
    forMs: shortOrLong(random, 15_000),
    with: { server: random.pick(random.chance(0.4) ? gateways : storages) },
  }),
  begin: (cluster, fault) => cluster.network.refuse(fault, textOf(fault, "server")),
  end,
};

const slow = hindering(
  "slow",
  1,
  (random) => ({
    forMs: shortOrLong(random, 30_000),
    with: {
      delayMs: random.chance(0.7) ? 5 + random.integer(300) : 300 + random.integer(3_000),
      // From a poor line to a bad one; a segment still takes less than the time in which some of a body must come.
      bytesPerMs: random.chance(0.5) ? 50 + random.integer(200) : 250 + random.integer(5_000),
    },
  }),
  (fault) => ({ kind: "slow", delayMs: numberOf(fault, "delayMs"), bytesPerMs: numberOf(fault, "bytesPerMs") }),
);

/** Two processes, in both directions or in one: requests arrive and answers do not, or the other way round. */
const partition = hindering(
  "partition",
  2,
  (random) => ({ forMs: shortOrLong(random, 40_000), with: { direction: random.pick(["both", "forth", "back"]) } }),
  () => ({ kind: "partition" }),
  (fault) => {
    const direction = textOf(fault, "direction");
    if (direction === "both") return bothWays(fault);
    return [direction === "forth" ? forth(fault) : back(fault)];
  },
);

/** What was asked is done, and the connection broken before the answer. */
const lostAnswer = hindering(
  "lost-answer",
  2,
  (random) => ({ forMs: shortOrLong(random, 25_000), with: { probability: seldomOrOften(random) } }),
  (fault) => ({ kind: "lost-answer", probability: numberOf(fault, "probability") }),
  (fault) => [back(fault)],
);

export const NETWORK_FAULTS: readonly FaultKind[] = [stall, truncate, reset, refuse, slow, partition, lostAnswer];
