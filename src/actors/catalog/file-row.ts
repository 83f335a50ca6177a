/** Rows of files and blobs, and the records that are made of them. */
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { FileDigests } from "../../core/shapes.ts";
import type { FileRecord, LocatedFile } from "./contract.ts";
import { type CatalogQuery, type CatalogTransaction, FILE_TABLES, type FileTableName, fileTableOfShard } from "./tables.ts";

/** A file with what its blob says of the content. */
export interface FileRow {
  readonly file_id: Uint8Array;
  readonly owner: Uint8Array;
  readonly app: Uint8Array;
  readonly user: Uint8Array;
  readonly name: Uint8Array;
  readonly content_type: Uint8Array;
  readonly blob_id: bigint;
  readonly create_time: bigint;
  readonly update_time: bigint;
  readonly digest: Uint8Array;
  readonly size_bytes: bigint;
}

/** Files of one table, joined with what {@link FileRow} needs of their blobs. */
export function selectFiles(query: CatalogQuery, table: FileTableName) {
  return query
    .selectFrom(`${table} as f`)
    .innerJoin("t_blob as b", "b.blob_id", "f.blob_id")
    .select([
      "f.file_id",
      "f.owner",
      "f.app",
      "f.user",
      "f.name",
      "f.content_type",
      "f.blob_id",
      "f.create_time",
      "f.update_time",
      "b.digest",
      "b.size_bytes",
    ]);
}

/**
 * The table in which a file of the owner (without one, of any) is, if there is one. Otherwise any: no file costs the questions that somebody
 * else's costs, and neither has a row to answer with, which would take time.
 */
async function fileTableOf(query: CatalogQuery, fileId: string, owner: string | undefined): Promise<FileTableName> {
  const file_id = bytesOf(fileId);
  let select = query.selectFrom("t_file_id").select("shard").where("file_id", "=", file_id);
  if (owner !== undefined)
    select = select.where(({ or, exists, selectFrom }) =>
      or(
        FILE_TABLES.map((table) =>
          exists(selectFrom(`${table} as f`).select("f.file_id").where("f.file_id", "=", file_id).where("f.owner", "=", bytesOf(owner))),
        ),
      ),
    );
  const row = await select.executeTakeFirst();
  return row === undefined ? FILE_TABLES[0] : fileTableOfShard(safeInteger(row.shard));
}

/**
 * A file's row, locked, and the table that has it.
 * @throws {TroupeError} `FILE_NOT_FOUND`, also for a file of another owner than this one
 */
export async function lockFile(transaction: CatalogTransaction, fileId: string, owner: string | undefined) {
  const { query } = transaction;
  const table = await fileTableOf(query, fileId, owner);
  let select = query.selectFrom(table).selectAll().where("file_id", "=", bytesOf(fileId));
  if (owner !== undefined) select = select.where("owner", "=", bytesOf(owner));
  const row = await transaction.lock(select).executeTakeFirst();
  if (row === undefined) throw new TroupeError("FILE_NOT_FOUND");
  return { table, row };
}

/** One file with where its bytes are, of that owner or, with none, of any. */
export async function loadFile(query: CatalogQuery, fileId: string, owner?: string | undefined): Promise<LocatedFile | undefined> {
  const table = await fileTableOf(query, fileId, owner);
  let select = selectFiles(query, table).select(["b.group_name", "b.path"]).where("f.file_id", "=", bytesOf(fileId));
  if (owner !== undefined) select = select.where("f.owner", "=", bytesOf(owner));
  const row = await select.executeTakeFirst();
  if (row === undefined) return undefined;
  const digests = await loadDigests(query, [row]);
  return {
    ...fileRecordOf(row, digests),
    blob: {
      blobId: safeInteger(row.blob_id),
      path: row.path,
      group: textOf(row.group_name),
      nodeIds: await loadNodeIds(query, row.blob_id),
    },
  };
}

/** The nodes that hold a blob, by name. */
export async function loadNodeIds(query: CatalogQuery, blobId: bigint): Promise<string[]> {
  const rows = await query.selectFrom("t_replica").select("node_id").where("blob_id", "=", blobId).orderBy("node_id").execute();
  return rows.map((row) => textOf(row.node_id));
}

/** Digests of blobs, by blob ID. */
export async function loadDigests(
  query: CatalogQuery,
  blobs: readonly Pick<FileRow, "blob_id" | "digest">[],
): Promise<Map<bigint, FileDigests>> {
  const digests = new Map<bigint, FileDigests>(blobs.map((blob) => [blob.blob_id, { blake3: hexOf(blob.digest) }]));
  if (digests.size === 0) return digests;
  const rows = await query
    .selectFrom("t_digest")
    .selectAll()
    .where("blob_id", "in", [...digests.keys()])
    .execute();
  for (const row of rows) {
    const known = digests.get(row.blob_id);
    if (known !== undefined) known[row.algorithm] = hexOf(row.value);
  }
  return digests;
}

export function fileRecordOf(row: FileRow, digests: ReadonlyMap<bigint, FileDigests>): FileRecord {
  return {
    fileId: textOf(row.file_id),
    owner: textOf(row.owner),
    app: textOf(row.app),
    user: textOf(row.user),
    name: textOf(row.name),
    sizeBytes: safeInteger(row.size_bytes),
    contentType: textOf(row.content_type),
    digests: digests.get(row.blob_id) ?? { blake3: hexOf(row.digest) },
    createdMs: safeInteger(row.create_time),
    modifiedMs: safeInteger(row.update_time),
  };
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
