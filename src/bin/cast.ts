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
import { type StorageNode, type StorageOptions, type StoragePorts, startStorage } from "../actors/storage/actor.ts";
import { storage } from "../actors/storage/contract.ts";
import { tracker } from "../actors/tracker/contract.ts";
import { hostTracker } from "../actors/tracker/hosted.ts";
import type { TrackerTables } from "../actors/tracker/tables.ts";
import { hostSession } from "../actors/upload/actor.ts";
import { upload } from "../actors/upload/contract.ts";
import { lookAtParts } from "../actors/upload/parts.ts";
import { createSessionFolder } from "../actors/upload/session-files.ts";
import { readSessionJournal } from "../actors/upload/session-journal.ts";
import { host } from "../bus/host.ts";
import { startService } from "../bus/micro-service.ts";
import type { ServicePart } from "../bus/micro-service-endpoints.ts";
import { RequestBooks } from "../bus/request-book.ts";
import type { Role } from "../config/setting-table.ts";
import { GATEWAY_DRAIN_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { Bus } from "../core/ports/bus.ts";
import type { Cache } from "../core/ports/cache.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { DataPlane } from "../core/ports/data-plane.ts";
import type { Database } from "../core/ports/database.ts";
import type { Disk } from "../core/ports/disk.ts";
import type { Hasher } from "../core/ports/hasher.ts";
import type { CertificateSource, HttpClient, HttpServer } from "../core/ports/http-exchange.ts";
import type { Random } from "../core/ports/random.ts";
import { BusDataPlane } from "../data-plane/bus-data-plane.ts";
import type { ByteService } from "../data-plane/byte-service.ts";
import { serveBytesOnBus } from "../data-plane/bytes-on-bus.ts";
import { HttpDataPlane } from "../data-plane/http-data-plane.ts";
import { LocalDataPlane } from "../data-plane/local-data-plane.ts";
import { RoutedDataPlane } from "../data-plane/routed-data-plane.ts";
import type { TokenMint } from "../data-plane/token.ts";
import { type StartedGateway, startGateway } from "../gateway/gateway.ts";
import type { GatewayOptions } from "../gateway/ports.ts";

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
  /** Gets a step for each part that was started, also when a later part fails. */
  readonly undo: Undo;
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

export interface StorageRole extends Omit<StorageOptions, "createFolder" | "readFolder" | "hostSession" | "sizeOfParts" | "version"> {
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
  await tell(scene, { contract: tracker });
}

export async function playIds(stage: Stage, role: { readonly database: Database<IdsTables> }): Promise<void> {
  const scene = await enter(stage, "ids");
  const actor = await host(scene.bus, ids, {}, scene, startIds({ ...scene, ...role }));
  stage.undo.push(() => actor.stop());
  await tell(scene, { contract: ids });
}

export async function playCatalog(stage: Stage, role: CatalogRole): Promise<void> {
  const scene = await enter(stage, "catalog");
  const actor = await host(scene.bus, catalog, {}, scene, startCatalog({ ...scene, ...role }));
  stage.undo.push(() => actor.stop());
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
      createFolder: (folder, plan, owner) => createSessionFolder(disk, hasher, folder, plan, owner),
      sizeOfParts: async (ports, uploadIds, owner) =>
        (await lookAtParts(ports, uploadIds, owner)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      readFolder: (folder) => readSessionJournal(disk, hasher, folder, role.fileBytesMax),
    },
  );
  stage.undo.push(() => node.stop());
  const identity = { nodeId: directory.nodeId };
  const bytes = await serveBytesOnBus(scene.bus, node, tokens, scene);
  stage.undo.push(() => bytes.stop());
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
  const gateway = await startGateway({ ...scene, dataPlane, httpServer: role.httpServer }, { ...role, nodeId: stage.nodeId }, role);
  stage.undo.push(() => gateway.stop(GATEWAY_DRAIN_MS));
  const url = role.publicUrl ?? gateway.url;
  await tell({ ...scene, metadata: { url } }, { contract: gatewayContract, identity: { nodeId: stage.nodeId } });
  return gateway;
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

/** A stage with one role on it. */
interface Scene extends Stage {
  readonly bus: Bus;
  readonly requestBooks: RequestBooks;
  /** What its micro service tells besides. */
  readonly metadata?: Readonly<Record<string, string>>;
}

async function enter(stage: Stage, role: Role): Promise<Scene> {
  const bus = await stage.connect(role);
  stage.undo.push(() => bus.drain());
  return { ...stage, bus, requestBooks: new RequestBooks() };
}

/** The role as a micro service: the last to start and the first to go. Resolves when the bus has all that the role subscribes. */
async function tell(scene: Scene, ...parts: readonly [ServicePart, ...ServicePart[]]): Promise<void> {
  const { bus, nodeId, version, metadata = {} } = scene;
  const service = startService(bus, scene, { id: nodeId, version, metadata, parts });
  scene.undo.push(() => service.stop());
  await bus.flush();
}
