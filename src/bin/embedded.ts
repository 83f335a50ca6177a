/**
 * The embedded default: every role in one process, over the loopback bus, with SQLite and a local directory. The only place where these
 * adapters are chosen.
 */
import { join } from "node:path";
import type { CatalogTables } from "../actors/catalog/tables.ts";
import type { IdsTables } from "../actors/ids/tables.ts";
import { openDataDirectory } from "../actors/storage/data-directory.ts";
import type { TrackerTables } from "../actors/tracker/tables.ts";
import { LoopbackMedium } from "../bus/loopback.ts";
import type { ServerSettings } from "../config/setting-table.ts";
import { makeDurableDirectory } from "../core/durable.ts";
import { DATA_SERVER_DRAIN_MS, DISK_RESERVE_BYTES, GATEWAY_DRAIN_MS } from "../core/limits.ts";
import type { Log } from "../core/log.ts";
import type { HttpHandler } from "../core/ports/http-exchange.ts";
import { createDataServer } from "../data-plane/data-server.ts";
import { LocalDataPlane } from "../data-plane/local-data-plane.ts";
import { TokenMint } from "../data-plane/token.ts";
import { startGateway } from "../gateway/gateway.ts";
import { NodeHttpServer } from "../gateway/node-http.ts";
import { BlakeHasher } from "../store/blake-hasher.ts";
import { GroupedSyncDisk } from "../store/grouped-sync.ts";
import { MemoryCache } from "../store/memory-cache.ts";
import { NodeDisk } from "../store/node-disk.ts";
import { type DatabasePart, databaseName, migrationsDirectory } from "../store/sql/databases.ts";
import { openSqlite } from "../store/sql/sqlite-database.ts";
import { SystemClock } from "../store/system-clock.ts";
import { SystemRandom } from "../store/system-random.ts";
import { startCast, type Undo } from "./cast.ts";

export interface RunningServer {
  readonly gatewayUrl: string;
  readonly nodeId: string;
  readonly freeBytes: number;
  /** Not ready any more, drained, everything on the disk and closed. */
  stop(): Promise<void>;
}

/** @throws {TroupeError} with a sentence for whoever started it; nothing is left running then */
export async function startEmbedded(settings: ServerSettings, version: string, log: Log): Promise<RunningServer> {
  const undo: Undo = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) {
      await step().catch((error: unknown) => log.error({ err: error }, "A part of the server could not be stopped cleanly."));
    }
  };
  try {
    return { ...(await start(settings, version, log, undo)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(settings: ServerSettings, version: string, log: Log, undo: Undo): Promise<Omit<RunningServer, "stop">> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const disk = new GroupedSyncDisk(new NodeDisk());
  const hasher = new BlakeHasher();
  undo.push(() => hasher.close());

  const httpServer = new NodeHttpServer({ clock, log }, { bodyBytesMax: settings.fileBytesMax });
  // Before anything is made on the disk: whoever cannot be reached need not begin.
  if (settings.port !== 0) await (await httpServer.listen(settings, async () => ({ status: 503, headers: {} }))).close(0);
  const directory = await openDataDirectory({ disk, clock, random }, settings.dataDirectory, settings.nodeId);
  undo.push(() => directory.release());
  if (directory.isNew) log.info({ nodeId: directory.nodeId, data: settings.dataDirectory }, "This is a new, empty store.");
  const databaseFolder = join(settings.dataDirectory, "database");
  await makeDurableDirectory(disk, databaseFolder);
  const open = async <Tables>(part: DatabasePart) => {
    const path = join(databaseFolder, `${databaseName(part)}.sqlite`);
    const database = await openSqlite<Tables>({ path, migrations: migrationsDirectory(part), clock, random, log });
    undo.push(() => database.close());
    return database;
  };
  const databases = {
    tracker: await open<TrackerTables>("tracker"),
    ids: await open<IdsTables>("ids"),
    storage: await open<CatalogTables>("storage"),
  };
  const cache = new MemoryCache(clock);
  undo.push(() => cache.close());
  const medium = new LoopbackMedium({ clock, random });
  const tokens = new TokenMint(clock, random);

  // The node announces its data server's address when it joins, so it listens before; until the node has recovered it says so.
  let dataServer: HttpHandler = async () => ({ status: 503, headers: { "retry-after": "1" }, close: true });
  const dataListener = await httpServer.listen({ host: "127.0.0.1", port: settings.dataPort }, (request) => dataServer(request));
  undo.push(() => dataListener.close(DATA_SERVER_DRAIN_MS));
  const node = await startCast(
    { clock, random, log, disk, hasher, cache, tokens, databases, connect: () => medium.connect() },
    { ...settings, directory, version, diskReserveBytes: DISK_RESERVE_BYTES, dataUrl: dataListener.url },
    undo,
  );
  dataServer = createDataServer(node, tokens, log);

  const gatewayBus = medium.connect();
  undo.push(() => gatewayBus.drain());
  const gateway = await startGateway(
    { clock, random, log, bus: gatewayBus, dataPlane: new LocalDataPlane([node]), httpServer },
    { ...settings, nodeId: directory.nodeId, trustProxy: false },
    settings,
  );
  undo.push(() => gateway.stop(GATEWAY_DRAIN_MS));
  const { freeBytes } = await disk.space(settings.dataDirectory);
  return { gatewayUrl: settings.publicUrl ?? gateway.url, nodeId: directory.nodeId, freeBytes };
}
