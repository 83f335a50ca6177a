/** What happens to databases: transactions are refused, connections lost, servers away or slow, and one is restored from a backup. */
import { isDeepStrictEqual } from "node:util";
import { DATABASE_PARTS, type DatabasePart } from "../../../src/store/sql/databases.ts";
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, Topology } from "../fault.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Snapshot } from "./serial-store.ts";
import type { SimulatedDatabaseServer } from "./simulated-database-server.ts";

/** Most is written to the catalog's; all three may be on one server. */
const WHERE: readonly (DatabasePart | "all")[] = ["storage", "storage", "storage", "ids", "tracker", "all"];

function serversOf(cluster: Cluster, fault: Fault): SimulatedDatabaseServer[] {
  return DATABASE_PARTS.filter((part) => fault.with["part"] === part || fault.with["part"] === "all").map(
    (part) => cluster.databases[part],
  );
}

interface Draw {
  readonly forMsMin: number;
  readonly forMsMax: number;
  readonly more: (random: RandomStream) => Fault["with"];
}

/** A state of one server or of all. */
function stateFault(kind: string, weight: number, { forMsMin, forMsMax, more }: Draw): FaultKind {
  return {
    kind,
    weight,
    draw: (random: RandomStream, _topology: Topology) => ({
      forMs: forMsMin + random.integer(forMsMax - forMsMin),
      with: { part: random.pick(WHERE), ...more(random) },
    }),
    begin: (cluster, fault) => void serversOf(cluster, fault).map((server) => server.faults.begin(fault)),
    end: (cluster, fault) => void serversOf(cluster, fault).map((server) => server.faults.end(fault)),
  };
}

const probability = (least: number, most: number) => (random: RandomStream) => ({ probability: random.between(least, most) });

const away: FaultKind = {
  ...stateFault("database.away", 1, { forMsMin: 100, forMsMax: 8_000, more: (random) => ({ isSilent: random.chance(0.3) }) }),
  begin: (cluster, fault) => void serversOf(cluster, fault).map((server) => server.goAway(fault)),
};

/** By fault: what was committed when it began, to which the database goes back when it ends. */
const SNAPSHOTS = new WeakMap<Fault, Snapshot>();

/**
 * A restore of an older backup; the processes that use it are started again with it. Of the catalog's database it would lose files: what
 * cannot be read back is not promised.
 */
const rewind: FaultKind = {
  kind: "database.rewind",
  weight: 0.3,
  draw: (random) => ({ forMs: 2_000 + random.integer(60_000), with: { part: random.pick(["tracker", "ids"]) } }),
  begin(cluster, fault) {
    for (const server of serversOf(cluster, fault)) SNAPSHOTS.set(fault, server.takeSnapshot());
  },
  end(cluster, fault) {
    const snapshot = SNAPSHOTS.get(fault);
    if (snapshot === undefined) return;
    for (const server of serversOf(cluster, fault)) {
      for (const name of usersOf(cluster, server.part)) cluster.kill(name, "killed");
      if (!isDeepStrictEqual(snapshot, server.takeSnapshot())) server.faults.count(fault.kind);
      server.rewind(snapshot);
    }
  },
};

/** Those who keep in memory what the database says; after a rewind of IDs nodes, those that joined later too, have to say anew what they have. */
function usersOf({ topology, disks }: Pick<Cluster, "topology" | "disks">, part: DatabasePart): readonly string[] {
  if (part === "tracker") return topology.trackers;
  if (part === "ids") return [...topology.allocators, ...new Set([...topology.storages, ...disks.keys()])];
  return topology.catalogs;
}

export const DATABASE_FAULTS: readonly FaultKind[] = [
  stateFault("database.deadlock", 1, { forMsMin: 500, forMsMax: 10_000, more: probability(0.01, 0.3) }),
  stateFault("database.lock-wait", 1, { forMsMin: 500, forMsMax: 8_000, more: probability(0.05, 0.6) }),
  stateFault("database.lost-before-commit", 1, { forMsMin: 500, forMsMax: 10_000, more: probability(0.01, 0.2) }),
  stateFault("database.lost-at-commit-not-done", 1, { forMsMin: 500, forMsMax: 10_000, more: probability(0.05, 0.5) }),
  stateFault("database.lost-at-commit-done", 1, { forMsMin: 500, forMsMax: 10_000, more: probability(0.05, 0.5) }),
  stateFault("database.slow", 1, { forMsMin: 1_000, forMsMax: 15_000, more: (random) => ({ extraMs: 5 + random.integer(400) }) }),
  away,
  rewind,
];
