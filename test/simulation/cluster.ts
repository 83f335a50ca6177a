/**
 * A whole cluster in the world: the actors, the gateway's routes and the data server as in production, each process over the world's
 * adapters. A process that ends, however it ends, is started again, as a service manager does.
 */
import { join } from "node:path";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import type { IdsTables } from "../../src/actors/ids/tables.ts";
import { openDataDirectory } from "../../src/actors/storage/data-directory.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import { playCatalog, playGateway, playIds, playStorage, playTracker, type Stage, type Undo } from "../../src/bin/cast.ts";
import { DATA_SERVER_DRAIN_MS, FILE_BYTES_LIMIT } from "../../src/core/limits.ts";
import type { HttpHandler } from "../../src/core/ports/http-exchange.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { createDataServer, SLOWEST_GATEWAY } from "../../src/data-plane/data-server.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import type { Token } from "../../src/gateway/owner-keys.ts";
import { GroupedSyncDisk } from "../../src/store/grouped-sync.ts";
import { DATABASE_PARTS, type DatabasePart } from "../../src/store/sql/databases.ts";
import { SimulatedBusServer } from "./bus/simulated-bus-server.ts";
import { SimulatedCacheServer } from "./cache/simulated-cache-server.ts";
import { SimulatedDatabaseServer } from "./database/simulated-database-server.ts";
import { SimulatedDisk } from "./disk/simulated-disk.ts";
import { SimulatedHasher } from "./disk/simulated-hasher.ts";
import type { Topology } from "./fault.ts";
import { SimulatedNetwork } from "./network/simulated-network.ts";
import { transitionCount } from "./oracle/transitions.ts";
import { type Nodes, serversOf, topologyOf } from "./plan.ts";
import { SimulatedLog } from "./simulated-log.ts";
import { type Death, SimulatedProcess } from "./simulated-process.ts";
import type { World } from "./world.ts";

/** Those who may use the cluster: their own files, and not each other's. */
export const OWNERS: readonly Token[] = [
  { owner: "north", secret: "the north's secret of the simulation" },
  { owner: "south", secret: "the south's secret of the simulation" },
];

export const GATEWAY_PORT = 8080;
/** One name of all gateways, as users know it; which of them it leads to is a client's choice. */
export const PUBLIC_URL = "http://troupe";
const DATA_PORT = 9000;
export const DATA_ROOT = "/data/troupe";

/** As an administrator would set them who wants to see within minutes what otherwise takes days. */
export const SETTINGS = {
  heartbeatMs: 3_000,
  offlineAfterMs: 10_000,
  /** Every byte is verified by every read. */
  verifyAgeMs: 0,
  deleteGraceMs: 5_000,
  idleExpiryMs: 60_000,
  diskReserveBytes: 1024 ** 2,
  fileBytesMax: FILE_BYTES_LIMIT,
} as const;

/** A service manager's pause before it starts again what ended. */
const RESTART_PAUSE_MS = 1_000;
/** A stop that takes longer is ended by force. */
const STOP_WITHIN_MS = 20_000;

interface Running {
  readonly process: SimulatedProcess;
  readonly undo: Undo;
  isReady: boolean;
}

type Play = (stage: Stage, process: SimulatedProcess) => Promise<void>;

export class Cluster {
  readonly world: World;
  readonly topology: Topology;
  readonly bus: SimulatedBusServer;
  readonly databases: Readonly<Record<DatabasePart, SimulatedDatabaseServer>>;
  readonly cache: SimulatedCacheServer;
  readonly network: SimulatedNetwork;
  readonly #disks = new Map<string, SimulatedDisk>();
  readonly #running = new Map<string, Running>();
  /** The last life of each, clients among them. */
  readonly #processes = new Map<string, SimulatedProcess>();
  /** Those a fault keeps from being started again. */
  readonly #heldBack = new Map<string, number>();
  readonly #lifeListeners: ((process: SimulatedProcess) => void)[] = [];

  constructor(world: World, nodes: Nodes) {
    this.world = world;
    this.topology = topologyOf(nodes);
    this.bus = new SimulatedBusServer(world);
    this.cache = new SimulatedCacheServer(world);
    this.network = new SimulatedNetwork(world);
    const server = (part: DatabasePart) => [part, new SimulatedDatabaseServer(world, part)] as const;
    this.databases = Object.fromEntries(DATABASE_PARTS.map(server)) as Record<DatabasePart, SimulatedDatabaseServer>;
  }

