/** What happens to the disk of a storage node. Which bytes and calls it hits is drawn by the disk while it lasts. */
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, FaultValue } from "../fault.ts";
import { fractionBetween } from "../fractions.ts";
import type { RandomStream } from "../random-streams.ts";
import type { SimulatedDisk } from "./simulated-disk.ts";

const diskOf = (cluster: Cluster, fault: Fault): SimulatedDisk | undefined => cluster.disks.get(String(fault.with["storage"]));
const numberOf = (fault: Fault, key: string): number => Number(fault.with[key]);

/** Hits calls of one disk for a while, some or all of them. */
function hitting(
  kind: string,
  weight: number,
  draw: (random: RandomStream) => { readonly forMs: number; readonly with: Readonly<Record<string, FaultValue>> },
): FaultKind {
  return {
    kind,
    weight,
    draw(random, topology) {
      const drawn = draw(random);
      return { forMs: drawn.forMs, with: { storage: random.pick(topology.storages), ...drawn.with } };
    },
    begin: (cluster, fault) => diskOf(cluster, fault)?.faults.begin(fault),
    end: (cluster, fault) => diskOf(cluster, fault)?.faults.end(fault),
  };
}

/** Now and then one call, or for a moment all. */
const someOrAll = (random: RandomStream, longestMs: number) =>
  random.chance(0.7)
    ? { forMs: 1_000 + random.integer(longestMs), with: { probability: fractionBetween(random, 0.01, 0.2) } }
    : { forMs: 100 + random.integer(3_000), with: { probability: 1 } };

const full: FaultKind = {
  kind: "disk.full",
  weight: 1,
  draw: (random, topology) => ({
    forMs: 2_000 + random.integer(20_000),
    with: {
      storage: random.pick(topology.storages),
      leftBytes: random.chance(0.5) ? 0 : random.integer(512 * 1024),
      // As with quotas and thin volumes: the file system says that there is room.
      isUnseen: random.chance(0.5),
      // Taken at first, and refused by the sync, as network file systems and quotas do.
      isLate: random.chance(0.3),
    },
  }),
  begin: (cluster, fault) => diskOf(cluster, fault)?.fill(fault, numberOf(fault, "leftBytes")),
  end: (cluster, fault) => diskOf(cluster, fault)?.unfill(fault),
};

const rot: FaultKind = {
  kind: "disk.rot",
  weight: 0.5,
  draw: (random, topology) => ({
    forMs: 0,
    with: {
      storage: random.pick(topology.storages),
      isLeaves: random.chance(0.2),
      which: fractionBetween(random, 0, 1),
      where: fractionBetween(random, 0, 1),
      bytes: random.chance(0.5) ? 1 : 1 + random.integer(600),
    },
  }),
  begin(cluster, fault) {
    const kind = fault.with["isLeaves"] === true ? "leaves" : "data";
    // Rounded up, it may be past the last.
    const part = (key: string): number => Math.min(numberOf(fault, key), 0.9999);
    const path = diskOf(cluster, fault)?.rot(kind, part("which"), part("where"), numberOf(fault, "bytes"));
    if (path === undefined) return;
    cluster.world.counts.add("fault.disk.rot");
    cluster.world.note(`${String(fault.with["storage"])} ${path} rots`);
  },
};

const slowness = (random: RandomStream) => ({
  forMs: 2_000 + random.integer(20_000),
  with: random.chance(0.5)
    ? { probability: fractionBetween(random, 0.02, 0.2), delayMsMax: 10_000 }
    : { probability: 1, delayMsMax: 20 + random.integer(500) },
});

/** Of anything; or only where blobs are published: otherwise chunks, of which there are more, take them all. */
const syncErrors = (random: RandomStream) =>
  random.chance(0.5) ? someOrAll(random, 5_000) : { forMs: 2_000 + random.integer(15_000), with: { probability: 1, folder: "blobs" } };

export const DISK_FAULTS: readonly FaultKind[] = [
  hitting("disk.io-error-read", 0.7, (random) => someOrAll(random, 10_000)),
  hitting("disk.io-error-write", 0.5, (random) => someOrAll(random, 5_000)),
  hitting("disk.sync-error", 0.7, syncErrors),
  hitting("disk.short-write", 1, (random) => ({
    forMs: 2_000 + random.integer(30_000),
    with: { probability: fractionBetween(random, 0.1, 0.9) },
  })),
  hitting("disk.misdirected-write", 0.3, (random) => ({
    forMs: 1_000 + random.integer(5_000),
    with: { probability: fractionBetween(random, 0.02, 0.2) },
  })),
  hitting("disk.lost-write", 0.3, (random) => ({
    forMs: 1_000 + random.integer(5_000),
    with: { probability: fractionBetween(random, 0.02, 0.2) },
  })),
  hitting("disk.slow", 1, slowness),
  hitting("hasher.slow", 0.7, slowness),
  full,
  rot,
];
