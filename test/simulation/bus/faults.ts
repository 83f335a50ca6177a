/** What happens to the bus: messages late, lost, doubled or out of order; connections cut; the server gone, or wrong about who listens. */
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, Topology } from "../fault.ts";
import { holdFault, takeBackFault } from "../fault-undo.ts";
import { seldomOrOften } from "../fractions.ts";
import { serversOf } from "../plan.ts";
import type { RandomStream } from "../random-streams.ts";
import type { BusWay, Lane, Trouble, TroubleKind } from "./bus-lane.ts";

const DIRECTIONS = ["in", "out", "both"] as const;

const anyProcess = (random: RandomStream, topology: Topology): string => random.pick(serversOf(topology));
const text = (fault: Fault, key: string): string => String(fault.with[key]);
const number = (fault: Fault, key: string): number => Number(fault.with[key]);
const wayOf = (cluster: Cluster, fault: Fault): BusWay => cluster.bus.wayOf(text(fault, "process"));

/** As the process sees it: what comes to it goes down, what it sends goes up. */
function lanesOf(cluster: Cluster, fault: Fault): Lane[] {
  const { up, down } = wayOf(cluster, fault);
  const direction = text(fault, "direction");
  if (direction === "in") return [down];
  return direction === "out" ? [up] : [up, down];
}

/** On the lanes of one process. @param draw the probability, and the times that go with it */
function trouble(kind: TroubleKind, weight: number, draw: (random: RandomStream) => Omit<Trouble, "kind">, forMsMax: number): FaultKind {
  return {
    kind: `bus.${kind}`,
    weight,
    draw: (random, topology) => ({
      forMs: 500 + random.integer(forMsMax),
      with: { process: anyProcess(random, topology), direction: directionOf(kind, random), ...draw(random) },
    }),
    begin(cluster, fault) {
      const added: Trouble = {
        kind,
        probability: number(fault, "probability"),
        leastMs: number(fault, "leastMs"),
        mostMs: number(fault, "mostMs"),
      };
      const lanes = lanesOf(cluster, fault);
      for (const lane of lanes) lane.add(added);
      holdFault(cluster, fault, () => {
        for (const lane of lanes) lane.remove(added);
      });
    },
    end: takeBackFault,
  };
}

function directionOf(kind: TroubleKind, random: RandomStream): string {
  // Answers are late where they come to, and nobody is said to listen where it was asked.
  if (kind === "late-reply") return "in";
  return kind === "no-responders" ? "out" : random.pick(DIRECTIONS);
}

/** The messages of one process take long, in their order. */
const delay = trouble(
  "delay",
  1,
  (random) => {
    const mostMs = random.chance(0.5) ? random.between(5, 100) : random.between(100, 4_000);
    return { probability: random.between(0.2, 1), leastMs: 0, mostMs };
  },
  20_000,
);
const loss = trouble("loss", 2, (random) => ({ probability: seldomOrOften(random), leastMs: 0, mostMs: 0 }), 20_000);
const doubling = trouble(
  "doubling",
  1,
  (random) => ({ probability: seldomOrOften(random), leastMs: 0, mostMs: random.chance(0.5) ? 10 : random.between(10, 8_000) }),
  20_000,
);
const reordering = trouble(
  "reordering",
  1,
  (random) => ({ probability: seldomOrOften(random), leastMs: 0, mostMs: random.chance(0.5) ? 10 : random.between(10, 1_000) }),
  20_000,
);
/** Answers come when whoever asked has given up; some later than any deadline. */
const lateReply = trouble(
  "late-reply",
  1,
  (random) => ({ probability: seldomOrOften(random), leastMs: 1_000, mostMs: random.between(2_000, 15_000) }),
  10_000,
);
/** The server says that nobody listens though somebody does, as while connections come back. */
const noResponders = trouble("no-responders", 1, (random) => ({ probability: seldomOrOften(random), leastMs: 0, mostMs: 0 }), 5_000);

const CUT = "fault.bus.cut";

/** Between a process and the server, either or both ways, like a cable that is out: shorter and longer than pings stay unanswered. */
const cut: FaultKind = {
  kind: "bus.cut",
  weight: 2,
  draw: (random, topology) => ({
    forMs: random.chance(0.5) ? 200 + random.integer(5_000) : 5_000 + random.integer(25_000),
    with: { process: anyProcess(random, topology), direction: random.pick(DIRECTIONS) },
  }),
  begin(cluster, fault) {
    const way = wayOf(cluster, fault);
    const lanes = lanesOf(cluster, fault);
    for (const lane of lanes) lane.cut(CUT);
    holdFault(cluster, fault, () => cluster.bus.mend(way, lanes, CUT));
  },
  end: takeBackFault,
};

/** Between two processes that both have a connection, one or both ways. */
const partition: FaultKind = {
  kind: "bus.partition",
  weight: 2,
  draw(random, topology) {
    // Those whom everybody asks, and one who asks them.
    const asked = random.pick([...topology.trackers, ...topology.allocators, ...topology.catalogs]);
    const asking = random.pick(serversOf(topology).filter((name) => name !== asked));
    const [from, to] = random.chance(0.5) ? [asked, asking] : [asking, asked];
    return {
      forMs: 1_000 + random.integer(25_000),
      with: { from, to, oneWay: random.chance(0.5), noticedAfterMs: random.integer(10_000) },
    };
  },
  begin(cluster, fault) {
    const [from, to] = [text(fault, "from"), text(fault, "to")];
    const noticedAtMs = cluster.world.nowMs + number(fault, "noticedAfterMs");
    const barriers = [{ from, to, noticedAtMs }];
    if (fault.with["oneWay"] !== true) barriers.push({ from: to, to: from, noticedAtMs });
    for (const barrier of barriers) cluster.bus.barriers.add(barrier);
    holdFault(cluster, fault, () => {
      for (const barrier of barriers) cluster.bus.barriers.remove(barrier);
    });
  },
  end: takeBackFault,
};

/** The server is gone and comes back without any subscription, or stands still. */
const away: FaultKind = {
  kind: "bus.away",
  weight: 1,
  draw: (random) => ({
    forMs: random.chance(0.5) ? 100 + random.integer(3_000) : 3_000 + random.integer(20_000),
    with: { standsStill: random.chance(0.3) },
  }),
  begin(cluster, fault) {
    const { bus } = cluster;
    if (fault.with["standsStill"] === true) {
      bus.standStill();
      holdFault(cluster, fault, () => bus.goOn());
    } else {
      bus.goAway();
      holdFault(cluster, fault, () => bus.comeBack());
    }
  },
  end: takeBackFault,
};

/** A process reads so slowly that the server loses patience: what waits is lost, and the connection ends. */
const slowConsumer: FaultKind = {
  kind: "bus.slow-consumer",
  weight: 1,
  draw: (random, topology) => ({
    forMs: 1_000 + random.integer(8_000),
    with: { process: anyProcess(random, topology), messages: random.integer(8) },
  }),
  begin(cluster, fault) {
    cluster.bus.readSlowly(text(fault, "process"), number(fault, "messages"));
    holdFault(cluster, fault, () => cluster.bus.readOn(text(fault, "process")));
  },
  end: takeBackFault,
};

export const BUS_FAULTS: readonly FaultKind[] = [
  delay,
  loss,
  doubling,
  reordering,
  lateReply,
  noResponders,
  cut,
  partition,
  away,
  slowConsumer,
];
