/**
 * The whole cast in this process over a real directory: what tests of uploads and blobs run on. Ports may be replaced, and the cast
 * stopped and started again on the same directory, as after a restart.
 */
import { join } from "node:path";
import { catalog } from "../../src/actors/catalog/contract.ts";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import type { IdsTables } from "../../src/actors/ids/tables.ts";
import type { StorageNode } from "../../src/actors/storage/actor.ts";
import { storage } from "../../src/actors/storage/contract.ts";
import { openDataDirectory } from "../../src/actors/storage/data-directory.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import { upload } from "../../src/actors/upload/contract.ts";
import {
  type Inspected,
  playCatalog,
  playIds,
  playInspector,
  playStorage,
  playTracker,
  type Stage,
  type StorageRole,
  type Undo,
} from "../../src/bin/cast.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { makeDurableDirectory } from "../../src/core/durable.ts";
import type { LoadWatch } from "../../src/core/load-watch.ts";
import { type Log, SILENT_LOG } from "../../src/core/log.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import type { Clock } from "../../src/core/ports/clock.ts";
import type { ChunkStored } from "../../src/core/ports/data-plane.ts";
import type { Database } from "../../src/core/ports/database.ts";
import type { Disk } from "../../src/core/ports/disk.ts";
import type { Exposition, Metrics } from "../../src/core/ports/metrics.ts";
import type { Random } from "../../src/core/ports/random.ts";
import { LOCAL_PRINCIPAL, type Principal } from "../../src/core/principal.ts";
import type { TusPlan } from "../../src/core/shapes.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import type { Readiness } from "../../src/gateway/readiness.ts";
import { GroupedSyncDisk } from "../../src/store/grouped-sync.ts";
import { MemoryCache } from "../../src/store/memory-cache.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { type DatabasePart, databaseName } from "../../src/store/sql/databases.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { openTestDatabase } from "./database.ts";
import { InlineHasher } from "./inline-hasher.ts";
import { NO_HTTP } from "./no-http.ts";
import { SeededRandom } from "./seeded-random.ts";

export interface TroupeOptions
  extends Partial<
    Pick<StorageRole, "idleExpiryMs" | "verifyAgeMs" | "deleteGraceMs" | "heartbeatMs" | "fileBytesMax" | "diskReserveBytes">
  > {
  readonly root: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly disk?: Disk;
  readonly log?: Log;
  /** A connection to another bus than the one inside this process. */
  readonly connect?: () => Promise<Bus>;
  readonly metrics?: Metrics & Exposition;
  readonly load?: LoadWatch;
  readonly readiness?: Readiness;
  /** Where everybody writes down what he does, for whoever looks into it. */
  readonly inspected?: Inspected;
  /** Stands between the catalog and its database. */
  readonly wrapStorageDatabase?: (database: Database<CatalogTables>) => Database<CatalogTables>;
}

export interface Troupe extends AsyncDisposable {
  readonly bus: Bus;
  readonly node: StorageNode;
  readonly clock: Clock;
  readonly tokens: TokenMint;
  readonly catalog: Client<typeof catalog>;
  readonly storage: Client<typeof storage>;
  upload(uploadId: string): Client<typeof upload>;
  /** Another connection to its bus. */
  connect(): Bus;
  /** Everything put away; the directory stays. */
  stop(): Promise<void>;
}

