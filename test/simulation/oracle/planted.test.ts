/** A store with files in it, and something wrong planted in its database or on its disk: each rule finds what breaks it. */

import { readFileSync } from "node:fs";
import { cp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";
import { until } from "../../support/until.ts";
import type { Breach, Rows } from "./breach.ts";
import { catalogBreaches } from "./catalog-rows.ts";
import { type NodeFiles, storedBlobBreaches } from "./stored-blobs.ts";
import { unfinishedWork } from "./unfinished-work.ts";

type Directory = Awaited<ReturnType<typeof temporaryDirectory>>;
let healthy: Directory;
let nodeId: string;
/** A copy of the healthy one. */
let directory: Directory;
let database: DatabaseSync;
let rows: Rows;

beforeAll(async () => {
  healthy = await temporaryDirectory();
  directory = healthy;
  const troupe = await startTroupe({ root: healthy.path, deleteGraceMs: 1 });
  nodeId = troupe.node.nodeId;
  const film = someBytes(200_000, 1);
  await uploadFile(troupe, film, { name: "film" });
  await uploadFile(troupe, film, { name: "the film again" });
  await uploadFile(troupe, someBytes(70_000, 2), { name: "song", digest: { algorithm: "sha1", value: await sha1(someBytes(70_000, 2)) } });
  const gone = await uploadFile(troupe, someBytes(10, 3), { name: "gone" });
  await troupe.catalog.deleteFile({ fileId: gone.fileId }, AS_LOCAL);
  openDatabase();
  await until(
    async () => [...unfinishedWork(rows), ...storedBlobBreaches(rows, [await node()])],
    (breaches) => breaches.length === 0,
  );
  database.close();
  await troupe.stop();
});

beforeEach(async () => {
  directory = await temporaryDirectory();
  await cp(healthy.path, directory.path, { recursive: true });
  openDatabase();
});

afterEach(async () => {
  database.close();
  await directory[Symbol.asyncDispose]();
});

afterAll(() => healthy[Symbol.asyncDispose]());

function openDatabase(): void {
  database = new DatabaseSync(join(directory.path, "database", "troupe_storage.sqlite"), { timeout: 1_000 });
  rows = (sql) => database.prepare(sql).all();
}

async function sha1(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await crypto.subtle.digest("SHA-1", Uint8Array.from(bytes))).toString("hex");
}

/** Of the data directory, without the embedded databases and the lock. */
async function node(): Promise<NodeFiles> {
  const files = new Map<string, number>();
  for (const entry of await readdir(directory.path, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || path.startsWith(join(directory.path, "database"))) continue;
    // Something may have gone since it was listed.
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) files.set(path, found.size);
  }
  files.delete(join(directory.path, "owner.lock"));
  return { nodeId, root: directory.path, files, read: (path) => readFileSync(path) };
}

const rulesOf = (breaches: readonly Breach[]): string[] => breaches.map(({ rule }) => rule);
const pathOfBlob = (name: string): string => {
  const [row] = rows(`SELECT b.path FROM t_blob b JOIN t_file_01 f ON f.blob_id = b.blob_id WHERE CAST(f.name AS TEXT) = '${name}'
    UNION SELECT b.path FROM t_blob b JOIN t_file_02 f ON f.blob_id = b.blob_id WHERE CAST(f.name AS TEXT) = '${name}'
    UNION SELECT b.path FROM t_blob b JOIN t_file_03 f ON f.blob_id = b.blob_id WHERE CAST(f.name AS TEXT) = '${name}'`);
  return join(directory.path, "blobs", String(row?.["path"]));
};
const fileTable = (): string =>
  ["t_file_01", "t_file_02", "t_file_03"].find((table) => rows(`SELECT 1 FROM ${table}`).length > 0) ?? "t_file_01";

test("a healthy store breaks no rule", async () => {
  expect(catalogBreaches(rows)).toEqual([]);
  expect(unfinishedWork(rows)).toEqual([]);
  expect(storedBlobBreaches(rows, [await node()])).toEqual([]);
});

