/**
 * Deleting a file, in this order: tombstone in the cache, database, tombstone in the cache, event. The second makes every later lookup
 * see it; the first does so for most when this process ends in between. The bytes follow from the outbox when nothing refers to them
 * any more.
 */
import assert from "node:assert/strict";
import { bytesOf, textOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { CACHE_TOMBSTONE_MS } from "../../core/limits.ts";
import { isOutcomeUnknown } from "../../core/ports/database.ts";
import type { Principal } from "../../core/principal.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { loadNodeIds, lockFile } from "./file-row.ts";
import { fileKey } from "./lookup.ts";
import { enqueue, fileEvent } from "./outbox.ts";
import { type CatalogPorts, listedOwner } from "./ports.ts";
import type { CatalogTransaction } from "./tables.ts";

/** @throws {TroupeError} `FILE_NOT_FOUND` */
export async function deleteFile(ports: CatalogPorts, principal: Principal, fileId: string): Promise<Record<string, never>> {
  await ports.cache.tombstone(fileKey(fileId), CACHE_TOMBSTONE_MS);
  await settleRemoval(() => ports.database.transact((transaction) => removeFile(transaction, principal, fileId, ports.clock.wallMs())));
  await ports.cache.tombstone(fileKey(fileId), CACHE_TOMBSTONE_MS);
  ports.wake("event", "blob.retired");
  return {};
}

/** Whoever asked again would hear that there is no such file: so a removal whose outcome is unknown is asked about here. */
async function settleRemoval(remove: () => Promise<void>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    if (!isOutcomeUnknown(error)) throw error;
    await remove().catch((again: unknown) => {
      const isGone = again instanceof TroupeError && again.code === "FILE_NOT_FOUND";
      if (!isGone) throw again;
    });
  }
}

async function removeFile(transaction: CatalogTransaction, principal: Principal, fileId: string, nowMs: number): Promise<void> {
  const { query } = transaction;
  const file_id = bytesOf(fileId);
  const { table, row } = await lockFile(transaction, fileId, listedOwner(principal));
  await query.deleteFrom(table).where("file_id", "=", file_id).execute();
  await query.deleteFrom("t_file_id").where("file_id", "=", file_id).execute();
  await dropReference(transaction, row.blob_id, nowMs);
  const file = { fileId, owner: textOf(row.owner), app: textOf(row.app), user: textOf(row.user), name: textOf(row.name) };
  await enqueue(transaction, nowMs, [fileEvent("deleted", file, nowMs)]);
}

/** The last reference gone, the blob's row becomes a tombstone: the same content may come again as another blob, this one never. */
async function dropReference(transaction: CatalogTransaction, blobId: bigint, nowMs: number): Promise<void> {
  const { query } = transaction;
  const blob = await transaction.lock(query.selectFrom("t_blob").selectAll().where("blob_id", "=", blobId)).executeTakeFirstOrThrow();
  assert(blob.reference_count > 0n && blob.state === "live", `blob ${blobId} has a reference less than files`);
  if (blob.reference_count > 1n) {
    await query
      .updateTable("t_blob")
      .set({ reference_count: blob.reference_count - 1n, update_time: nowMs })
      .where("blob_id", "=", blobId)
      .execute();
    return;
  }
  await query
    .updateTable("t_blob")
    .set({ reference_count: 0, state: "retired", live: null, generation: blob.generation + 1n, update_time: nowMs })
    .where("blob_id", "=", blobId)
    .execute();
  await query.deleteFrom("t_digest").where("blob_id", "=", blobId).execute();
  const nodeIds = await loadNodeIds(query, blobId);
  await enqueue(transaction, nowMs, [{ kind: "blob.retired", payload: { blobId: safeInteger(blobId), path: blob.path, nodeIds } }]);
}
