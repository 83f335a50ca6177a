/**
 * Says whether what the cluster does is right: while faults strike, from what is said on the bus and what is committed; after healing, from
 * everything there is.
 *
 * Q1: it takes no part: while operations run it asks nothing and takes no time of the world. After healing it is one client more.
 * Q2: some time after healing (settling.ts) what is still to be done has been done, and the cluster works as it is, without a restart: every
 *     node answers, every gateway does what users ask, and every file can be read.
 * Q3: then every process is killed once more, half of the storage nodes by a power cut, and comes up, for some things are put in order at a
 *     start. Nothing is lost by it, the cluster works, and nothing is left that should not be there.
 */
import { storage } from "../../../src/actors/storage/contract.ts";
import { client } from "../../../src/bus/client.ts";
import { TroupeClient } from "../../../src/client/troupe-client.ts";
import { toTroupeError } from "../../../src/core/errors.ts";
import { KEEP_ALIVE_MS } from "../../../src/core/limits.ts";
import type { Bus } from "../../../src/core/ports/bus.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import type { HttpClient } from "../../../src/core/ports/http-exchange.ts";
import type { Token } from "../../../src/gateway/owner-keys.ts";
import { type Cluster, OWNERS, SETTINGS } from "../cluster.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { History } from "../workload/history.ts";
import { hasRefused } from "../workload/witness/excuses.ts";
import type { Breach } from "./breach.ts";
import { type Burdens, burdenBreaches, openFileBreaches } from "./burdens.ts";
import { BusWatch } from "./bus-watch.ts";
import { catalogBreaches } from "./catalog-rows.ts";
import { ClusterView } from "./cluster-view.ts";
import { compareWithKnown, foundFiles } from "./known-rows.ts";
import { USED_WITHIN_MS } from "./late-steps.ts";
import { type BegunUpload, LateUser } from "./late-user.ts";
import { type Depth, type Served, servedBreaches } from "./served-files.ts";
import { settledWithinMs } from "./settling.ts";
import { storedBlobBreaches } from "./stored-blobs.ts";
import { unfinishedWork } from "./unfinished-work.ts";

/** How often committed rows are looked at: what breaks a rule stays broken. */
const ROWS_EVERY_MS = 10_000;
const LOOK_AGAIN_MS = 500;
/** What processes carry is looked at so often, over more than the time between two heartbeats. */
const BURDEN_LOOKS = 6;
const BURDEN_LOOK_MS = 700;
/** Everything comes up once more and settles twice; it is used in six ways, one after the other, and read. */
export const CHECKED_WITHIN_MS = 3 * settledWithinMs(SETTINGS) + KEEP_ALIVE_MS + 6 * USED_WITHIN_MS + 10 * 60_000;
/** Until a chunk is synced and answered, more or less. */
const UNDER_WAY_MS = 8;
/** Seeds of contents. */
const CONTENTS = 2 ** 31;
const USERS = ["default", "ann"];
/** Of a file that is large for this world. */
const LARGE_BYTES = 400 * 1024;
/** Of one rule at one look: the first says enough. */
const TOLD_MAX = 3;

export class Oracle {
  readonly #cluster: Cluster;
  readonly #history: History;
  readonly #view: ClusterView;
  #rowsDueMs = ROWS_EVERY_MS;
  /** What processes carried when they had nothing to do. */
  #idle: readonly Burdens[] = [];
  /** Uploads that were under way when everything was restarted. */
  #begun: readonly BegunUpload[] = [];

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

  /** Once all faults are over and clients have ended. */
  async afterHealing(): Promise<void> {
    const process = this.#cluster.beginLife("oracle");
    await this.#judgeAsItIs(process);
    await this.#restart(process);
    await this.#judgeRestarted(process);
    process.die("ended");
  }

