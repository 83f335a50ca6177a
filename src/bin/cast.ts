/**
 * The roles, each over ports that are handed in. What runs in production, in tests and in simulations differs only in those ports.
 *
 * Starting goes from what others need to what needs others; stopping goes the same way back.
 */

import { bytesOnBus } from "../actors/bytes/contract.ts";
import { startCatalog } from "../actors/catalog/actor.ts";
import { catalog } from "../actors/catalog/contract.ts";
import type { CatalogTables } from "../actors/catalog/tables.ts";
import { gateway as gatewayContract } from "../actors/gateway/contract.ts";
import { startIds } from "../actors/ids/actor.ts";
import { ids } from "../actors/ids/contract.ts";
import type { IdsTables } from "../actors/ids/tables.ts";
import { startInspector } from "../actors/inspector/actor.ts";
import { inspector } from "../actors/inspector/contract.ts";
import { type StorageNode, type StorageOptions, type StoragePorts, startStorage } from "../actors/storage/actor.ts";
import { storage } from "../actors/storage/contract.ts";
import { tracker } from "../actors/tracker/contract.ts";
import { hostTracker } from "../actors/tracker/hosted.ts";
import type { TrackerTables } from "../actors/tracker/tables.ts";
import { hostSession } from "../actors/upload/actor.ts";
import { upload } from "../actors/upload/contract.ts";
import { lookAtParts } from "../actors/upload/parts.ts";
import { createSessionFolder, finishSessionFolder } from "../actors/upload/session-files.ts";
import { readSessionJournal } from "../actors/upload/session-journal.ts";
import { ActorDirectory } from "../bus/actor-directory.ts";
import { tellActors, tellRequests } from "../bus/actor-metrics.ts";
import { host } from "../bus/host.ts";
import { MeasuredBus } from "../bus/measured-bus.ts";
import { startService } from "../bus/micro-service.ts";
import type { ServicePart } from "../bus/micro-service-endpoints.ts";
import { RequestBooks } from "../bus/request-book.ts";
import type { Role } from "../config/setting-table.ts";
import { GATEWAY_DRAIN_MS } from "../core/limits.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Cache } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { DataPlane } from "../core/ports/data-plane.ts";
import type { Database } from "../core/ports/database.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import type { CertificateSource, HttpClient, HttpServer } from "../core/ports/http-exchange.ts";
import { type Exposition, type Metrics, SILENT_METRICS } from "../core/ports/metrics.ts";
import type { Random } from "../core/ports/random.ts";
import type { SpanBook } from "../core/span-book.ts";
import { BusDataPlane } from "../data-plane/bus-data-plane.ts";
import type { ByteService } from "../data-plane/byte-service.ts";
import { serveBytesOnBus } from "../data-plane/bytes-on-bus.ts";
import { HttpDataPlane } from "../data-plane/http-data-plane.ts";
import { LocalDataPlane } from "../data-plane/local-data-plane.ts";
import { RoutedDataPlane } from "../data-plane/routed-data-plane.ts";
import type { TokenMint } from "../data-plane/token.ts";
import { type StartedGateway, startGateway } from "../gateway/gateway.ts";
import type { GatewayOptions } from "../gateway/ports.ts";
import type { Readiness } from "../gateway/readiness.ts";
import { databaseQuestions, diskQuestions } from "./role-questions.ts";

/** Steps that take back what was started, in the order of starting. */
export type Undo = (() => Promise<void>)[];

/** What every role stands on. */
export interface Stage {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Of this process, and of the storage node if it plays one. */
  readonly nodeId: string;
  readonly version: string;
  /** A connection of its own for each role, closed by whoever asked for it. */
  readonly connect: (role: Role) => Promise<Bus>;
  /** Nobody else can be on the bus. */
  readonly isAlone: boolean;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics & Exposition;
  /** Absent: there is never too much to do. */
  readonly load?: LoadWatch | undefined;
  /** Gets what each role asks to find out whether it can serve. */
  readonly readiness?: Readiness | undefined;
  /** What its process does for whom is written down here; absent, it is not. */
  readonly inspected?: Inspected | undefined;
  /** Gets a step for each part that was started, also when a later part fails. */
  readonly undo: Undo;
}

