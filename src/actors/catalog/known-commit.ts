/**
 * Files of content that is there already, without its bytes: of the owner's own at once, of anybody's after possession was proven.
 *
 * Q1: a reference is added only under a lock on a live blob's row, in the transaction that makes the file.
 * Q2: the blob is the one the upload claims: its size and its digest are compared where the reference is added.
 * Q3: an instant upload is merged from birth, so that asking again, its status and its merge answer as those of any other.
 */
import type { ReceivedOf } from "../../bus/contract.ts";
import { TroupeError } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { becomeFile, commitOnce, refer } from "./commit.ts";
import type { catalog, LocatedFile } from "./contract.ts";
import { hexOf } from "./file-row.ts";
import { holdsFile } from "./holding.ts";
import { readJson } from "./json-column.ts";
import type { CatalogPorts } from "./ports.ts";
import type { CatalogTransaction } from "./tables.ts";
import { type CommitResult, commitResult, lockUpload, type UploadRow } from "./upload-row.ts";
import { claimCreation, insertUpload } from "./uploads.ts";

type Instant = ReceivedOf<typeof catalog, "instantUpload">;
type Known = ReceivedOf<typeof catalog, "commitKnown">;

/**
 * @returns the file; nothing when the operation's key stands for an upload that has bytes to receive, or had
 * @throws {TroupeError} `BLOB_NOT_FOUND` when the content has gone meanwhile, or is not the principal's; `IDEMPOTENCY_CONFLICT`
 */
export async function instantUpload(
  ports: CatalogPorts,
  principal: Principal,
  { blobId, ...plan }: Instant,
): Promise<{ file?: LocatedFile }> {
  const made = await ports.database.transact(async (transaction) => {
    const nowMs = ports.clock.wallMs();
    const earlier = await claimCreation(transaction, principal, plan, nowMs);
    if (earlier !== undefined) return { file: instantFile(await lockUpload(transaction, principal, earlier.uploadId)) };
    await insertUpload(transaction, principal, plan, nowMs);
    const upload = await lockUpload(transaction, principal, plan.uploadId);
    // The same request, whose answer was lost.
    if (upload.state !== "receiving") return { file: instantFile(upload) };
    const id = BigInt(blobId);
    await referToKnown(transaction, upload, id, nowMs);
    // Read without a lock: who deletes the last such file waits for the blob's row, so that it was there when the reference was added.
    if (!(await holdsFile(transaction.query, principal.owner, id))) throw new TroupeError("BLOB_NOT_FOUND");
    const { file } = await becomeFile(transaction, upload, id, { isDuplicate: true, isInstant: true }, nowMs);
    return { file };
  });
  ports.wake("event", "blob.referred");
  return made.file === undefined ? {} : { file: made.file };
}

/** @throws {TroupeError} `BLOB_NOT_FOUND` when the content has gone meanwhile; and what `commitFile` throws */
export function commitKnown(ports: CatalogPorts, principal: Principal, input: Known): Promise<CommitResult> {
  return commitOnce(ports, principal, input, async (transaction, upload, nowMs) => {
    const blobId = BigInt(input.blobId);
    await referToKnown(transaction, upload, blobId, nowMs);
    return becomeFile(transaction, upload, blobId, { isDuplicate: true }, nowMs);
  });
}

/** Q1, Q2. @throws {TroupeError} `BLOB_NOT_FOUND` */
async function referToKnown(transaction: CatalogTransaction, upload: UploadRow, blobId: bigint, nowMs: number): Promise<void> {
  const select = transaction.query
    .selectFrom("t_blob")
    .select(["blob_id", "reference_count", "digest", "size_bytes"])
    .where("blob_id", "=", blobId)
    .where("live", "=", 1n);
  const blob = await transaction.lock(select).executeTakeFirst();
  const { size_bytes, digest_algorithm: algorithm, digest_value: claimed } = upload;
  const isAsClaimed =
    blob !== undefined &&
    algorithm !== null &&
    claimed !== null &&
    size_bytes === blob.size_bytes &&
    hexOf(claimed) === (algorithm === "blake3" ? hexOf(blob.digest) : await otherDigest(transaction, blobId, algorithm));
  if (!isAsClaimed) throw new TroupeError("BLOB_NOT_FOUND");
  await refer(transaction, blob, nowMs);
}

async function otherDigest(
  transaction: CatalogTransaction,
  blobId: bigint,
  algorithm: "sha256" | "sha1" | "md5",
): Promise<string | undefined> {
  const row = await transaction.query
    .selectFrom("t_digest")
    .select("value")
    .where("blob_id", "=", blobId)
    .where("algorithm", "=", algorithm)
    .executeTakeFirst();
  return row === undefined ? undefined : hexOf(row.value);
}

function instantFile(upload: UploadRow): LocatedFile | undefined {
  const result = upload.result === null ? undefined : readJson(commitResult, upload.result);
  return result?.isInstant === true ? result.file : undefined;
}
