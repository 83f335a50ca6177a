/** What happens to processes: they are killed, lose power, stand still, are stopped and started, and their wall clocks jump. */
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, Topology } from "../fault.ts";
import { holdFault, takeBackFault } from "../fault-undo.ts";
import { serversOf } from "../plan.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Death } from "../simulated-process.ts";

/** Storage nodes are what most is about: each second time one of them. */
const victim = (random: RandomStream, topology: Topology): string =>
  random.chance(0.5) ? random.pick(topology.storages) : random.pick(serversOf(topology));

/** Clients die and stand still, too, which servers are to get over. */
const anyVictim = (random: RandomStream, topology: Topology): string =>
  random.chance(0.2) && topology.clients.length > 0 ? random.pick(topology.clients) : victim(random, topology);

const nameOf = (fault: Fault): string => String(fault.with["process"]);
const numberOf = (fault: Fault, key: string): number => Number(fault.with[key]);

/**
 * So many events after the fault's time, for just then it is in the middle of something; then it is down for a while. The fault lasts longer
 * than most come to so many; one that is still alive then stays so.
 */
const drawDeath = (random: RandomStream, process: string, eventsMax: number) => ({
  forMs: 5_000 + random.integer(35_000),
  with: {
    process,
    events: random.integer(random.chance(0.5) ? eventsMax / 10 : eventsMax),
    downMs: random.chance(0.5) ? 1_000 : 500 + random.integer(20_000),
  },
});

function dieSoon(cluster: Cluster, fault: Fault, death: Death): void {
  const { counts, scheduler } = cluster.world;
  const name = nameOf(fault);
  const spare = cluster.life(name)?.dieAfterEvents(numberOf(fault, "events"), death, () => {
    counts.add(`fault.${fault.kind}`);
    cluster.holdBack(name);
    const isBack = scheduler.after(numberOf(fault, "downMs"), `fault ${fault.kind} lets ${name} come back`, () => {
      takeBackFault(cluster, fault);
    });
    holdFault(cluster, fault, () => {
      isBack.cancel();
      cluster.letGo(name);
    });
  });
  if (spare !== undefined) holdFault(cluster, fault, spare);
}

/** Dies between two events, wherever it happens to be then. */
const killed: FaultKind = {
  kind: "process.killed",
  weight: 3,
  draw(random, topology) {
    const process = anyVictim(random, topology);
    // A client does not come to many, and not in every moment.
    return drawDeath(random, process, topology.clients.includes(process) ? 40 : 400);
  },
  begin: (cluster, fault) => dieSoon(cluster, fault, "killed"),
  end: takeBackFault,
};

/** A storage node's machine loses power: what was not synced may be gone. */
const powerCut: FaultKind = {
  kind: "process.power",
  weight: 3,
  draw: (random, topology) => drawDeath(random, random.pick(topology.storages), 400),
  begin: (cluster, fault) => dieSoon(cluster, fault, "power"),
  end: takeBackFault,
};

/** No process stands still for longer. */
export const PAUSE_MS_MAX = 28_000;

/** Stands still: shorter and longer than leases and heartbeats last. */
const paused: FaultKind = {
  kind: "process.paused",
  weight: 2,
  draw: (random, topology) => ({
    forMs: 0,
    with: {
      process: anyVictim(random, topology),
      pauseMs: random.chance(0.5) ? 200 + random.integer(3_000) : 3_000 + random.integer(PAUSE_MS_MAX - 3_000),
    },
  }),
  begin(cluster, fault) {
    const process = cluster.life(nameOf(fault));
    if (process === undefined) return;
    cluster.world.counts.add("fault.process.paused");
    process.pause(numberOf(fault, "pauseMs"));
  },
};

/** Stopped properly, and started again later: a node leaves, and comes back. */
const left: FaultKind = {
  kind: "process.left",
  weight: 1,
  draw: (random, topology) => ({ forMs: 1_000 + random.integer(20_000), with: { process: victim(random, topology) } }),
  begin(cluster, fault) {
    cluster.holdBack(nameOf(fault));
    if (cluster.life(nameOf(fault)) === undefined) return;
    cluster.world.counts.add("fault.process.left");
    cluster.stop(nameOf(fault));
  },
  end: (cluster, fault) => cluster.letGo(nameOf(fault)),
};

/** A storage node more. */
const joined: FaultKind = {
  kind: "process.joined",
  weight: 0.5,
  draw: (_random, topology) => ({ forMs: 0, with: { process: `storage${topology.storages.length + 1}` } }),
  begin(cluster, fault) {
    if (cluster.disks.has(nameOf(fault))) return;
    cluster.world.counts.add("fault.process.joined");
    cluster.join(nameOf(fault));
  },
};

const HOUR_MS = 3_600_000;

/** The wall clock of one process jumps by up to an hour, either way, and later back. */
const clockJumped: FaultKind = {
  kind: "process.clock",
  weight: 1,
  draw: (random, topology) => ({
    forMs: 1_000 + random.integer(60_000),
    with: { process: victim(random, topology), byMs: random.integer(2 * HOUR_MS) - HOUR_MS },
  }),
  begin(cluster, fault) {
    const process = cluster.life(nameOf(fault));
    if (process === undefined) return;
    cluster.world.counts.add("fault.process.clock");
    const byMs = numberOf(fault, "byMs");
    process.jumpWall(byMs);
    // A life begun meanwhile has a right clock already.
    holdFault(cluster, fault, () => process.jumpWall(-byMs));
  },
  end: takeBackFault,
};

export const PROCESS_FAULTS: readonly FaultKind[] = [killed, powerCut, paused, left, joined, clockJumped];