  /** By the name of the storage process. */
  get disks(): ReadonlyMap<string, SimulatedDisk> {
    return this.#disks;
  }

  /** Names of all server processes that were ever started. */
  get serverNames(): string[] {
    const storages = [...new Set([...this.topology.storages, ...this.#disks.keys()])];
    return serversOf({ ...this.topology, storages });
  }

  /** The life a process has now. */
  life(name: string): SimulatedProcess | undefined {
    const process = this.#processes.get(name);
    return process?.isAlive === true ? process : undefined;
  }

  isReady(name: string): boolean {
    return this.life(name) !== undefined && this.#running.get(name)?.isReady === true;
  }

  gatewayUrl(name: string): string {
    return `http://${name}:${GATEWAY_PORT}`;
  }

  /** Told of each life that begins, before it does anything. */
  onLife(listener: (process: SimulatedProcess) => void): void {
    this.#lifeListeners.push(listener);
  }

  /** Begins the next life of a process: a client's, or one of {@link start}'s. */
  beginLife(name: string): SimulatedProcess {
    const life = (this.#processes.get(name)?.life ?? 0) + 1;
    const process = new SimulatedProcess(this.world, name, life);
    this.#processes.set(name, process);
    for (const listener of this.#lifeListeners) listener(process);
    return process;
  }

  /** Switches on everything at once; it comes up as time goes on. */
  startAll(): void {
    for (const name of this.serverNames) this.start(name);
  }

  /** Starts a server process unless it runs, or a fault keeps it down. Clients come back by themselves. */
  start(name: string): void {
    if (this.life(name) !== undefined || this.#heldBack.has(name) || this.topology.clients.includes(name)) return;
    const process = this.beginLife(name);
    const running: Running = { process, undo: [], isReady: false };
    this.#running.set(name, running);
    process.onDeath(() => {
      this.world.scheduler.after(RESTART_PAUSE_MS, `${name} starts`, () => this.start(name));
    });
    this.world.note(`${name} begins its life ${process.life}`);
    const stage: Stage = {
      clock: process.clock,
      random: process.random,
      log: new SimulatedLog(process),
      undo: running.undo,
      nodeId: name,
      version: "0.0.0",
      isAlone: false,
      inspected: { spans: new SpanBook(process.clock, `${name}#${process.life}`), directories: [] },
      connect: async (role) => await this.bus.connect(process, { name: `${role}/${name}` }),
    };
    this.#playOf(name)(stage, process).then(
      () => {
        running.isReady = true;
        this.world.note(`${name} is ready`);
      },
      (error: unknown) => this.#ended(running, error),
    );
  }

  /** It dies now, and is started again unless it is held back. */
  kill(name: string, death: Death): void {
    this.life(name)?.die(death);
  }

  /** Keeps a process from being started, until it is let go as often. */
  holdBack(name: string): void {
    this.#heldBack.set(name, (this.#heldBack.get(name) ?? 0) + 1);
  }

  letGo(name: string): void {
    const count = (this.#heldBack.get(name) ?? 0) - 1;
    if (count > 0) return void this.#heldBack.set(name, count);
    this.#heldBack.delete(name);
    this.start(name);
  }

  /** Ends it properly, as upon SIGTERM; by force when that takes too long. */
  stop(name: string): void {
    const running = this.#running.get(name);
    if (running === undefined || !running.process.isAlive) return;
    const { process, undo } = running;
    running.isReady = false;
    this.world.note(`${name} is told to stop`);
    process.later(STOP_WITHIN_MS, "stops by force", () => process.die("killed"));
    void this.#undo(process, undo).then(() => process.die("ended"));
  }

  /** A storage node that was not there before. */
  join(name: string): void {
    this.#diskOf(name);
    this.start(name);
  }

  async #undo(process: SimulatedProcess, undo: Undo): Promise<void> {
    const log = new SimulatedLog(process);
    for (const step of undo.splice(0).reverse()) {
      await step().catch((error: unknown) => log.error({ err: error }, "A part of the server could not be stopped cleanly."));
    }
  }

  /** A start that failed: it says why, takes back what it began, and ends. */
  async #ended({ process, undo }: Running, error: unknown): Promise<void> {
    new SimulatedLog(process).warn({ err: error }, "The process ends.");
    await this.#undo(process, undo);
    process.die("ended");
  }

  #playOf(name: string): Play {
    const { trackers, allocators, catalogs, gateways } = this.topology;
    if (trackers.includes(name)) return (stage, process) => this.#playTracker(stage, process);
    if (allocators.includes(name)) return (stage, process) => this.#playIds(stage, process);
    if (catalogs.includes(name)) return (stage, process) => this.#playCatalog(stage, process);
    if (gateways.includes(name)) return (stage, process) => this.#playGateway(stage, process);
    return (stage, process) => this.#playStorage(stage, process);
  }

  async #playTracker(stage: Stage, process: SimulatedProcess): Promise<void> {
    const database = await this.databases.tracker.open<TrackerTables>(process);
    stage.undo.push(() => database.close());
    await playTracker(stage, { database, ...SETTINGS });
  }

  async #playIds(stage: Stage, process: SimulatedProcess): Promise<void> {
    const database = await this.databases.ids.open<IdsTables>(process);
    stage.undo.push(() => database.close());
    await playIds(stage, { database });
  }

  async #playCatalog(stage: Stage, process: SimulatedProcess): Promise<void> {
    const database = await this.databases.storage.open<CatalogTables>(process);
    stage.undo.push(() => database.close());
    const cache = this.cache.connect(process);
    stage.undo.push(() => cache.close());
    await playCatalog(stage, { database, databaseKind: "mysql", cache });
  }