  /** Q2 */
  async #judgeAsItIs(process: SimulatedProcess): Promise<void> {
    const clientsLeftMs = this.#cluster.world.nowMs;
    await this.#eventually(process, () => {
      const { rows, nodes } = this.#view;
      const tidy = nodes.filter(({ nodeId }) => !this.#hasRefused(nodeId));
      return [...this.#view.notReady(), ...unfinishedWork(rows), ...storedBlobBreaches(rows, tidy)];
    });
    // Connections are kept so long for clients that may come back.
    await sleep(process.clock, Math.max(0, clientsLeftMs + KEEP_ALIVE_MS + LOOK_AGAIN_MS - this.#cluster.world.nowMs));
    this.#idle = await this.#watchBurdens(process);
    const takers = await this.#askIdleNodes(process);
    await this.#readEverything(process, "little");
    // A disk that failed a sync takes nothing until somebody looks at it: its node is started again below.
    if (takers.length > 0) await this.#useEverything(process);
    else this.#cluster.world.counts.add("oracle.no-node-takes-uploads");
  }

  /** Q3. Right before it files are acknowledged that have to survive it. */
  async #restart(process: SimulatedProcess): Promise<void> {
    const { serverNames, disks } = this.#cluster;
    const random = this.#cluster.world.random.stream("oracle", "power cuts");
    const left = [...disks.keys()];
    const cut = new Set<string>();
    while (left.length > cut.size) cut.add(left.splice(random.integer(left.length), 1)[0] as string);
    for (const name of serverNames) this.#cluster.kill(name, cut.has(name) ? "power" : "killed");
    await this.#eventually(process, () => this.#view.notReady());
  }

  async #judgeRestarted(process: SimulatedProcess): Promise<void> {
    const view = this.#view;
    // At once: what was begun is not to expire.
    await this.#useAgain(process);
    await this.#eventually(process, () => [...view.notReady(), ...unfinishedWork(view.rows), ...storedBlobBreaches(view.rows, view.nodes)]);
    this.#tell(view.idBreaches());
    this.#tell(burdenBreaches(this.#idle, await this.#watchBurdens(process)));
    this.#tell(catalogBreaches(view.rows));
    await this.#askNodes(process);
    await this.#readEverything(process, "all");
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

  /** See {@link hasRefused}. */
  #hasRefused(nodeId: string): boolean {
    const disk = this.#cluster.disks.get(nodeId);
    return disk !== undefined && hasRefused(disk, this.#cluster.world.nowMs);
  }

  /**
   * Every node answers, and holds nothing for uploads that have ended: asked before a restart, which forgets all of it.
   * @returns nodes that take uploads
   */
  async #askIdleNodes(process: SimulatedProcess): Promise<string[]> {
    const takers: string[] = [];
    const bus = await this.#cluster.bus.connect(process, { name: "gateway/oracle" });
    for (const [nodeId, disk] of this.#cluster.disks) {
      const status = await this.#statusOf(bus, nodeId);
      if (status === undefined) continue;
      const { uploadCount, reservedBytes, openBlobCount, suspect } = status;
      if (suspect === undefined) takers.push(nodeId);
      this.#tell(openFileBreaches(nodeId, disk.openFileCount, openBlobCount));
      if (this.#hasRefused(nodeId) || (uploadCount === 0 && reservedBytes === 0)) continue;
      const sentence = `${nodeId} says that ${uploadCount} uploads are hosted and ${reservedBytes} bytes reserved, and every upload has ended`;
      this.#tell([{ rule: "node-not-at-rest", sentence }]);
    }
    await bus.drain();
    return takers;
  }

