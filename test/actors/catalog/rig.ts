/** A catalog on a loopback bus, over a real SQLite file, with the clock in the test's hand. */
import { join } from "node:path";
import { startCatalog } from "../../../src/actors/catalog/actor.ts";
import { catalog, type FileRecord, type LocatedFile } from "../../../src/actors/catalog/contract.ts";
import type { CatalogDatabase, CatalogTables, CatalogTransaction } from "../../../src/actors/catalog/tables.ts";
import { storage } from "../../../src/actors/storage/contract.ts";
import { type CallOptions, type Client, client } from "../../../src/bus/client.ts";
import { decodeBody, encodeBody } from "../../../src/bus/codec.ts";
import { requestSubject } from "../../../src/bus/contract.ts";
import { host } from "../../../src/bus/host.ts";
import { LoopbackBus } from "../../../src/bus/loopback.ts";
import { blobPath } from "../../../src/core/blob-path.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { BusMessage } from "../../../src/core/ports/bus.ts";
import type { Cache } from "../../../src/core/ports/cache.ts";
import { randomIdentity } from "../../../src/core/ports/random.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { openTestDatabase } from "../../support/database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

type Calls = Client<typeof catalog>;

export interface RetireRequest {
  readonly nodeId: string;
  readonly blobId: number;
  readonly path: string;
}

export interface RecordRequest extends RetireRequest {
  readonly file: FileRecord;
}

export interface RigOptions {
  /** Stands between the catalog and its database. */
  readonly around?: (database: CatalogDatabase) => CatalogDatabase;
  readonly aroundCache?: (cache: Cache) => Cache;
  /** Storage nodes that answer about retired blobs, and about further files of others. */
  readonly nodes?: readonly string[];
}

