/** Who hosts which upload, in which epoch, and how it ended. Which chunks have arrived is the host's journal's alone. */
import type { ReceivedOf } from "../../bus/contract.ts";
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { catalog, UploadRecord } from "./contract.ts";
import { bytesOfHex } from "./file-row.ts";
import { jsonBytes } from "./json-column.ts";
import { claimOperation, findOperation } from "./operation.ts";
import { type CatalogPorts, listedOwner } from "./ports.ts";
import type { CatalogTransaction } from "./tables.ts";
import { checkEpoch, loadUpload, lockUpload, type UploadRow, uploadRecordOf } from "./upload-row.ts";

type Registration = ReceivedOf<typeof catalog, "registerUpload">;
type Ending = ReceivedOf<typeof catalog, "endUpload">;

interface Registered {
  readonly uploadId: string;
  readonly epoch: number;
  readonly isNew: boolean;
}

const FIRST_EPOCH = 1;
/** A longer explanation is cut: it is kept for a week and shown in lists. */
const DETAIL_LENGTH_MAX = 1000;

/** @throws {TroupeError} `IDEMPOTENCY_CONFLICT` */
export function registerUpload(ports: CatalogPorts, principal: Principal, input: Registration): Promise<Registered> {
  return ports.database.transact(async (transaction) => {
    const nowMs = ports.clock.wallMs();
    return (await claimCreation(transaction, principal, input, nowMs)) ?? insertUpload(transaction, principal, input, nowMs);
  });
}

/** The upload that was created with the same key before. @throws {TroupeError} `IDEMPOTENCY_CONFLICT` */
export async function claimCreation(
  transaction: CatalogTransaction,
  principal: Principal,
  { uploadId, operation }: Pick<Registration, "uploadId" | "operation">,
  nowMs: number,
): Promise<Registered | undefined> {
  if (operation === undefined) return undefined;
  const earlier = await claimOperation(transaction, { ...operation, scope: operationScope(principal.owner), result: uploadId }, nowMs);
  const epoch = earlier === undefined ? undefined : await epochOf(transaction, earlier);
  return earlier === undefined || epoch === undefined ? undefined : { uploadId: earlier, epoch, isNew: false };
}

/** What a key stands for, if it was used. @throws {TroupeError} `IDEMPOTENCY_CONFLICT` */
export async function findCreatedUpload(
  ports: CatalogPorts,
  principal: Principal,
  { operation }: ReceivedOf<typeof catalog, "createdUpload">,
): Promise<{ upload?: UploadRecord }> {
  const row = await ports.database.read(async (query) => {
    const scope = operationScope(principal.owner);
    const uploadId = await findOperation(query, { ...operation, scope }, ports.clock.wallMs());
    if (uploadId === undefined) return undefined;
    return query.selectFrom("t_upload").selectAll().where("upload_id", "=", bytesOf(uploadId)).executeTakeFirst();
  });
  return row === undefined ? {} : { upload: uploadRecordOf(row) };
}

/**
 * A claim that names the epoch it follows upon may be heard twice: only once does the epoch grow, so that its host is not made an earlier one.
 * @throws {TroupeError} `UPLOAD_NOT_FOUND`; `EPOCH_STALE` when another host was quicker
 */
export function claimUpload(
  ports: CatalogPorts,
  principal: Principal,
  input: { readonly uploadId: string; readonly host: string; readonly after?: number | undefined },
): Promise<UploadRecord> {
  return ports.database.transact(async (transaction) => {
    const row = await lockUpload(transaction, principal, input.uploadId);
    if (row.ended_time !== null) return uploadRecordOf(row);
    if (input.after !== undefined) {
      if (row.epoch === BigInt(input.after) + 1n && textOf(row.host) === input.host) return uploadRecordOf(row);
      checkEpoch(row, input.after);
    }
    const claimed = { ...row, host: bytesOf(input.host), epoch: row.epoch + 1n, update_time: BigInt(ports.clock.wallMs()) };
    const { host, epoch, update_time } = claimed;
    await transaction.query.updateTable("t_upload").set({ host, epoch, update_time }).where("upload_id", "=", row.upload_id).execute();
    return uploadRecordOf(claimed);
  });
}

/** The first ending stays. @throws {TroupeError} `UPLOAD_NOT_FOUND`, `EPOCH_STALE`, `UPLOAD_MERGED` */
export function endUpload(ports: CatalogPorts, principal: Principal, input: Ending): Promise<Record<string, never>> {
  return ports.database.transact(async (transaction) => {
    const row = await lockUpload(transaction, principal, input.uploadId);
    checkEpoch(row, input.epoch);
    if (row.state === "merged") throw new TroupeError("UPLOAD_MERGED");
    if (input.isForgotten) return forgetUpload(transaction, row);
    if (row.ended_time !== null) return {};
    const nowMs = ports.clock.wallMs();
    const { lastError } = input;
    const kept =
      lastError === undefined ? null : jsonBytes({ ...lastError, detail: lastError.detail.slice(0, DETAIL_LENGTH_MAX).toWellFormed() });
    await transaction.query
      .updateTable("t_upload")
      .set({ state: input.state, since_time: nowMs, ended_time: nowMs, update_time: nowMs, last_error: kept })
      .where("upload_id", "=", row.upload_id)
      .execute();
    return {};
  });
}

