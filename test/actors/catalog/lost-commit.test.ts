/** A catalog whose connection to the database is lost during COMMIT, on MariaDB: the same request again gives the one answer. */
import { describe, expect, test } from "vitest";
import { commitFile } from "../../../src/actors/catalog/commit.ts";
import { deleteFile } from "../../../src/actors/catalog/delete.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import type { CatalogDatabase, CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { endUpload, registerUpload } from "../../../src/actors/catalog/uploads.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { randomIdentity } from "../../../src/core/ports/random.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { type CommitFate, CuttingProxy } from "../../support/cutting-proxy.ts";
import { lockWaitOr, MariadbDatabases } from "../../support/mariadb.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { blobOf, contentOf } from "./rig.ts";

const ANN = { owner: "ann" };
const FATES: readonly CommitFate[] = ["lost", "done", "pending"];
const OUTCOME_UNKNOWN = { code: "DATABASE_UNAVAILABLE", facts: { outcomeUnknown: true } };
const clock = new SystemClock();
const random = new SeededRandom(5);
const fileIds = new FileIdMaker(clock, random, "test");

class Rig implements AsyncDisposable {
  readonly #databases: MariadbDatabases;
  readonly #proxy: CuttingProxy;
  readonly ports: CatalogPorts;

  private constructor(databases: MariadbDatabases, proxy: CuttingProxy, database: CatalogDatabase) {
    this.#databases = databases;
    this.#proxy = proxy;
    this.ports = { database, cache: new MemoryCache(clock), clock, log: SILENT_LOG, wake: () => {} };
  }

  static async open(): Promise<Rig> {
    const databases = await MariadbDatabases.open();
    const proxy = await CuttingProxy.before(databases.url);
    return new Rig(databases, proxy, await databases.openPart<CatalogTables>("storage", { url: proxy.url }));
  }

  fateOfNextCommit(fate: CommitFate): void {
    this.#proxy.fateOfCommits(fate);
  }

  /** A commit that is pending reaches the server when the request that was repeated waits for it. */
  async deliverToWaiting<T>(repeated: Promise<T>): Promise<T> {
    await lockWaitOr(this.#databases, repeated);
    this.#proxy.deliver();
    return repeated;
  }

  /** What a request that meets this fate answers the second time. */
  async twice<T>(fate: CommitFate, request: () => Promise<T>): Promise<T> {
    this.fateOfNextCommit(fate);
    await expect(request()).rejects.toMatchObject(OUTCOME_UNKNOWN);
    return this.deliverToWaiting(request());
  }

  async count(table: "t_file_id" | "t_blob" | "t_upload" | "t_operation" | "t_outbox"): Promise<number> {
    return (await this.ports.database.read((query) => query.selectFrom(table).selectAll().execute())).length;
  }

  plan() {
    const uploadId = randomIdentity(random);
    return {
      uploadId,
      fileId: fileIds.next("default"),
      app: "default",
      user: "default",
      name: "a.mp4",
      contentType: "video/mp4",
      chunkBytes: 65_536,
      createdMs: 1,
      host: "n1",
      group: "group001",
      operation: { key: uploadId, requestDigest: "ab".repeat(32) },
    };
  }

  async upload() {
    const { uploadId, epoch } = await registerUpload(this.ports, ANN, this.plan());
    return { uploadId, epoch };
  }

  commitOf(upload: { readonly uploadId: string; readonly epoch: number }) {
    return commitFile(this.ports, ANN, { ...upload, ...contentOf("x"), blob: blobOf(1) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ports.database.close();
    await this.#proxy[Symbol.asyncDispose]();
    await this.#databases[Symbol.asyncDispose]();
  }
}

describe.each(FATES)("a connection lost during COMMIT, which is %s", (fate) => {
  test("F15: a commit asked for again makes one file, and answers as ever", async () => {
    await using rig = await Rig.open();
    const upload = await rig.upload();
    const result = await rig.twice(fate, () => rig.commitOf(upload));
    expect(result).toMatchObject({ file: { name: "a.mp4", owner: "ann" }, isDuplicate: false });
    expect(await rig.commitOf(upload)).toEqual(result);
    expect([await rig.count("t_file_id"), await rig.count("t_blob"), await rig.count("t_outbox")]).toEqual([1, 1, 1]);
    const blobs = await rig.ports.database.read((query) => query.selectFrom("t_blob").select("reference_count").execute());
    expect(blobs).toEqual([{ reference_count: 1n }]);
  });

  test("F15: a registration asked for again is one upload under one key", async () => {
    await using rig = await Rig.open();
    const plan = rig.plan();
    const answer = await rig.twice(fate, () => registerUpload(rig.ports, ANN, plan));
    expect(answer).toEqual({ uploadId: plan.uploadId, epoch: 1, isNew: true });
    expect([await rig.count("t_upload"), await rig.count("t_operation")]).toEqual([1, 1]);
  });

  test("F15: an ending asked for again ends once", async () => {
    await using rig = await Rig.open();
    const upload = await rig.upload();
    const end = () => endUpload(rig.ports, ANN, { ...upload, state: "cancelled", isForgotten: false });
    expect(await rig.twice(fate, end)).toEqual({});
    await expect(rig.commitOf(upload)).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
  });

  test("F15: a delete learns by itself what has become of it, and does it once", async () => {
    await using rig = await Rig.open();
    const { file } = await rig.commitOf(await rig.upload());
    rig.fateOfNextCommit(fate);
    expect(await rig.deliverToWaiting(deleteFile(rig.ports, ANN, file.fileId))).toEqual({});
    expect(await rig.count("t_file_id")).toBe(0);
    // Created, deleted, and the blob's end.
    expect(await rig.count("t_outbox")).toBe(3);
    await expect(deleteFile(rig.ports, ANN, file.fileId)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });
});
