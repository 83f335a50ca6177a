/**
 * Making a file of an upload, in one transaction: the blob or a reference to the live one of the same content, the file, the upload's
 * outcome, and the outbox.
 *
 * C1: the upload's row is locked first and its epoch compared: a host that lost its upload commits nothing.
 * C2: of one content there is one live blob; a reference is added only under a lock on its row.
 * C3: a merged upload answers what it answered first, whatever has become of the file since.
 * C4: a blob's ID is never another's, also when the database of IDs has forgotten which it gave out: the blobs' own rows say so. That a blob
 *     is the one that is there is told by its path, in which there is a time.
 */
import type { ReceivedOf } from "../../bus/contract.ts";
import { blobIdOfPath } from "../../core/blob-path.ts";
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { FILE_DIGEST_ALGORITHMS } from "../../core/digest.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { ENDED_CODES } from "../../core/shapes.ts";
import { userShard } from "../../core/user-shard.ts";
import type { catalog } from "./contract.ts";
import { bytesOfHex, loadFile } from "./file-row.ts";
import { jsonBytes, readJson } from "./json-column.ts";
import { blobReferred, enqueue, fileEvent } from "./outbox.ts";
import type { CatalogPorts } from "./ports.ts";
import { type CatalogTransaction, FILE_TABLES, fileTableOfShard } from "./tables.ts";
import { type CommitResult, checkEpoch, commitResult, lockUpload, type UploadRow } from "./upload-row.ts";

type Commit = ReceivedOf<typeof catalog, "commitFile">;

/** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `EPOCH_STALE`, `UPLOAD_CANCELLED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED`, `BLOB_ID_TAKEN`, `BAD_REQUEST` */
export async function commitFile(ports: CatalogPorts, principal: Principal, input: Commit): Promise<CommitResult> {
  if (blobIdOfPath(input.blob.path) !== input.blob.blobId)
    throw new TroupeError("BAD_REQUEST", `blob.path ${input.blob.path} is not that of blob ${input.blob.blobId}.`);
  if (input.blob.nodeIds.length === 0) throw new TroupeError("BAD_REQUEST", "blob.nodeIds names no node that holds the blob.");
  return commitOnce(ports, principal, input, async (transaction, upload, nowMs) => {
    const { blobId, isDuplicate } = await referToBlob(transaction, input, nowMs);
    await insertDigests(transaction, blobId, input);
    return becomeFile(transaction, upload, blobId, { isDuplicate }, nowMs);
  });
}

/**
 * In one transaction, unless it was done before.
 * @param commit makes the file of an upload whose row is locked
 * @throws {TroupeError} `UPLOAD_NOT_FOUND`, `EPOCH_STALE`, `UPLOAD_CANCELLED`, `UPLOAD_EXPIRED`, `UPLOAD_FAILED`, and what `commit` throws
 */
export async function commitOnce(
  ports: CatalogPorts,
  principal: Principal,
  { uploadId, epoch }: Pick<Commit, "uploadId" | "epoch">,
  commit: (transaction: CatalogTransaction, upload: UploadRow, nowMs: number) => Promise<CommitResult>,
): Promise<CommitResult> {
  const result = await ports.database.transact(async (transaction) => {
    const upload = await lockUpload(transaction, principal, uploadId);
    // C1
    checkEpoch(upload, epoch);
    // C3
    if (upload.state === "merged" && upload.result !== null) return readJson(commitResult, upload.result);
    if (upload.state !== "receiving") throw new TroupeError(ENDED_CODES[upload.state]);
    return commit(transaction, upload, ports.clock.wallMs());
  });
  ports.wake("event", "blob.referred");
  return result;
}

