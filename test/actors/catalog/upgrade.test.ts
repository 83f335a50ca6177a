/** A database that an older program has made and filled, opened by this one. */
import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { deleteFile } from "../../../src/actors/catalog/delete.ts";
import { checkFormat } from "../../../src/actors/catalog/format.ts";
import { instantUpload } from "../../../src/actors/catalog/known-commit.ts";
import { findOwnContent } from "../../../src/actors/catalog/known-content.ts";
import type { CatalogPorts } from "../../../src/actors/catalog/ports.ts";
import { type CatalogDatabase, type CatalogTables, fileTableOfUser } from "../../../src/actors/catalog/tables.ts";
import { listHostedUploads, showUpload } from "../../../src/actors/catalog/uploads.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { MemoryCache } from "../../../src/store/memory-cache.ts";
import { databaseName, migrationsDirectory } from "../../../src/store/sql/databases.ts";
import { openSqlite } from "../../../src/store/sql/sqlite-database.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { MariadbDatabases } from "../../support/mariadb.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { blobOf, contentOf } from "./rig.ts";

const ANN = { owner: "ann" };
const FILE_ID = `${"a".repeat(30)}000001`;
const PLAN = { app: "default", user: "default", name: "a.mp4", contentType: "video/mp4" };

/** What the first version has made of one file, and of one upload that goes on. */
async function fill(database: CatalogDatabase): Promise<void> {
  const { sizeBytes, digests } = contentOf("film");
  const { path } = blobOf(7);
  const file_id = bytesOf(FILE_ID);
  const { user, app, name, contentType } = PLAN;
  const labels = { owner: bytesOf("ann"), app: bytesOf(app), user: bytesOf(user), name: bytesOf(name), content_type: bytesOf(contentType) };
  const times = { create_time: 5, update_time: 5 };
  await database.transact(async ({ query }) => {
    await query
      .insertInto("t_blob")
      .values({
        blob_id: 7,
        digest: Uint8Array.from(Buffer.from(digests.blake3, "hex")),
        size_bytes: sizeBytes,
        live: 1,
        group_name: bytesOf("group001"),
        path,
        reference_count: 1,
        state: "live",
        generation: 1,
        ...times,
      })
      .execute();
    await query
      .insertInto("t_digest")
      .values({ algorithm: "md5", value: Uint8Array.from(Buffer.from(digests.md5, "hex")), blob_id: 7 })
      .execute();
    await query
      .insertInto("t_replica")
      .values({ blob_id: 7, node_id: bytesOf("n1"), verified_time: 5 })
      .execute();
    const table = fileTableOfUser(user);
    await query
      .insertInto("t_file_id")
      .values({ file_id, app: labels.app, user: labels.user, shard: Number(table.slice(-2)) })
      .execute();
    await query
      .insertInto(table)
      .values({ file_id, ...labels, blob_id: 7, ...times })
      .execute();
    await query
      .insertInto("t_upload")
      .values({
        upload_id: bytesOf("going-on"),
        file_id: bytesOf(`${"b".repeat(30)}000002`),
        ...labels,
        chunk_bytes: 65_536,
        host: bytesOf("n1"),
        group_name: bytesOf("group001"),
        epoch: 3,
        state: "receiving",
        since_time: 5,
        ...times,
      })
      .execute();
  });
}

async function firstMigration(folder: string): Promise<string> {
  const all = migrationsDirectory("storage");
  for (const name of await readdir(all)) if (name.startsWith("0001-")) await copyFile(join(all, name), join(folder, name));
  return folder;
}

interface Server extends AsyncDisposable {
  open(migrations: string): Promise<CatalogDatabase>;
}

const SERVERS: readonly (readonly [string, () => Promise<Server>])[] = [
  [
    "SQLite",
    async () => {
      const directory = await temporaryDirectory();
      const ports = { clock: new SystemClock(), random: new SeededRandom(1), log: SILENT_LOG };
      return {
        open: (migrations) => openSqlite<CatalogTables>({ path: join(directory.path, "x.sqlite"), migrations, ...ports }),
        [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
      };
    },
  ],
  [
    "MariaDB",
    async () => {
      const databases = await MariadbDatabases.open();
      return {
        open: (migrations) => databases.openNamed<CatalogTables>(databaseName("storage", databases.prefix), migrations),
        [Symbol.asyncDispose]: () => databases[Symbol.asyncDispose](),
      };
    },
  ],
];

describe.each(SERVERS)("a database of the first version on %s", (_, start) => {
  test("is brought up to date with its rows, whose content is found by its digest and referred to once more", async () => {
    await using folder = await temporaryDirectory();
    await using server = await start();
    const older = await server.open(await firstMigration(folder.path));
    await fill(older);
    await older.close();
    const database = await server.open(migrationsDirectory("storage"));
    try {
      await checkFormat(database);
      const clock = new SystemClock();
      const ports: CatalogPorts = { database, cache: new MemoryCache(clock), clock, log: SILENT_LOG, wake: () => {} };
      const { sizeBytes, digests } = contentOf("film");
      const digest = { algorithm: "md5", value: digests.md5 } as const;
      const { content } = await findOwnContent(ports, ANN, { digest, sizeBytes });
      expect(content).toMatchObject({ sizeBytes, blob: blobOf(7, ["n1"]) });
      const going = await showUpload(ports, ANN, "going-on");
      expect(going).toMatchObject({ state: "receiving", epoch: 3 });
      expect(going.tus).toBeUndefined();
      expect(await listHostedUploads(ports, ANN, { host: "n1", limit: 10 })).toEqual({ uploadIds: ["going-on"] });
      const wish = {
        ...PLAN,
        uploadId: "instant",
        fileId: `${"c".repeat(30)}000003`,
        chunkBytes: 65_536,
        createdMs: 6,
        host: "n1",
        group: "group001",
      };
      const { file } = await instantUpload(ports, ANN, { ...wish, sizeBytes, digest, blobId: 7 });
      expect(file).toMatchObject({ fileId: wish.fileId, digests: { md5: digests.md5 } });
      await deleteFile(ports, ANN, FILE_ID);
      const blobs = await database.read((query) => query.selectFrom("t_blob").select(["reference_count", "state"]).execute());
      expect(blobs).toEqual([{ reference_count: 1n, state: "live" }]);
    } finally {
      await database.close();
    }
  });
});