/** What a process lets others see of itself. */
export interface Inspected {
  readonly spans: SpanBook;
  /** Gets one of each role. */
  readonly directories: ActorDirectory[];
}

export interface TrackerRole {
  readonly database: Database<TrackerTables>;
  readonly heartbeatMs: number;
  readonly offlineAfterMs: number;
}

export interface CatalogRole {
  readonly database: Database<CatalogTables>;
  /** Told to others on the bus, who look whether they may share it. */
  readonly databaseKind: "sqlite" | "mysql";
  readonly cache: Cache;
}

export interface StorageRole
  extends Omit<StorageOptions, "createFolder" | "finishFolder" | "readFolder" | "hostSession" | "sizeOfParts" | "version"> {
  readonly disk: Disk;
  readonly hasher: Hasher;
  readonly tokens: TokenMint;
  readonly onStep?: StoragePorts["onStep"];
  /** To other nodes' bytes. */
  readonly http: HttpClient;
}

export interface GatewayRole extends Omit<GatewayOptions, "nodeId"> {
  /** Storage nodes in this process. */
  readonly nodes: readonly ByteService[];
  readonly http: HttpClient;
  /** For ranges of blobs, where there is a faster one. */
  readonly ranges?: HttpClient | undefined;
  readonly httpServer: HttpServer;
  readonly host: string;
  readonly port: number;
  /** Present: it serves https. */
  readonly certificate?: CertificateSource | undefined;
}

/** Resolves when it answers. */
export async function playTracker(stage: Stage, role: TrackerRole): Promise<void> {
  const scene = await enter(stage, "tracker");
  const actor = await hostTracker(scene.bus, scene, { ...scene, ...role });
  stage.undo.push(() => actor.stop());
  stage.readiness?.add(databaseQuestions(scene.bus, role.database));
  await tell(scene, { contract: tracker });
}

export async function playIds(stage: Stage, role: { readonly database: Database<IdsTables> }): Promise<void> {
  const scene = await enter(stage, "ids");
  const actor = await host(scene.bus, ids, {}, scene, startIds({ ...scene, ...role }));
  stage.undo.push(() => actor.stop());
  stage.readiness?.add(databaseQuestions(scene.bus, role.database));
  await tell(scene, { contract: ids });
}

export async function playCatalog(stage: Stage, role: CatalogRole): Promise<void> {
  const scene = await enter(stage, "catalog");
  const actor = await host(scene.bus, catalog, {}, scene, startCatalog({ ...scene, ...role }));
  stage.undo.push(() => actor.stop());
  stage.readiness?.add(databaseQuestions(scene.bus, role.database));
  await tell({ ...scene, metadata: { database: role.databaseKind } }, { contract: catalog });
}