/** The file of an upload, whose row is locked and whose reference to the blob has been added; the upload's outcome; the outbox. */
export async function becomeFile(
  transaction: CatalogTransaction,
  upload: UploadRow,
  blobId: bigint,
  how: Pick<CommitResult, "isDuplicate" | "isInstant">,
  nowMs: number,
): Promise<CommitResult> {
  await insertFile(transaction, upload, blobId, nowMs);
  const file = await loadFile(transaction.query, textOf(upload.file_id));
  if (file === undefined) throw new TroupeError("INTERNAL", "The file just written is not there.");
  const result = { file, ...how };
  await transaction.query
    .updateTable("t_upload")
    .set({
      state: "merged",
      // An upload may have been begun without one.
      size_bytes: file.sizeBytes,
      since_time: nowMs,
      ended_time: nowMs,
      update_time: nowMs,
      result: jsonBytes(result),
    })
    .where("upload_id", "=", upload.upload_id)
    .execute();
  await enqueue(transaction, nowMs, [fileEvent("created", file, nowMs), ...(how.isDuplicate ? [blobReferred(file)] : [])]);
  return result;
}

/** Inserts the blob unless its content is there, then locks the live one and adds a reference (C2). @returns whose bytes are kept */
async function referToBlob(
  transaction: CatalogTransaction,
  { blob, digests, sizeBytes }: Commit,
  nowMs: number,
): Promise<{ readonly blobId: bigint; readonly isDuplicate: boolean }> {
  const digest = bytesOfHex(digests.blake3);
  await transaction.insertIfAbsent("t_blob", {
    blob_id: blob.blobId,
    digest,
    size_bytes: sizeBytes,
    live: 1,
    group_name: bytesOf(blob.group),
    path: blob.path,
    reference_count: 0,
    state: "live",
    generation: 1,
    create_time: nowMs,
    update_time: nowMs,
  });
  const live = await transaction
    .lock(
      transaction.query
        .selectFrom("t_blob")
        .select(["blob_id", "path", "reference_count"])
        .where("digest", "=", digest)
        .where("size_bytes", "=", BigInt(sizeBytes))
        .where("live", "=", 1n),
    )
    .executeTakeFirst();
  // Nothing was inserted, and no other blob has this content: the ID belongs to other content, or to a tombstone (C4).
  if (live === undefined) throw new TroupeError("BLOB_ID_TAKEN", `Blob ID ${blob.blobId} was given out for other content before.`);
  await refer(transaction, live, nowMs);
  // C4
  const isDuplicate = live.path !== blob.path;
  if (!isDuplicate) {
    for (const nodeId of blob.nodeIds)
      await transaction.insertIfAbsent("t_replica", { blob_id: live.blob_id, node_id: bytesOf(nodeId), verified_time: nowMs });
  }
  return { blobId: live.blob_id, isDuplicate };
}

/** One reference more to a blob whose row is locked. */
export async function refer(
  transaction: CatalogTransaction,
  blob: { readonly blob_id: bigint; readonly reference_count: bigint },
  nowMs: number,
): Promise<void> {
  await transaction.query
    .updateTable("t_blob")
    .set({ reference_count: blob.reference_count + 1n, update_time: nowMs })
    .where("blob_id", "=", blob.blob_id)
    .execute();
}

/** The content is the same, so whoever computed a digest of it knows it for all. */
async function insertDigests(transaction: CatalogTransaction, blobId: bigint, { digests }: Commit): Promise<void> {
  for (const algorithm of FILE_DIGEST_ALGORITHMS) {
    const value = digests[algorithm];
    if (algorithm === "blake3" || value === undefined) continue;
    await transaction.insertIfAbsent("t_digest", { algorithm, value: bytesOfHex(value), blob_id: blobId });
  }
}

async function insertFile(transaction: CatalogTransaction, upload: UploadRow, blobId: bigint, nowMs: number): Promise<void> {
  const { file_id, owner, app, user, name, content_type } = upload;
  const shard = userShard(textOf(user), FILE_TABLES.length);
  await transaction.query.insertInto("t_file_id").values({ file_id, app, user, shard }).execute();
  await transaction.query
    .insertInto(fileTableOfShard(shard))
    .values({ file_id, owner, app, user, name, content_type, blob_id: blobId, create_time: nowMs, update_time: nowMs })
    .execute();
}
