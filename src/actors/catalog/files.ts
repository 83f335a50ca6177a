/** An owner's files: listed and renamed. */
import { bytesOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { CACHE_TOMBSTONE_MS } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import type { FileRecord } from "./contract.ts";
import { type FileRow, fileRecordOf, loadDigests, loadFile, lockFile, selectFiles } from "./file-row.ts";
import { fileKey } from "./lookup.ts";
import { enqueue, fileEvent } from "./outbox.ts";
import { byNewest, decodeCursor, type Position, pageOf } from "./paging.ts";
import { type CatalogPorts, listedOwner } from "./ports.ts";
import { type CatalogQuery, type CatalogTransaction, FILE_TABLES, type FileTableName, fileTableOfUser } from "./tables.ts";

export interface FilesWanted {
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  readonly prefix?: string | undefined;
  readonly cursor?: string | undefined;
  readonly limit: number;
}

/** @throws {TroupeError} `BAD_CURSOR` */
export async function listFiles(
  ports: CatalogPorts,
  principal: Principal,
  wanted: FilesWanted,
): Promise<{ files: FileRecord[]; cursor?: string }> {
  const after = wanted.cursor === undefined ? undefined : decodeCursor(wanted.cursor);
  // The files of one owner may carry several users, and those decide the table.
  const tables = wanted.user === undefined ? FILE_TABLES : [fileTableOfUser(wanted.user)];
  const records = await ports.database.read(async (query) => {
    const rows: FileRow[] = [];
    for (const table of tables) rows.push(...(await selectPage(query, table, listedOwner(principal), wanted, after)));
    const digests = await loadDigests(query, rows);
    return rows.map((row) => fileRecordOf(row, digests)).sort((a, b) => byNewest(positionOf(a), positionOf(b)));
  });
  const { items, cursor } = pageOf(records, wanted.limit, positionOf);
  return cursor === undefined ? { files: items } : { files: items, cursor };
}

/** @throws {TroupeError} `FILE_NOT_FOUND`, `NAME_TAKEN` */
export async function renameFile(
  ports: CatalogPorts,
  principal: Principal,
  input: { readonly fileId: string; readonly name: string },
): Promise<FileRecord> {
  const nowMs = ports.clock.wallMs();
  const file = await ports.database.transact(async (transaction) => {
    const { table, row } = await lockFile(transaction, input.fileId, listedOwner(principal));
    const name = bytesOf(input.name);
    await transaction.query.updateTable(table).set({ name, update_time: nowMs }).where("file_id", "=", row.file_id).execute();
    if (Buffer.compare(row.name, name) !== 0) await refuseTaken(transaction, table, { ...row, name });
    const renamed = await loadFile(transaction.query, input.fileId);
    if (renamed === undefined) throw new TroupeError("FILE_NOT_FOUND");
    await enqueue(transaction, nowMs, [fileEvent("renamed", renamed, nowMs)]);
    return renamed;
  });
  await ports.cache.tombstone(fileKey(input.fileId), CACHE_TOMBSTONE_MS);
  ports.wake("event");
  const { blob: _, ...record } = file;
  return record;
}

/**
 * Asked under a lock when the own row has its new name: of two files renamed to one name at once, each meets the other's row, and
 * the server lets one go on and begins the other again. An upload that becomes a file meanwhile is a newer version, as always.
 * @throws {TroupeError} `NAME_TAKEN`
 */
async function refuseTaken(
  transaction: CatalogTransaction,
  table: FileTableName,
  { file_id, owner, user, name }: Pick<FileRow, "file_id" | "owner" | "user" | "name">,
): Promise<void> {
  const others = transaction.query
    .selectFrom(table)
    .select("file_id")
    .where("owner", "=", owner)
    .where("user", "=", user)
    .where("name", "=", name)
    .where("file_id", "!=", file_id)
    .limit(1);
  if ((await transaction.lock(others).executeTakeFirst()) !== undefined) throw new TroupeError("NAME_TAKEN");
}

/** One row more than asked, to know whether there is another page. */
async function selectPage(
  query: CatalogQuery,
  table: FileTableName,
  owner: string | undefined,
  wanted: FilesWanted,
  after: Position | undefined,
): Promise<FileRow[]> {
  let select = selectFiles(query, table)
    .orderBy("f.create_time", "desc")
    .orderBy("f.file_id", "desc")
    .limit(wanted.limit + 1);
  if (owner !== undefined) select = select.where("f.owner", "=", bytesOf(owner));
  if (wanted.app !== undefined) select = select.where("f.app", "=", bytesOf(wanted.app));
  if (wanted.user !== undefined) select = select.where("f.user", "=", bytesOf(wanted.user));
  if (wanted.prefix !== undefined && wanted.prefix !== "") {
    const prefix = bytesOf(wanted.prefix);
    select = select.where("f.name", ">=", prefix).where("f.name", "<", successorOf(prefix));
  }
  if (after !== undefined) {
    const timeMs = BigInt(after.timeMs);
    select = select
      .where("f.create_time", "<=", timeMs)
      .where((where) => where.or([where("f.create_time", "<", timeMs), where("f.file_id", "<", bytesOf(after.id))]));
  }
  return select.execute();
}

/** The first byte string after all that begin with `prefix`. No byte of UTF-8 is 0xff, so the last one can always grow. */
function successorOf(prefix: Uint8Array): Uint8Array {
  const successor = Uint8Array.from(prefix);
  successor[successor.length - 1] = (successor.at(-1) as number) + 1;
  return successor;
}

function positionOf(file: FileRecord): Position {
  return { timeMs: file.createdMs, id: file.fileId };
}