/** Resolves when the node has recovered and tried to join. */
export async function playStorage(stage: Stage, role: StorageRole): Promise<StorageNode> {
  const { disk, hasher, tokens, directory } = role;
  const scene = await enter(stage, "storage");
  const node = await startStorage(
    { ...scene, ...role, dataPlane: (self) => dataPlaneOf(scene, [self], role.http) },
    {
      ...role,
      version: stage.version,
      hostSession,
      createFolder: (folder, creation) => createSessionFolder(disk, hasher, folder, creation),
      sizeOfParts: async (ports, uploadIds, owner) =>
        (await lookAtParts(ports, uploadIds, owner)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      finishFolder: (folder, creation) => finishSessionFolder(disk, folder, creation),
      readFolder: (folder) => readSessionJournal(disk, hasher, folder, role.fileBytesMax),
    },
  );
  stage.undo.push(() => node.stop());
  const identity = { nodeId: directory.nodeId };
  const bytes = await serveBytesOnBus(scene.bus, node, tokens, scene);
  stage.undo.push(() => bytes.stop());
  stage.readiness?.add(diskQuestions(scene.bus, directory.nodeId));
  const { group, zone } = role;
  await tell(
    { ...scene, metadata: { group, zone } },
    { contract: storage, identity },
    { contract: upload },
    { contract: bytesOnBus, identity },
  );
  return node;
}

export async function playGateway(stage: Stage, role: GatewayRole): Promise<StartedGateway> {
  const scene = await enter(stage, "gateway");
  const dataPlane = dataPlaneOf(scene, role.nodes, role.http, role.ranges);
  const gateway = await startGateway(
    { ...scene, dataPlane, httpServer: role.httpServer, readiness: stage.readiness },
    { ...role, nodeId: stage.nodeId },
    role,
  );
  stage.undo.push(() => gateway.stop(GATEWAY_DRAIN_MS));
  const url = role.publicUrl ?? gateway.url;
  await tell({ ...scene, metadata: { url } }, { contract: gatewayContract, identity: { nodeId: stage.nodeId } });
  return gateway;
}

/** On a connection of its own, so that it answers also while a role's is clogged; it logs in as one of the roles. */
export async function playInspector(stage: Stage, inspected: Inspected, roles: readonly [Role, ...Role[]]): Promise<void> {
  const { clock, nodeId, version, undo } = stage;
  const bus = await stage.connect(roles[0]);
  undo.push(() => bus.drain());
  const actor = await host(bus, inspector, {}, stage, startInspector({ clock, nodeId, roles, version, ...inspected }));
  undo.push(() => actor.stop());
  await bus.flush();
}

/** Every way to the bytes of a node: inside this process, by a connection, over the bus. */
export function dataPlaneOf(
  ports: { readonly bus: Bus; readonly clock: Clock; readonly random: Random; readonly log: Log },
  nodes: readonly ByteService[],
  http: HttpClient,
  ranges?: HttpClient,
): DataPlane {
  const routes = {
    local: new LocalDataPlane(nodes),
    direct: new HttpDataPlane({ http, ranges, clock: ports.clock }),
    bus: new BusDataPlane(ports),
  };
  return new RoutedDataPlane(routes, ports);
}

/** Whoever is asked something by a subject with a name of these. */
const CONTRACTS = [tracker, ids, catalog, storage, upload, bytesOnBus, gatewayContract, inspector];

/** A stage with one role on it. */
interface Scene extends Omit<Stage, "metrics"> {
  readonly bus: Bus;
  readonly requestBooks: RequestBooks;
  readonly actors: ActorDirectory;
  readonly spans: SpanBook | undefined;
  readonly metrics: Metrics;
  readonly exposition: Exposition | undefined;
  /** What its micro service tells besides. */
  readonly metadata?: Readonly<Record<string, string>>;
}

async function enter(stage: Stage, role: Role): Promise<Scene> {
  const { metrics, undo } = stage;
  const connection = await stage.connect(role);
  undo.push(() => connection.drain());
  const requestBooks = new RequestBooks();
  const actors = new ActorDirectory();
  stage.inspected?.directories.push(actors);
  if (metrics !== undefined)
    for (const end of [tellActors(metrics, actors), tellRequests(metrics, requestBooks)]) undo.push(async () => end());
  const bus = metrics === undefined ? connection : new MeasuredBus(connection, metrics, CONTRACTS);
  return { ...stage, bus, requestBooks, actors, spans: stage.inspected?.spans, metrics: metrics ?? SILENT_METRICS, exposition: metrics };
}

/** The role as a micro service: the last to start and the first to go. Resolves when the bus has all that the role subscribes. */
async function tell(scene: Scene, ...parts: readonly [ServicePart, ...ServicePart[]]): Promise<void> {
  const { bus, nodeId, version, metadata = {} } = scene;
  const service = startService(bus, scene, { id: nodeId, version, metadata, parts });
  scene.undo.push(() => service.stop());
  await bus.flush();
}
