/**
 * One server process: the roles it plays, over the adapters that its settings name. The only place where those are chosen.
 *
 * Without any address of an engine it is the whole system in one process: the bus inside it, SQLite, a cache in memory, one directory.
 */

import type { CatalogTables } from "../actors/catalog/tables.ts";
import { openDataDirectory } from "../actors/storage/data-directory.ts";
import { advertisedUrl } from "../config/advertise.ts";
import { type Role, rolesText, type ServerSettings } from "../config/setting-table.ts";
import { TroupeError } from "../core/errors.ts";
import { CONNECT_TIMEOUT_MS, DATA_SERVER_DRAIN_MS, DISK_RESERVE_BYTES, EXCHANGES_PER_NODE_MAX } from "../core/limits.ts";
import { LoadWatch } from "../core/load-watch.ts";
import type { Log } from "../core/log.ts";
import type { HttpHandler } from "../core/ports/http-exchange.ts";
import { randomIdentity } from "../core/ports/random.ts";
import { SpanBook } from "../core/span-book.ts";
import type { ByteService } from "../data-plane/byte-service.ts";
import { createDataServer, SLOWEST_GATEWAY } from "../data-plane/data-server.ts";
import { NodeRangeClient } from "../data-plane/node-range-client.ts";
import { TokenMint } from "../data-plane/token.ts";
import { NodeHttpServer } from "../gateway/node-http.ts";
import { NodeHttpClient } from "../gateway/node-http-client.ts";
import { Readiness } from "../gateway/readiness.ts";
import { healthRoutesOf } from "../gateway/routes/health.ts";
import { metricsRoutes } from "../gateway/routes/metrics.ts";
import { openSideDoor } from "../gateway/side-door.ts";
import { BlakeHasher } from "../store/blake-hasher.ts";
import { GroupedSyncDisk } from "../store/grouped-sync.ts";
import { NodeDisk } from "../store/node-disk.ts";
import { measureProcess } from "../store/process-metrics.ts";
import { PromMetrics } from "../store/prom-metrics.ts";
import { SystemClock } from "../store/system-clock.ts";
import { SystemRandom } from "../store/system-random.ts";
import {
  type Inspected,
  playCatalog,
  playGateway,
  playIds,
  playInspector,
  playStorage,
  playTracker,
  type Stage,
  type Undo,
} from "./cast.ts";
import { CertificateFiles } from "./certificate-files.ts";
import { Engines } from "./engines.ts";
import { readPageFiles } from "./page-files.ts";
import { processDescriptors } from "./process-descriptors.ts";
import { processQuestions } from "./role-questions.ts";

export interface RunningServer {
  /** Absent without the role. */
  readonly gatewayUrl: string | undefined;
  readonly nodeId: string;
  /** Of the data directory; absent without the role storage. */
  readonly freeBytes: number | undefined;
  /** Of a bus that was started for this process, with a password. */
  readonly observerUrl: string | undefined;
  /** Resolves when the process cannot go on: somebody else has its node's name. */
  readonly failed: Promise<TroupeError>;
  /** Not ready any more, drained, everything on the disk and closed. */
  stop(): Promise<void>;
}

/**
 * @param signal ends a start that is under way; then what was started is stopped, and this rejects with `CANCELLED`
 * @throws {TroupeError} with a sentence for whoever started it; nothing is left running then
 */
