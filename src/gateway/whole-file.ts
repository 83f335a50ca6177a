/**
 * A file sent as one body: create, chunks streamed one after the other while earlier ones are being synced, merge.
 *
 * W1: whatever goes wrong for certain before the file is there cancels the upload; with an idempotency key it stays, because a retry
 *     with the same key goes on with it. A merge whose outcome is unknown is left alone: it may still become the file.
 * W2: its client knows of no chunks: where one that was there is not any more, the disk has lost it, and all is to be sent again.
 */

import type { MergedFile } from "../actors/upload/contract.ts";
import { upload } from "../actors/upload/contract.ts";
import { client } from "../bus/client.ts";
import { type ErrorCode, TroupeError, toTroupeError } from "../core/errors.ts";
import { MERGE_TIMEOUT_MS } from "../core/limits.ts";
import { storeBody } from "./body-chunks.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { mergeUpload } from "./merging.ts";
import { type CreatedUpload, createUpload, type UploadWish } from "./upload-creation.ts";
import type { LiveUpload } from "./upload-directory.ts";

/** What a merge says when it will not go on, and what the departure of the only one who waits for it comes to (W1). */
const DEFINITE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([...upload.requests.merge.errors, "CANCELLED"]);

/** @param bytes the file's; the request's body unless that holds more */
export async function storeWholeFile(
  gateway: Gateway,
  exchange: Exchange,
  wish: UploadWish,
  bytes: AsyncIterable<Uint8Array> = exchange.request.body,
): Promise<MergedFile> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  const created = await createUpload(gateway.ports, gateway.uploads, wish, options);
  const { uploadId } = created;
  let isMerging = false;
  try {
    if (created.state !== "merged") {
      const found = await gateway.uploads.find(uploadId, options);
      // A repeated key may name an upload that became a file before: its bytes need not be sent again.
      if (found.kind === "live") {
        const live = found.upload;
        await sendChunks(gateway, exchange, live, wish.sizeBytes, bytes).catch(async (error: unknown) => {
          throw await gateway.uploads.whyRefused(error, live, options);
        });
      }
    }
    isMerging = true;
    return await mergedWhole(gateway, exchange, uploadId);
  } catch (error) {
    const isDefinite = !isMerging || (error instanceof TroupeError && DEFINITE.has(error.code));
    if (isDefinite && wish.idempotencyKey === undefined) await cancelQuietly(gateway, exchange, created, error);
    throw error;
  }
}

async function sendChunks(
  gateway: Gateway,
  { request }: Exchange,
  live: LiveUpload,
  sizeBytes: number | undefined,
  bytes: AsyncIterable<Uint8Array>,
): Promise<void> {
  await storeBody(gateway.ports.dataPlane, live, {
    bytes,
    signal: request.signal,
    limitBytes: sizeBytes ?? gateway.options.fileBytesMax,
    isWhole: sizeBytes !== undefined,
  });
}

async function mergedWhole(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<MergedFile> {
  const merged = await mergeUpload(gateway, exchange, uploadId, MERGE_TIMEOUT_MS).catch((error: unknown) => {
    throw asOneBody(error);
  });
  if (merged.kind === "begun")
    throw new TroupeError("DEADLINE_EXCEEDED", `The upload is ${merged.state}; ask for its state.`, { facts: { uploadId } });
  // Only a repeated key comes here: whoever sends a body wants its bytes to be there afterwards.
  if (merged.file.copies === 0)
    throw new TroupeError(
      "FILE_NOT_FOUND",
      "What was sent with this idempotency key became a file that was deleted since; take a new key.",
    );
  return merged.file;
}

/** W2 */
function asOneBody(error: unknown): unknown {
  if (!(error instanceof TroupeError) || error.code !== "UPLOAD_INCOMPLETE") return error;
  return new TroupeError("DISK_FAILED", "The disk did not keep all that was sent, which was noticed in time; send the file again.", {
    cause: error,
  });
}

/** W1. The client has its own error already; and a session nobody cancels expires. */
async function cancelQuietly(gateway: Gateway, exchange: Exchange, created: CreatedUpload, why: unknown): Promise<void> {
  const { uploadId, epoch } = created;
  const { code, detail } = toTroupeError(why);
  const because = { code, detail, retryable: false };
  try {
    // Not on the request's signal: that the client has gone is the usual reason.
    await client(gateway.ports.bus, upload, { uploadId }).cancel({ epoch, because }, { principal: exchange.principal });
  } catch (error) {
    gateway.ports.log.warn(
      { err: error, uploadId, requestId: exchange.requestId },
      "An upload that broke off could not be cancelled; it will expire.",
    );
  }
  gateway.uploads.forget(uploadId);
}