/** Nobody was told of it: its operation's key is free again. */
async function forgetUpload(transaction: CatalogTransaction, { upload_id, owner }: UploadRow): Promise<Record<string, never>> {
  const scope_name = bytesOf(operationScope(textOf(owner)));
  // Committed with the upload, whose row is locked: read without locking every key of its owner.
  const operations = await transaction.query
    .selectFrom("t_operation")
    .select("operation_key")
    .where("scope_name", "=", scope_name)
    .where("result", "=", upload_id)
    .execute();
  for (const { operation_key } of operations) {
    await transaction.query
      .deleteFrom("t_operation")
      .where("scope_name", "=", scope_name)
      .where("operation_key", "=", operation_key)
      .execute();
  }
  await transaction.query.deleteFrom("t_upload").where("upload_id", "=", upload_id).execute();
  return {};
}

const operationScope = (owner: string): string => `upload:${owner}`;

export async function listHostedUploads(
  ports: CatalogPorts,
  principal: Principal,
  wanted: ReceivedOf<typeof catalog, "hostedUploads">,
): Promise<{ uploadIds: string[]; cursor?: string }> {
  const owner = listedOwner(principal);
  const rows = await ports.database.read((query) => {
    let select = query
      .selectFrom("t_upload")
      .select("upload_id")
      .where("host", "=", bytesOf(wanted.host))
      .where("ended_time", "is", null)
      .orderBy("upload_id")
      .limit(wanted.limit + 1);
    if (owner !== undefined) select = select.where("owner", "=", bytesOf(owner));
    if (wanted.cursor !== undefined) select = select.where("upload_id", ">", bytesOf(wanted.cursor));
    return select.execute();
  });
  const uploadIds = rows.slice(0, wanted.limit).map(({ upload_id }) => textOf(upload_id));
  const last = uploadIds.at(-1);
  return rows.length > wanted.limit && last !== undefined ? { uploadIds, cursor: last } : { uploadIds };
}

/** @throws {TroupeError} `UPLOAD_NOT_FOUND` */
export async function showUpload(ports: CatalogPorts, principal: Principal, uploadId: string): Promise<UploadRecord> {
  return uploadRecordOf(await ports.database.read((query) => loadUpload(query, principal, uploadId)));
}

/** A registration whose answer was lost comes again with the same IDs, and is answered as the first one was. */
export async function insertUpload(
  transaction: CatalogTransaction,
  principal: Principal,
  input: Registration,
  nowMs: number,
): Promise<Registered> {
  const inserted = await transaction.insertIfAbsent("t_upload", {
    upload_id: bytesOf(input.uploadId),
    file_id: bytesOf(input.fileId),
    owner: bytesOf(principal.owner),
    app: bytesOf(input.app),
    user: bytesOf(input.user),
    name: bytesOf(input.name),
    content_type: bytesOf(input.contentType),
    size_bytes: input.sizeBytes ?? null,
    chunk_bytes: input.chunkBytes,
    digest_algorithm: input.digest?.algorithm ?? null,
    digest_value: input.digest === undefined ? null : bytesOfHex(input.digest.value),
    tus: input.tus === undefined ? null : jsonBytes(input.tus),
    host: bytesOf(input.host),
    group_name: bytesOf(input.group),
    epoch: FIRST_EPOCH,
    state: "receiving",
    since_time: nowMs,
    create_time: input.createdMs,
    update_time: nowMs,
  });
  if (inserted) return { uploadId: input.uploadId, epoch: FIRST_EPOCH, isNew: true };
  const select = transaction.query
    .selectFrom("t_upload")
    .select(["file_id", "owner", "host", "epoch"])
    .where("upload_id", "=", bytesOf(input.uploadId));
  const row = await transaction.lock(select).executeTakeFirst();
  const isSame = row !== undefined && same(row.file_id, input.fileId) && same(row.owner, principal.owner) && same(row.host, input.host);
  if (!isSame) throw new TroupeError("IDEMPOTENCY_CONFLICT", "Another upload has this ID.");
  return { uploadId: input.uploadId, epoch: safeInteger(row.epoch), isNew: true };
}

async function epochOf(transaction: CatalogTransaction, uploadId: string): Promise<number | undefined> {
  const select = transaction.query.selectFrom("t_upload").select("epoch").where("upload_id", "=", bytesOf(uploadId));
  const row = await transaction.lock(select).executeTakeFirst();
  return row === undefined ? undefined : safeInteger(row.epoch);
}

function same(bytes: Uint8Array, text: string): boolean {
  return Buffer.compare(bytes, bytesOf(text)) === 0;
}