export async function startServer(settings: ServerSettings, version: string, log: Log, signal: AbortSignal): Promise<RunningServer> {
  const undo: Undo = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) {
      await step().catch((error: unknown) => log.error({ err: error }, "A part of the server could not be stopped cleanly."));
    }
  };
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(new TroupeError("CANCELLED", "The server was told to stop while it was starting."));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return { ...(await Promise.race([start(settings, version, log, undo), aborted.promise])), stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function start(settings: ServerSettings, version: string, log: Log, undo: Undo): Promise<Omit<RunningServer, "stop">> {
  const failed = Promise.withResolvers<TroupeError>();
  const plays = (role: Role): boolean => settings.roles.includes(role);
  const clock = new SystemClock();
  const random = new SystemRandom();
  const metrics = new PromMetrics({ clock, log });
  // Begun first and ended last: what ends meanwhile is told, too, and a slow collector keeps nothing else waiting.
  let endExport = async (): Promise<void> => undefined;
  undo.push(() => endExport());
  const disk = new GroupedSyncDisk(new NodeDisk(), { clock, metrics });
  const descriptors = processDescriptors();
  const load = new LoadWatch({ clock, log, descriptors }, settings.overloadStallMs);
  const httpServer = new NodeHttpServer({ clock, log, load, metrics }, { bodyBytesMax: settings.fileBytesMax });
  // Before anything is made on the disk: whoever cannot be reached need not begin.
  const certificate = plays("gateway") ? await openCertificate(settings, { clock, log }) : undefined;
  if (certificate !== undefined) undo.push(async () => certificate.close());
  if (plays("gateway") && settings.port !== 0) await (await httpServer.listen(settings, unready)).close(0);
  const sideServer = new NodeHttpServer({ clock, log, metrics }, { name: "metrics" });
  const sideAddress = settings.metricsPort === undefined ? undefined : { host: settings.host, port: settings.metricsPort, certificate };
  if (sideAddress !== undefined && sideAddress.port !== 0) await (await sideServer.listen(sideAddress, unready)).close(0);
  const engines = new Engines(settings, { clock, random, log, disk, metrics, undo });
  const haveMet = await engines.meetOthers(version);
  const directory = plays("storage")
    ? await openDataDirectory({ disk, clock, random }, settings.dataDirectory, settings.nodeId)
    : undefined;
  if (directory !== undefined) undo.push(() => directory.release());
  if (directory?.isNew) log.info({ nodeId: directory.nodeId, data: settings.dataDirectory }, "This is a new, empty store.");
  const nodeId = directory?.nodeId ?? settings.nodeId ?? `${settings.roles[0]}-${randomIdentity(random, 8)}`;

  const endMeasuring = measureProcess(metrics, { descriptors, load }, { version, nodeId, roles: rolesText(settings.roles) });
  undo.push(async () => endMeasuring());
  if (plays("storage")) metrics.begin("uploads", "storage");
  let isStarted = false;
  const readiness = new Readiness(clock);
  readiness.add(processQuestions(load, () => isStarted));
  if (sideAddress !== undefined) {
    const routes = [...metricsRoutes(metrics), ...healthRoutesOf(readiness)];
    const door = await openSideDoor({ clock, random, log, httpServer: sideServer }, { ...settings, routes }, sideAddress);
    undo.push(() => door.close(0));
    log.info({ url: `${door.url}/metrics` }, "The metrics of this process are served here.");
  }
  await engines.startLocalBus();
  const { isAlone } = engines;
  const inspected: Inspected = { spans: new SpanBook(clock, randomIdentity(random)), directories: [] };
  if (settings.otlp !== undefined) {
    const { exportSpans } = await import("../store/otlp-spans.ts");
    const roles = rolesText(settings.roles);
    endExport = exportSpans(inspected.spans, { clock, log }, { url: settings.otlp, nodeId, roles, version });
  }
  const stage: Stage = {
    clock,
    random,
    log,
    undo,
    nodeId,
    version,
    isAlone,
    load,
    readiness,
    metrics,
    inspected,
    connect: (role) => engines.connect(role, nodeId),
  };
  if (plays("tracker")) await playTracker(stage, { ...settings, database: await engines.openDatabase("tracker") });
  if (plays("ids")) await playIds(stage, { database: await engines.openDatabase("ids") });
  if (plays("catalog")) {
    const database = await engines.openDatabase<CatalogTables>("storage");
    await playCatalog(stage, { database, databaseKind: engines.databaseKind, cache: await engines.openCache() });
    await haveMet();
  }

  const nodes: ByteService[] = [];
  const connecting = { clock, timeoutMs: CONNECT_TIMEOUT_MS };
  const http = new NodeHttpClient({ connectionsPerHostMax: EXCHANGES_PER_NODE_MAX, connecting });
  undo.push(() => http.close());
  if (directory !== undefined) {
    const hasher = new BlakeHasher();
    undo.push(() => hasher.close());
    const tokens = new TokenMint(clock, random);
    // The node announces its data server's address when it joins, so it listens before; until the node has recovered it says so.
    let dataServer: HttpHandler = unready;
    const host = isAlone ? LOOPBACK : settings.host;
    const forGateways = new NodeHttpServer({ clock, log, load, metrics }, { slowestBody: SLOWEST_GATEWAY, name: "data" });
    const listener = await forGateways.listen({ host, port: settings.dataPort }, (request) => dataServer(request));
    undo.push(() => listener.close(DATA_SERVER_DRAIN_MS));
    const dataUrl = advertisedUrl(settings.advertise, listener);
    const node = await playStorage(stage, {
      ...settings,
      directory,
      disk,
      hasher,
      tokens,
      http,
      dataUrl,
      diskReserveBytes: DISK_RESERVE_BYTES,
      onNameLost: failed.resolve,
    });
    dataServer = createDataServer(node, tokens, { log, load, spans: inspected.spans });
    nodes.push(node);
  }

  let gatewayUrl: string | undefined;
  if (plays("gateway")) {
    const ranges = new NodeRangeClient({ connecting });
    undo.push(() => ranges.close());
    const gateway = await playGateway(stage, { ...settings, page: readPageFiles(), nodes, http, ranges, httpServer, certificate });
    gatewayUrl = settings.publicUrl ?? gateway.url;
  }
  await playInspector(stage, inspected, settings.roles as [Role, ...Role[]]);
  // What a start takes is nobody's load.
  load.start();
  undo.push(async () => load.stop());
  isStarted = true;
  const freeBytes = directory === undefined ? undefined : (await disk.space(settings.dataDirectory)).freeBytes;
  return { gatewayUrl, nodeId, freeBytes, observerUrl: engines.observerUrl, failed: failed.promise };
}

async function openCertificate(
  { tlsCertificate, tlsKey }: ServerSettings,
  ports: { readonly clock: SystemClock; readonly log: Log },
): Promise<CertificateFiles | undefined> {
  if (tlsCertificate === undefined || tlsKey === undefined) return undefined;
  return await CertificateFiles.open(ports, { certificate: tlsCertificate, key: tlsKey });
}

const LOOPBACK = "127.0.0.1";
const unready: HttpHandler = async () => ({ status: 503, headers: { "retry-after": "1" }, close: true });