  async #statusOf(bus: Bus, nodeId: string) {
    try {
      return await client(bus, storage, { nodeId }).status({});
    } catch (error) {
      const { code, detail } = toTroupeError(error);
      this.#tell([{ rule: "node-does-not-answer", sentence: `${nodeId}: ${code} (${detail})` }]);
      return undefined;
    }
  }

  /** What nodes say of themselves: nothing is reserved, nothing is suspect, nothing is left open. */
  async #askNodes(process: SimulatedProcess): Promise<void> {
    const bus = await this.#cluster.bus.connect(process, { name: "gateway/oracle" });
    for (const [nodeId, disk] of this.#cluster.disks) {
      const status = await this.#statusOf(bus, nodeId);
      if (status === undefined) continue;
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
    }
    await bus.drain();
  }

  /** Through every gateway at once: a whole life of a file, and files that stay. */
  async #useEverything(process: SimulatedProcess): Promise<void> {
    const { world, topology, network } = this.#cluster;
    const http = network.client(process);
    const random = world.random.stream("oracle", "contents");
    const { gateways } = topology;
    const used = gateways.map((gateway) =>
      this.#lateUser(process, http, gateway).usesFile(`oracle-used-at-${gateway}`, random.integer(CONTENTS)),
    );
    this.#tellAll(await Promise.all(used));
    // Through one gateway each: what is different here lies behind them.
    const ways = world.random.stream("oracle", "ways");
    const [anywhere, slow] = [this.#lateUser(process, http, ways.pick(gateways)), this.#lateUser(process, http, ways.pick(gateways))];
    const sizeBytes = LARGE_BYTES + ways.integer(LARGE_BYTES);
    this.#tellAll(
      await Promise.all([
        anywhere.usesEveryWay("oracle-every-way", ways.integer(CONTENTS), sizeBytes),
        slow.takesItsTime("oracle-slow", ways.integer(CONTENTS), SETTINGS.idleExpiryMs),
      ]),
    );
    // Each user is placed by itself: so the files come to several nodes.
    const kept = gateways.flatMap((gateway) =>
      USERS.map((user) =>
        this.#lateUser(process, http, gateway).keepsFile(`oracle-kept-at-${gateway}-for-${user}`, user, random.integer(CONTENTS)),
      ),
    );
    this.#tellAll(await Promise.all(kept));
    const begun = await Promise.all(
      gateways.map((gateway) => this.#lateUser(process, http, gateway).begins(`oracle-begun-at-${gateway}`, random.integer(CONTENTS))),
    );
    this.#begun = begun.filter((upload) => "uploadId" in upload);
    this.#tell(begun.filter((upload) => "rule" in upload));
    // The restart comes in the middle of that.
    for (const [index, upload] of this.#begun.entries()) this.#lateUser(process, http, gateways[index] as string).goesOn(upload);
    await sleep(process.clock, random.between(0, UNDER_WAY_MS));
  }

  /** Something new through one gateway, and what was begun through all. */
  async #useAgain(process: SimulatedProcess): Promise<void> {
    const { world, topology, network } = this.#cluster;
    const http = network.client(process);
    const gateway = world.random.stream("oracle", "gateway").pick(topology.gateways);
    const contentSeed = world.random.stream("oracle", "content").integer(CONTENTS);
    this.#tellAll([
      await this.#lateUser(process, http, gateway).usesFile("oracle-used-after-the-restart", contentSeed),
      ...(await Promise.all(this.#begun.map((upload) => this.#lateUser(process, http, gateway).finishes(upload)))),
    ]);
    await http.close();
  }

  #lateUser(process: SimulatedProcess, http: HttpClient, gateway: string): LateUser {
    const url = this.#cluster.gatewayUrl(gateway);
    return new LateUser({ process, http, history: this.#history, gateway: { name: gateway, url }, token: OWNERS[0] as Token });
  }

  /** @param depth `little`: one gateway is asked for a little of every file */
  async #readEverything(process: SimulatedProcess, depth: Depth): Promise<void> {
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
        damage: this.#view.damageOf(blobPath),
      })),
      gone: [...this.#history.files.values()].filter(({ fileId }) => !there.has(fileId)),
      owners: OWNERS.map(({ owner }) => owner),
    };
    if (depth === "all") {
      world.counts.add("oracle.files-read-back", served.files.length);
      world.counts.add("oracle.files-gone", served.gone.length);
    }
    const http = network.client(process);
    const random = world.random.stream("oracle", `spans, ${depth}`);
    for (const gateway of depth === "all" ? topology.gateways : [random.pick(topology.gateways)]) {
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
      this.#tell(await servedBreaches(gateway, ask, served, random, depth));
    }
    await http.close();
  }

  #tellAll(breaches: readonly (Breach | undefined)[]): void {
    this.#tell(breaches.filter((breach) => breach !== undefined));
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