const PLANTED: readonly (readonly [rule: string, sql: () => string])[] = [
  ["references-are-rows", () => "UPDATE t_blob SET reference_count = reference_count + 1 WHERE reference_count = 2"],
  ["blob-state", () => "UPDATE t_blob SET live = NULL WHERE reference_count = 1"],
  ["file-without-blob", () => "DELETE FROM t_blob WHERE reference_count = 1"],
  ["file-without-id", () => "UPDATE t_file_id SET shard = shard % 3 + 1"],
  ["id-without-file", () => `DELETE FROM ${fileTable()}`],
  ["file-without-upload", () => "DELETE FROM t_upload WHERE CAST(name AS TEXT) = 'song'"],
  ["file-of-two-uploads", () => "UPDATE t_upload SET file_id = (SELECT min(file_id) FROM t_upload)"],
  ["upload-end", () => "UPDATE t_upload SET ended_time = NULL WHERE CAST(name AS TEXT) = 'song'"],
  ["upload-of-other-file", () => "UPDATE t_upload SET result = (SELECT result FROM t_upload WHERE CAST(name AS TEXT) = 'song')"],
  ["digest-of-retired", () => "INSERT INTO t_digest SELECT 'md5', x'00', blob_id FROM t_blob WHERE live IS NULL"],
  ["blob-without-holder", () => "DELETE FROM t_replica"],
  ["retirement-forgotten", () => "INSERT INTO t_replica SELECT blob_id, CAST('n' AS BLOB), 0 FROM t_blob WHERE live IS NULL"],
  ["key-without-upload", () => "INSERT INTO t_operation VALUES (x'00', x'00', x'00', x'00', 0)"],
];

for (const [rule, sql] of PLANTED) {
  test(`${rule} is found in the rows`, () => {
    database.exec(sql());
    expect(rulesOf(catalogBreaches(rows))).toContain(rule);
  });
}

test("work that was not done is found in the rows", () => {
  database.exec("INSERT INTO t_outbox (kind, payload, attempt_count, due_time, create_time) VALUES ('event', CAST('{}' AS BLOB), 3, 0, 0)");
  database.exec("UPDATE t_upload SET ended_time = NULL WHERE CAST(name AS TEXT) = 'song'");
  expect(rulesOf(unfinishedWork(rows))).toEqual(["outbox-not-empty", "upload-never-ends"]);
});

const MISLAID: readonly (readonly [rule: string, what: string, plant: () => Promise<void>])[] = [
  ["blob-missing", "a blob without its data", () => rm(pathOfBlob("song"))],
  ["blob-missing", "a blob that is too short", async () => writeFile(pathOfBlob("song"), "short")],
  ["leaves-missing", "a blob without its leaf digests", () => rm(`${pathOfBlob("song")}.leaves`)],
  ["record-missing", "a blob without its record", () => rm(`${pathOfBlob("song")}.record`)],
  ["record-incomplete", "a record that does not name a file", () => shortenRecord(`${pathOfBlob("film")}.record`)],
  ["orphan", "a blob that nobody knows", () => writeFile(join(directory.path, "blobs", "stray"), "")],
  ["orphan", "leaf digests of no blob", () => writeFile(`${pathOfBlob("song")}0.leaves`, "")],
  ["temporary-file", "a mending that broke off", () => writeFile(`${pathOfBlob("song")}.mending`, "")],
  ["temporary-file", "a marker that was being written", () => writeFile(join(directory.path, "marker.json.new"), "")],
  ["retired-left", "a mark of a blob that has gone", () => writeFile(join(directory.path, "retired", "7"), "")],
];

for (const [rule, what, plant] of MISLAID) {
  test(`${rule} is found on the disk: ${what}`, async () => {
    await plant();
    expect(rulesOf(storedBlobBreaches(rows, [await node()]))).toEqual([rule]);
  });
}

test("upload-left is found on the disk, and not of an upload that is open", async () => {
  const troupe = await startTroupe({ root: directory.path });
  await createUpload(troupe, { sizeBytes: 5 });
  await troupe.stop();
  expect(storedBlobBreaches(rows, [await node()])).toEqual([]);
  expect(rulesOf(storedBlobBreaches(rows, [{ ...(await node()), nodeId: "another" }]))).toContain("upload-left");
  database.exec("UPDATE t_upload SET ended_time = 1");
  expect(rulesOf(storedBlobBreaches(rows, [await node()]))).toEqual(["upload-left", "upload-left"]);
});

/** The record without its last file, as if nobody had ever added it. */
async function shortenRecord(path: string): Promise<void> {
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  await writeFile(path, `${lines.slice(0, -1).join("\n")}\n`);
}
