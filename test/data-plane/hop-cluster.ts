/**
 * A small cluster in this process: trackers and the like on a loopback bus, a gateway that listens, and one storage node that the gateway
 * reaches over HTTP only. The node can be killed without a word and started anew on its directory, at another port and with another key.
 */
import { join } from "node:path";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import type { IdsTables } from "../../src/actors/ids/tables.ts";
import { openDataDirectory } from "../../src/actors/storage/data-directory.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import { playCatalog, playGateway, playIds, playStorage, playTracker, type Stage, type Undo } from "../../src/bin/cast.ts";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { makeDurableDirectory } from "../../src/core/durable.ts";
import { EXCHANGES_PER_NODE_MAX, FILE_BYTES_MAX_DEFAULT } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { HttpHandler } from "../../src/core/ports/http-exchange.ts";
import { createDataServer, SLOWEST_GATEWAY } from "../../src/data-plane/data-server.ts";
import { NodeRangeClient } from "../../src/data-plane/node-range-client.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { GroupedSyncDisk } from "../../src/store/grouped-sync.ts";
import { MemoryCache } from "../../src/store/memory-cache.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { SystemRandom } from "../../src/store/system-random.ts";
import { openTestDatabase } from "../support/database.ts";
import { InlineHasher } from "../support/inline-hasher.ts";
import { NO_HTTP } from "../support/no-http.ts";

export interface HopCluster extends AsyncDisposable {
  readonly gatewayUrl: string;
  readonly nodeId: string;
  /** Every connection to it breaks, and nobody hears it any more. */
  killNode(): Promise<void>;
  startNode(): Promise<void>;
}

export async function startHopCluster(root: string): Promise<HopCluster> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const log = SILENT_LOG;
  const medium = new LoopbackMedium({ clock, random });
  const undo: Undo = [];
  const stop = async (steps: Undo): Promise<void> => {
    for (const step of steps.splice(0).reverse()) await step();
  };
  const httpServer = new NodeHttpServer({ clock, log });
  const disk = new GroupedSyncDisk(new NodeDisk());
  const connect = async () => medium.connect();
  const stage: Stage = { clock, random, log, undo, connect, nodeId: "gateway1", version: "0.0.0", isAlone: true };
  const openDatabase = async <Tables>(part: "tracker" | "ids" | "storage") => {
    const database = await openTestDatabase<Tables>(part, { clock });
    undo.push(() => database.close());
    return database;
  };
  await makeDurableDirectory(disk, join(root, "node"));
  await playTracker(stage, { database: await openDatabase<TrackerTables>("tracker"), heartbeatMs: 3_000, offlineAfterMs: 10_000 });
  await playIds(stage, { database: await openDatabase<IdsTables>("ids") });
  await playCatalog(stage, {
    database: await openDatabase<CatalogTables>("storage"),
    databaseKind: "sqlite",
    cache: new MemoryCache(clock),
  });

  let node: { readonly nodeId: string; kill(): Promise<void> } | undefined;
  const startNode = async (): Promise<void> => {
    const nodeUndo: Undo = [];
    const bus = medium.connect();
    const hasher = new InlineHasher(disk);
    const tokens = new TokenMint(clock, random);
    const directory = await openDataDirectory({ disk, clock, random }, join(root, "node"), undefined);
    let dataServer: HttpHandler = async () => ({ status: 503, headers: {}, close: true });
    const forGateways = new NodeHttpServer({ clock, log }, { slowestBody: SLOWEST_GATEWAY });
    const listener = await forGateways.listen({ host: "127.0.0.1", port: 0 }, (request) => dataServer(request));
    const played = await playStorage(
      { ...stage, nodeId: directory.nodeId, undo: nodeUndo, connect: async () => bus },
      {
        disk,
        hasher,
        tokens,
        http: NO_HTTP,
        directory,
        onNameLost: () => undefined,
        group: "group001",
        zone: "zone1",
        verifyAgeMs: 3_600_000,
        deleteGraceMs: 60_000,
        diskReserveBytes: 0,
        fileBytesMax: FILE_BYTES_MAX_DEFAULT,
        idleExpiryMs: 86_400_000,
        heartbeatMs: 3_000,
        dataUrl: listener.url,
      },
    );
    dataServer = createDataServer(played, tokens, { log });
    node = {
      nodeId: directory.nodeId,
      kill: async () => {
        bus.disconnect();
        await listener.close(0);
        // What the operating system would take back.
        for (const step of nodeUndo.splice(0).reverse()) await step().catch(() => undefined);
        await directory.release();
      },
    };
  };

  const http = new NodeHttpClient({ connectionsPerHostMax: EXCHANGES_PER_NODE_MAX });
  const ranges = new NodeRangeClient();
  undo.push(() => http.close());
  undo.push(() => ranges.close());
  const gateway = await playGateway(stage, {
    nodes: [],
    http,
    ranges,
    httpServer,
    host: "127.0.0.1",
    port: 0,
    tokens: [],
    corsOrigins: [],
    fileBytesMax: FILE_BYTES_MAX_DEFAULT,
    trustProxy: false,
  });
  const cluster: HopCluster = {
    gatewayUrl: gateway.url,
    get nodeId() {
      return node?.nodeId ?? "";
    },
    killNode: async () => {
      await node?.kill();
    },
    startNode,
    async [Symbol.asyncDispose]() {
      await node?.kill();
      await stop(undo);
    },
  };
  await startNode();
  return cluster;
}