export async function startTroupe(options: TroupeOptions): Promise<Troupe> {
  const clock = options.clock ?? new SystemClock();
  const random = options.random ?? new SeededRandom(Number(process.hrtime.bigint() & 0xffffffffn));
  const log = options.log ?? SILENT_LOG;
  const disk = new GroupedSyncDisk(options.disk ?? new NodeDisk());
  const hasher = new InlineHasher(disk);
  const undo: Undo = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const directory = await openDataDirectory({ disk, clock, random }, options.root, undefined);
    undo.push(() => directory.release());
    const databaseFolder = join(options.root, "database");
    await makeDurableDirectory(disk, databaseFolder);
    const open = async <Tables>(part: DatabasePart) => {
      const database = await openTestDatabase<Tables>(part, { path: join(databaseFolder, `${databaseName(part)}.sqlite`), clock });
      undo.push(() => database.close());
      return database;
    };
    const storageDatabase = await open<CatalogTables>("storage");
    const databases = {
      tracker: await open<TrackerTables>("tracker"),
      ids: await open<IdsTables>("ids"),
      storage: options.wrapStorageDatabase?.(storageDatabase) ?? storageDatabase,
    };
    const medium = new LoopbackMedium({ clock, random });
    const tokens = new TokenMint(clock, random);
    const cache = new MemoryCache(clock);
    const stage: Stage = {
      clock,
      random,
      log,
      undo,
      nodeId: directory.nodeId,
      version: "0.0.0",
      isAlone: true,
      ...(options.metrics === undefined ? {} : { metrics: options.metrics }),
      load: options.load,
      readiness: options.readiness,
      ...(options.inspected === undefined ? {} : { inspected: options.inspected }),
      connect: options.connect ?? (async () => medium.connect()),
    };
    const heartbeatMs = options.heartbeatMs ?? 3_000;
    await playTracker(stage, { database: databases.tracker, heartbeatMs, offlineAfterMs: 10_000 });
    await playIds(stage, { database: databases.ids });
    await playCatalog(stage, { database: databases.storage, databaseKind: "sqlite", cache });
    const node = await playStorage(stage, {
      hasher,
      tokens,
      http: NO_HTTP,
      directory,
      group: "group001",
      zone: "zone1",
      verifyAgeMs: 3_600_000,
      deleteGraceMs: 60_000,
      diskReserveBytes: 0,
      fileBytesMax: 1024 ** 4,
      idleExpiryMs: 86_400_000,
      onNameLost: () => undefined,
      ...options,
      disk,
      heartbeatMs,
    });
    if (options.inspected !== undefined) await playInspector(stage, options.inspected, ["storage"]);
    const bus = await stage.connect("gateway");
    return {
      bus,
      node,
      clock,
      tokens,
      catalog: client(bus, catalog),
      storage: client(bus, storage, { nodeId: node.nodeId }),
      upload: (uploadId) => client(bus, upload, { uploadId }),
      connect: () => medium.connect(),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export const AS_LOCAL = { principal: LOCAL_PRINCIPAL };

export interface CreateWish {
  readonly name?: string;
  readonly sizeBytes?: number;
  readonly chunkBytes?: number;
  readonly digest?: { readonly algorithm: "blake3" | "sha256" | "sha1" | "md5"; readonly value: string };
  readonly tus?: TusPlan;
  readonly principal?: Principal;
}

export async function createUpload(troupe: Troupe, wish: CreateWish) {
  const { name = "film.mp4", principal = LOCAL_PRINCIPAL, ...rest } = wish;
  return await troupe.storage.createUpload(
    { app: "default", user: "default", name, contentType: "video/mp4", ...rest },
    { principal, timeoutMs: 60_000 },
  );
}

/** Sends one chunk in pieces of `pieceBytes`. */
export async function sendChunk(
  troupe: Troupe,
  uploadId: string,
  index: number,
  bytes: Uint8Array,
  options: { readonly pieceBytes?: number; readonly signal?: AbortSignal; readonly lengthBytes?: number } = {},
): Promise<ChunkStored> {
  return await troupe.node.storeChunk({
    uploadId,
    index,
    lengthBytes: options.lengthBytes,
    bytes: piecesOf(bytes, options.pieceBytes ?? 65_536),
    digests: [],
    signal: options.signal ?? new AbortController().signal,
  });
}

export async function* piecesOf(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) yield bytes.subarray(offset, offset + pieceBytes);
}

/** A whole file through one session. */
export async function uploadFile(troupe: Troupe, bytes: Uint8Array, wish: Omit<CreateWish, "sizeBytes"> = {}) {
  const created = await createUpload(troupe, { ...wish, sizeBytes: bytes.length });
  for (let index = 0; index * created.chunkBytes < bytes.length; index += 1) {
    await sendChunk(troupe, created.uploadId, index, bytes.subarray(index * created.chunkBytes, (index + 1) * created.chunkBytes));
  }
  const merged = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, { ...AS_LOCAL, timeoutMs: 60_000 });
  if (merged.file === undefined) throw new Error("a merge that is waited for answers with the file");
  return merged.file;
}

/** A file's bytes, whole or a range, through the catalog and the node. */
export async function readFile(
  troupe: Troupe,
  fileId: string,
  range?: { readonly offset: number; readonly lengthBytes: number },
): Promise<Buffer> {
  const { sizeBytes, blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  const wanted = range ?? { offset: 0, lengthBytes: sizeBytes };
  const pieces: Uint8Array[] = [];
  for await (const piece of await troupe.node.readBlob({ blobId: blob.blobId, path: blob.path, sizeBytes, ...wanted })) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Bytes that look random and are the same for the same seed. */
export function someBytes(count: number, seed = 1): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(count);
  let state = seed * 2_654_435_761 + 1;
  for (let index = 0; index + 4 <= count; index += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, index);
  }
  return bytes;
}
