/** Rows of uploads, and the records that are made of them. */

import type { Selectable } from "kysely";
import { z } from "zod";
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { lastError, tusPlan } from "../../core/shapes.ts";
import { locatedFile, type UploadRecord } from "./contract.ts";
import { hexOf } from "./file-row.ts";
import { readJson } from "./json-column.ts";
import { listedOwner } from "./ports.ts";
import type { CatalogQuery, CatalogTransaction, UploadTable } from "./tables.ts";

export type UploadRow = Selectable<UploadTable>;

/** A commit's answer as it was first given, kept with the upload. */
export const commitResult = z.object({
  file: locatedFile,
  isDuplicate: z.boolean(),
  /** The upload was a file from its creation on: no session ever was. */
  isInstant: z.boolean().optional(),
});
export type CommitResult = z.output<typeof commitResult>;

/** @throws {TroupeError} `UPLOAD_NOT_FOUND`, also for an upload of somebody else */
export async function lockUpload(transaction: CatalogTransaction, principal: Principal, uploadId: string): Promise<UploadRow> {
  return found(await transaction.lock(selectUpload(transaction.query, principal, uploadId)).executeTakeFirst());
}

/** The same, as it is now. @throws {TroupeError} `UPLOAD_NOT_FOUND` */
export async function loadUpload(query: CatalogQuery, principal: Principal, uploadId: string): Promise<UploadRow> {
  return found(await selectUpload(query, principal, uploadId).executeTakeFirst());
}

/** Of somebody else's no row comes back: reading one would take time that tells it from none. */
function selectUpload(query: CatalogQuery, principal: Principal, uploadId: string) {
  const select = query.selectFrom("t_upload").selectAll().where("upload_id", "=", bytesOf(uploadId));
  const owner = listedOwner(principal);
  return owner === undefined ? select : select.where("owner", "=", bytesOf(owner));
}

function found(row: UploadRow | undefined): UploadRow {
  if (row === undefined) throw new TroupeError("UPLOAD_NOT_FOUND");
  return row;
}

/** @throws {TroupeError} `EPOCH_STALE` when another host has the upload, or had it when it ended */
export function checkEpoch(row: UploadRow, epoch: number): void {
  if (row.epoch !== BigInt(epoch)) throw new TroupeError("EPOCH_STALE", `The upload is in epoch ${row.epoch}, not ${epoch}.`);
}

export function uploadRecordOf(row: UploadRow): UploadRecord {
  const { digest_algorithm: algorithm, digest_value: value } = row;
  const file = row.result === null ? undefined : readJson(commitResult, row.result).file;
  const sizeBytes = row.size_bytes === null ? file?.sizeBytes : safeInteger(row.size_bytes);
  return {
    uploadId: textOf(row.upload_id),
    fileId: textOf(row.file_id),
    owner: textOf(row.owner),
    app: textOf(row.app),
    user: textOf(row.user),
    name: textOf(row.name),
    contentType: textOf(row.content_type),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    chunkBytes: safeInteger(row.chunk_bytes),
    ...(algorithm === null || value === null ? {} : { digest: { algorithm, value: hexOf(value) } }),
    ...(row.tus === null ? {} : { tus: readJson(tusPlan, row.tus) }),
    createdMs: safeInteger(row.create_time),
    host: textOf(row.host),
    group: textOf(row.group_name),
    epoch: safeInteger(row.epoch),
    state: row.state,
    sinceMs: safeInteger(row.since_time),
    ...(row.last_error === null ? {} : { lastError: readJson(lastError, row.last_error) }),
    ...(file === undefined ? {} : { digests: file.digests }),
  };
}