export class CatalogRig implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(11);
  readonly bus = new LoopbackBus({ clock: this.clock, random: this.random });
  readonly cache = new MemoryCache(this.clock);
  readonly events: { readonly subject: string; readonly body: unknown }[] = [];
  readonly retired: RetireRequest[] = [];
  readonly recorded: RecordRequest[] = [];
  /** What a node that hangs was asked. */
  readonly unanswered: (RetireRequest & { readonly atMs: number })[] = [];
  readonly database: CatalogDatabase;
  readonly #options: RigOptions;
  readonly #fileIds = new FileIdMaker(this.clock, this.random, "test");
  readonly #ends: (() => Promise<unknown>)[] = [];

  private constructor(database: CatalogDatabase, options: RigOptions) {
    this.database = database;
    this.#options = options;
  }

  static async open(options: RigOptions = {}): Promise<CatalogRig> {
    const directory = await temporaryDirectory();
    const rig = new CatalogRig(await openTestDatabase<CatalogTables>("storage", { path: join(directory.path, "storage.sqlite") }), options);
    rig.#ends.push(
      async () => directory[Symbol.asyncDispose](),
      () => rig.database.close(),
      () => rig.bus.drain(),
    );
    rig.bus.subscribe(
      "troupe.v1.evt.>",
      (message) =>
        void rig.events.push({ subject: message.subject, body: decodeBody(message.payload, { bytesMax: 65_536, itemsMax: 100 }) }),
    );
    for (const nodeId of options.nodes ?? ["n1", "n2"]) {
      rig.answerRetire(nodeId);
      rig.answerRecord(nodeId);
    }
    await rig.startCatalog();
    return rig;
  }

  async startCatalog(): Promise<{ stop(): Promise<void> }> {
    const { around = (database) => database, aroundCache = (cache) => cache } = this.#options;
    const ports = { clock: this.clock, random: this.random, log: SILENT_LOG };
    const options = { ...ports, database: around(this.database), cache: aroundCache(this.cache), bus: this.bus };
    const hosted = await host(this.bus, catalog, {}, ports, startCatalog(options));
    this.#ends.push(() => hosted.stop());
    return hosted;
  }

  /** The node hears what is retired, and says nothing. */
  hangRetire(nodeId: string): void {
    this.#hearRetire(nodeId, (request) => void this.unanswered.push({ ...request, atMs: this.clock.nowMs() }));
  }

  /** The node hears what is retired, and answers. */
  answerRetire(nodeId: string): void {
    this.#hearRetire(nodeId, (request, message) => {
      this.retired.push(request);
      if (message.reply !== undefined) this.bus.publish(message.reply, encodeBody({}, "msgpack"));
    });
  }

  /** The node writes down which files its blobs have. */
  answerRecord(nodeId: string): void {
    this.bus.subscribe(requestSubject(storage, { nodeId }, "recordFile"), (message) => {
      this.recorded.push({
        nodeId,
        ...(decodeBody(message.payload, { bytesMax: 65_536, itemsMax: 100 }) as Omit<RecordRequest, "nodeId">),
      });
      if (message.reply !== undefined) this.bus.publish(message.reply, encodeBody({}, "msgpack"));
    });
  }

  #hearRetire(nodeId: string, hear: (request: RetireRequest, message: BusMessage) => void): void {
    this.bus.subscribe(requestSubject(storage, { nodeId }, "retireBlob"), (message) =>
      hear({ nodeId, ...(decodeBody(message.payload, { bytesMax: 65_536, itemsMax: 100 }) as { blobId: number; path: string }) }, message),
    );
  }

  /** The catalog as `owner` sees it; the system unless given. */
  as(owner?: string): Calls {
    const calls = client(this.bus, catalog);
    if (owner === undefined) return calls;
    const verbs = Object.entries(calls).map(([verb, call]) => [
      verb,
      (input: never, options: CallOptions = {}) => call(input, { principal: { owner }, ...options }),
    ]);
    return Object.fromEntries(verbs) as Calls;
  }

  plan(name: string, more: Partial<Parameters<Calls["registerUpload"]>[0]> = {}) {
    return {
      uploadId: randomIdentity(this.random),
      fileId: this.#fileIds.next("default"),
      app: "default",
      user: "default",
      name,
      contentType: "video/mp4",
      chunkBytes: 65_536,
      createdMs: this.clock.wallMs(),
      host: "n1",
      group: "group001",
      ...more,
    };
  }

  /** A whole upload; `content` stands for the bytes. */
  async upload(
    owner: string,
    name: string,
    content: string,
    blobId: number,
    more: Partial<Parameters<Calls["registerUpload"]>[0]> = {},
  ): Promise<{ file: LocatedFile; isDuplicate: boolean }> {
    const plan = this.plan(name, more);
    const { uploadId, epoch } = await this.as(owner).registerUpload(plan);
    return this.as(owner).commitFile({ uploadId, epoch, ...contentOf(content), blob: blobOf(blobId) });
  }

  /** Every row of every table, for comparing before with after. */
  async everything(): Promise<Record<string, unknown[]>> {
    return this.database.transact(async ({ query }) => {
      const rows: Record<string, unknown[]> = {};
      for (const table of [
        "t_file_01",
        "t_file_02",
        "t_file_03",
        "t_file_id",
        "t_blob",
        "t_digest",
        "t_replica",
        "t_upload",
        "t_operation",
        "t_outbox",
      ] as const) {
        rows[table] = await query.selectFrom(table).selectAll().execute();
      }
      return rows;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }
}

/** Digests made of the name of a content. */
export function contentOf(content: string) {
  const hex = Buffer.from(content).toString("hex").padEnd(64, "0").slice(0, 64);
  return { sizeBytes: content.length * 1000, digests: { blake3: hex, sha256: `${hex.slice(1)}f`, md5: hex.slice(0, 32) } };
}

export function blobOf(blobId: number, nodeIds: string[] = ["n1", "n2"]) {
  return { blobId, path: blobPath(blobId, 1_700_000_000), group: "group001", nodeIds };
}

/** Fails at the `failAt`-th query of every transaction; `queryCount` counts those of the last one. */
export class FaultyDatabase implements CatalogDatabase {
  readonly #real: CatalogDatabase;
  failAt = Number.POSITIVE_INFINITY;
  queryCount = 0;

  constructor(real: CatalogDatabase) {
    this.#real = real;
  }

  transact<T>(work: (transaction: CatalogTransaction) => Promise<T>): Promise<T> {
    return this.#real.transact((transaction) => {
      this.queryCount = 0;
      const count = (): void => {
        this.queryCount += 1;
        if (this.queryCount === this.failAt) throw new TroupeError("DATABASE_UNAVAILABLE", "The connection was lost.");
      };
      const counting: CatalogTransaction = {
        query: transaction.query.withPlugin({
          transformQuery: ({ node }) => {
            count();
            return node;
          },
          transformResult: async ({ result }) => result,
        }),
        insertIfAbsent: async (table, row) => {
          count();
          return transaction.insertIfAbsent(table, row);
        },
        lock: (query) => transaction.lock(query),
        claim: (query) => transaction.claim(query),
      };
      return work(counting);
    });
  }

  read: CatalogDatabase["read"] = (work) => this.#real.read(work);

  close(): Promise<void> {
    return this.#real.close();
  }
}
