/**
 * Listings of uploads, newest first: all, those in a state, those that are searched for.
 *
 * L1: a search reads {@link UPLOAD_SEARCH_ROWS} rows at most for a page. A page may be short or empty and have a cursor nevertheless, from which
 *     the search goes on.
 */
import { type SelectQueryBuilder, sql } from "kysely";
import type { ReceivedOf } from "../../bus/contract.ts";
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { isIdentity } from "../../core/identity.ts";
import { UPLOAD_SEARCH_ROWS } from "../../core/limits.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { catalog, UploadRecord } from "./contract.ts";
import { decodeCursor, encodeCursor, pageOf } from "./paging.ts";
import { type CatalogPorts, listedOwner } from "./ports.ts";
import { type CatalogTables, KEPT_UPLOAD_STATES } from "./tables.ts";
import { type UploadRow, uploadRecordOf } from "./upload-row.ts";

type Wanted = ReceivedOf<typeof catalog, "uploads">;
type UploadQuery = SelectQueryBuilder<CatalogTables, "t_upload", Record<never, never>>;
interface UploadPage {
  readonly uploads: UploadRecord[];
  readonly cursor?: string;
}

/** @throws {TroupeError} `BAD_CURSOR` */
export async function listUploads(ports: CatalogPorts, principal: Principal, wanted: Wanted): Promise<UploadPage> {
  const after = wanted.cursor === undefined ? undefined : decodeCursor(wanted.cursor);
  const owner = listedOwner(principal);
  // States on the way are the journals': no row here is in one of them but `receiving`, which stands for all.
  const state = KEPT_UPLOAD_STATES.find((kept) => kept === wanted.state);
  if (wanted.state !== undefined && state === undefined) return { uploads: [] };
  const narrowed = (select: UploadQuery): UploadQuery => {
    let narrow = select;
    if (owner !== undefined) narrow = narrow.where("owner", "=", bytesOf(owner));
    if (state !== undefined) narrow = narrow.where("state", "=", state);
    return narrow;
  };
  const listed = (select: UploadQuery): UploadQuery => {
    const newest = narrowed(select).orderBy("create_time", "desc").orderBy("upload_id", "desc");
    if (after === undefined) return newest;
    const timeMs = BigInt(after.timeMs);
    return newest
      .where("create_time", "<=", timeMs)
      .where((where) => where.or([where("create_time", "<", timeMs), where("upload_id", "<", bytesOf(after.id))]));
  };
  const { search, limit } = wanted;
  if (search === undefined)
    return pageOfRows(
      await ports.database.read((query) =>
        listed(query.selectFrom("t_upload"))
          .selectAll()
          .limit(limit + 1)
          .execute(),
      ),
      limit,
    );
  return await ports.database.read(async (query) => {
    // The one of this ID, wherever it is in the list.
    if (after === undefined && isIdentity(search)) {
      const found = await narrowed(query.selectFrom("t_upload")).selectAll().where("upload_id", "=", bytesOf(search)).execute();
      if (found.length > 0) return pageOfRows(found, limit);
    }
    // L1
    const last = await listed(query.selectFrom("t_upload"))
      .select(["create_time", "upload_id"])
      .limit(1)
      .offset(UPLOAD_SEARCH_ROWS - 1)
      .executeTakeFirst();
    const rows = await query
      .selectFrom(listed(query.selectFrom("t_upload")).selectAll().limit(UPLOAD_SEARCH_ROWS).as("newest"))
      .selectAll()
      // Names are bytes: as text, capitals are the same as small letters.
      .where(sql<boolean>`instr(lower(cast(name as char)), lower(${search})) > 0`)
      .orderBy("create_time", "desc")
      .orderBy("upload_id", "desc")
      .limit(limit + 1)
      .execute();
    const page = pageOfRows(rows, limit);
    if (page.cursor !== undefined || last === undefined) return page;
    return { ...page, cursor: encodeCursor({ timeMs: safeInteger(last.create_time), id: textOf(last.upload_id) }) };
  });
}

function pageOfRows(rows: readonly UploadRow[], limit: number): UploadPage {
  const { items, cursor } = pageOf(rows.map(uploadRecordOf), limit, (upload) => ({ timeMs: upload.createdMs, id: upload.uploadId }));
  return cursor === undefined ? { uploads: items } : { uploads: items, cursor };
}