  async #playStorage(stage: Stage, process: SimulatedProcess): Promise<void> {
    const { clock, random, log, undo, nodeId } = stage;
    const disk = new GroupedSyncDisk(this.#diskOf(nodeId).mount(process));
    const directory = await openDataDirectory({ disk, clock, random }, DATA_ROOT, nodeId);
    undo.push(() => directory.release());
    const http = this.network.client(process);
    undo.push(() => http.close());
    const hasher = new SimulatedHasher(process, disk, this.#diskOf(nodeId).faults);
    undo.push(() => hasher.close());
    const tokens = new TokenMint(clock, random);
    let dataServer: HttpHandler = unready;
    const server = this.network.server(process, { slowestBody: SLOWEST_GATEWAY });
    const listener = await server.listen({ host: nodeId, port: DATA_PORT }, (request) => dataServer(request));
    undo.push(() => listener.close(DATA_SERVER_DRAIN_MS));
    const node = await playStorage(stage, {
      ...SETTINGS,
      directory,
      disk,
      hasher,
      tokens,
      http,
      group: groupOf(nodeId, this.topology.storages.length),
      zone: "zone1",
      dataUrl: `http://${nodeId}:${DATA_PORT}`,
      onStep: (_uploadId, step) => {
        const transition = transitionCount(step);
        if (transition !== undefined) this.world.counts.add(transition);
      },
      onNameLost: (refusal) => {
        log.error({ err: refusal }, "Another process has this node's name.");
        this.stop(nodeId);
      },
    });
    dataServer = createDataServer(node, tokens, { log, spans: stage.inspected?.spans });
  }

  async #playGateway(stage: Stage, process: SimulatedProcess): Promise<void> {
    const http = this.network.client(process);
    stage.undo.push(() => http.close());
    await playGateway(stage, {
      tokens: OWNERS,
      publicUrl: PUBLIC_URL,
      corsOrigins: [],
      trustProxy: false,
      nodes: [],
      http,
      httpServer: this.network.server(process, { bodyBytesMax: SETTINGS.fileBytesMax }),
      host: stage.nodeId,
      port: GATEWAY_PORT,
      fileBytesMax: SETTINGS.fileBytesMax,
    });
  }

  #diskOf(name: string): SimulatedDisk {
    let disk = this.#disks.get(name);
    if (disk === undefined) {
      disk = new SimulatedDisk(this.world, name, join(DATA_ROOT, ".."));
      this.#disks.set(name, disk);
    }
    return disk;
  }
}

/**
 * Two nodes a group; who joins later belongs to one of those there are: users stay with the group they have, and one in a group of its own
 * would never get anything.
 * @param storageCount how many nodes there are at the beginning
 */
function groupOf(nodeId: string, storageCount: number): string {
  const number = ((Number(/\d+$/.exec(nodeId)?.[0] ?? 1) - 1) % storageCount) + 1;
  return `group${String(Math.ceil(number / 2)).padStart(3, "0")}`;
}

const unready: HttpHandler = async () => ({ status: 503, headers: { "retry-after": "1" }, close: true });
