/**
 * Says whether what the cluster does is right: while faults strike, from what is said on the bus and what is committed; after healing, from
 * everything there is.
 *
 * Q1: it takes no part: while operations run it asks nothing and takes no time of the world. After healing it is one client more.
 * Q2: what is still to be done has been done some time after healing (settling.ts); then every process is killed once more and comes up, for
 *     some things are put in order at a start; and then nothing is left that should not be there.
 */
import { storage } from "../../../src/actors/storage/contract.ts";
import { client } from "../../../src/bus/client.ts";
import { TroupeClient } from "../../../src/client/troupe-client.ts";
import { toTroupeError } from "../../../src/core/errors.ts";
import { KEEP_ALIVE_MS } from "../../../src/core/limits.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import { type Cluster, OWNERS, SETTINGS } from "../cluster.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { History } from "../workload/history.ts";
import type { Breach } from "./breach.ts";
import { type Burdens, burdenBreaches, openFileBreaches } from "./burdens.ts";
import { BusWatch } from "./bus-watch.ts";
import { catalogBreaches } from "./catalog-rows.ts";
import { ClusterView } from "./cluster-view.ts";
import { compareWithKnown, foundFiles } from "./known-rows.ts";
import { type Served, servedBreaches } from "./served-files.ts";
import { settledWithinMs } from "./settling.ts";
import { storedBlobBreaches } from "./stored-blobs.ts";
import { hostedUnfinishedWork, unfinishedWork } from "./unfinished-work.ts";

/** How often committed rows are looked at: what breaks a rule stays broken. */
const ROWS_EVERY_MS = 10_000;
const LOOK_AGAIN_MS = 500;
/** What processes carry is looked at so often, over more than the time between two heartbeats. */
const BURDEN_LOOKS = 6;
const BURDEN_LOOK_MS = 700;
/** Everything settles twice, and is read. */
export const CHECKED_WITHIN_MS = 2 * settledWithinMs(SETTINGS) + KEEP_ALIVE_MS + 10 * 60_000;
/** Of one rule at one look: the first says enough. */
const TOLD_MAX = 3;

export class Oracle {
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #view: ClusterView;
  #rowsDueMs = ROWS_EVERY_MS;

  constructor(cluster: Cluster, history: History) {
    this.#cluster = cluster;
    this.#history = history;
    this.#view = new ClusterView(cluster);
    const watch = new BusWatch((breach) => this.#tell([breach]));
    cluster.bus.onSent((message) => watch.sent(message));
    cluster.databases.ids.onRewind(() => watch.idsRewound());
  }

  /** Cheap; what the bus tells is judged when it is said. */
  afterEvent(): void {
    const { nowMs } = this.#cluster.world;
    if (nowMs < this.#rowsDueMs) return;
    this.#rowsDueMs = nowMs + ROWS_EVERY_MS;
    this.#tell(catalogBreaches(this.#view.rows));
  }

  /** Q2. Once all faults are over and clients have ended. */
  async afterHealing(): Promise<void> {
    const view = this.#view;
    const process = this.#cluster.beginLife("oracle");
    const clientsLeftMs = this.#cluster.world.nowMs;
    await this.#eventually(process, () => [...view.notReady(), ...hostedUnfinishedWork(view.rows, view.nodes)]);
    // Connections are kept so long for clients that may come back.
    await sleep(process.clock, Math.max(0, clientsLeftMs + KEEP_ALIVE_MS + LOOK_AGAIN_MS - this.#cluster.world.nowMs));
    const idle = await this.#watchBurdens(process);
    await this.#askForReservations(process);
    for (const name of this.#cluster.serverNames) this.#cluster.kill(name, "killed");
    await this.#eventually(process, () => [...view.notReady(), ...unfinishedWork(view.rows), ...storedBlobBreaches(view.rows, view.nodes)]);
    this.#tell(catalogBreaches(view.rows));
    this.#tell(view.idBreaches());
    this.#tell(burdenBreaches(idle, await this.#watchBurdens(process)));
    await this.#askNodes(process);
    await this.#readEverything(process);
    process.die("ended");
  }

  /** Until nothing is wrong any more; what still is when its time is over is told. */
  async #eventually(process: SimulatedProcess, look: () => Breach[]): Promise<void> {
    const { world } = this.#cluster;
    const untilMs = world.nowMs + settledWithinMs(SETTINGS);
    for (;;) {
      const wrong = look();
      if (wrong.length === 0) return;
      if (world.nowMs >= untilMs) return this.#tell(wrong);
      await sleep(process.clock, LOOK_AGAIN_MS);
    }
  }

  /** For a while: at any moment a heartbeat or a sweep may be under way. */
  async #watchBurdens(process: SimulatedProcess): Promise<Burdens[]> {
    const looks: Burdens[] = [];
    while (looks.length < BURDEN_LOOKS) {
      await sleep(process.clock, BURDEN_LOOK_MS);
      looks.push(this.#view.burdens());
    }
    return looks;
  }

  /** Where no upload is left, no space is kept for any: asked before a restart, which forgets it. */
  async #askForReservations(process: SimulatedProcess): Promise<void> {
    const bus = await this.#cluster.bus.connect(process, { name: "gateway/oracle" });
    for (const nodeId of this.#cluster.disks.keys()) {
      const status = await client(bus, storage, { nodeId })
        .status({})
        .catch(() => undefined);
      // One that does not answer is asked after its restart.
      if (status === undefined || status.uploadCount > 0 || status.reservedBytes === 0) continue;
      const sentence = `${nodeId} hosts no upload and says that ${status.reservedBytes} bytes are reserved`;
      this.#tell([{ rule: "node-not-at-rest", sentence }]);
    }
    await bus.drain();
  }

  /** What nodes say of themselves: nothing is reserved, nothing is suspect, nothing is left open. */
  async #askNodes(process: SimulatedProcess): Promise<void> {
    const bus = await this.#cluster.bus.connect(process, { name: "gateway/oracle" });
    for (const [nodeId, disk] of this.#cluster.disks) {
      try {
        const status = await client(bus, storage, { nodeId }).status({});
        const { freeBytes, reservedBytes, uploadCount, retiredCount, openBlobCount, suspect } = status;
        const roomBytes = Math.max(0, disk.space.freeBytes - SETTINGS.diskReserveBytes);
        const wrong = [
          reservedBytes === 0 ? undefined : `${reservedBytes} bytes are reserved`,
          freeBytes === roomBytes ? undefined : `${freeBytes} bytes are free for uploads, and the disk has ${roomBytes}`,
          uploadCount === 0 ? undefined : `${uploadCount} uploads are hosted`,
          retiredCount === 0 ? undefined : `${retiredCount} blobs are retired and not removed`,
          suspect === undefined ? undefined : `its disk is suspect: ${suspect}`,
        ].filter((sentence) => sentence !== undefined);
        this.#tell(wrong.map((sentence) => ({ rule: "node-not-at-rest", sentence: `${nodeId} says that ${sentence}` })));
        this.#tell(openFileBreaches(nodeId, disk.openFileCount, openBlobCount));
      } catch (error) {
        const { code, detail } = toTroupeError(error);
        this.#tell([{ rule: "node-does-not-answer", sentence: `${nodeId}: ${code} (${detail})` }]);
      }
    }
    await bus.drain();
  }

  async #readEverything(process: SimulatedProcess): Promise<void> {
    const { world, topology, network } = this.#cluster;
    const { breaches, files } = compareWithKnown(foundFiles(this.#view.rows), this.#history, world.nowMs, ({ blobPath }) =>
      this.#view.isDamaged(blobPath),
    );
    this.#tell(breaches);
    if (breaches.length > 0) return;
    const there = new Set(files.map(({ found }) => found.fileId));
    const served: Served = {
      files: files.map(({ found: { fileId, owner, name, blobPath }, upload: { content } }) => ({
        fileId,
        owner,
        name,
        content,
        isDamaged: this.#view.isDamaged(blobPath),
      })),
      gone: [...this.#history.files.values()].filter(({ fileId }) => !there.has(fileId)),
      owners: OWNERS.map(({ owner }) => owner),
    };
    world.counts.add("oracle.files-read-back", served.files.length);
    world.counts.add("oracle.files-gone", served.gone.length);
    const http = network.client(process);
    const random = world.random.stream("oracle", "spans");
    for (const gateway of topology.gateways) {
      const clients = new Map(
        OWNERS.map(({ owner, secret }) => {
          const token = `${owner}:${secret}`;
          return [owner, new TroupeClient({ http, clock: process.clock, gateway: this.#cluster.gatewayUrl(gateway), token })] as const;
        }),
      );
      const ask = (owner: string): TroupeClient => {
        const found = clients.get(owner);
        if (found === undefined) throw new Error(`nobody knows an owner ${owner}`);
        return found;
      };
      this.#tell(await servedBreaches(gateway, ask, served, random));
    }
    await http.close();
  }

  #tell(breaches: readonly Breach[]): void {
    const told = new Map<string, number>();
    for (const { rule, sentence } of breaches) {
      const count = (told.get(rule) ?? 0) + 1;
      told.set(rule, count);
      if (count <= TOLD_MAX) this.#cluster.world.violate(rule, sentence);
    }
  }
}
