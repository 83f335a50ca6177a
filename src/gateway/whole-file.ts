/**
 * A file sent as one body: create, chunks streamed one after the other while earlier ones are being synced, merge.
 *
 * W1: whatever goes wrong for certain before the file is there cancels the upload; with an idempotency key it stays, because a retry
 *     with the same key goes on with it. A merge whose outcome is unknown is left alone: it may still become the file.
 * W2: memory is one block of the socket, however long the body is.
 */

import type { MergedFile } from "../actors/upload/contract.ts";
import { upload } from "../actors/upload/contract.ts";
import { client } from "../bus/client.ts";
import { type ErrorCode, TroupeError } from "../core/errors.ts";
import { WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX } from "../core/limits.ts";
import { ChunkedBody } from "./chunked-body.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { mergeUpload } from "./merging.ts";
import { type CreatedUpload, createUpload, type UploadWish } from "./upload-creation.ts";
import type { LiveUpload } from "./upload-directory.ts";

/** What a merge says when it will not go on, and what the departure of the only one who waits for it comes to (W1). */
const DEFINITE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([...upload.requests.merge.errors, "CANCELLED"]);

export async function storeWholeFile(gateway: Gateway, exchange: Exchange, wish: UploadWish): Promise<MergedFile> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  const created = await createUpload(gateway.ports, gateway.uploads, wish, options);
  const { uploadId } = created;
  let isMerging = false;
  try {
    if (created.state !== "merged") {
      const found = await gateway.uploads.find(uploadId, options);
      // A repeated key may name an upload that became a file before: its bytes need not be sent again.
      if (found.kind === "live") await sendChunks(gateway, exchange, found.upload, wish.sizeBytes);
    }
    isMerging = true;
    return await mergedWhole(gateway, exchange, uploadId);
  } catch (error) {
    const isDefinite = !isMerging || (error instanceof TroupeError && DEFINITE.has(error.code));
    if (isDefinite && wish.idempotencyKey === undefined) await cancelQuietly(gateway, exchange, created);
    throw error;
  }
}

async function sendChunks(gateway: Gateway, exchange: Exchange, live: LiveUpload, sizeBytes: number | undefined): Promise<void> {
  const { request } = exchange;
  const { fileBytesMax } = gateway.options;
  const body = new ChunkedBody(request.body);
  const abort = new AbortController();
  const signal = AbortSignal.any([request.signal, abort.signal]);
  const underWay = new Set<Promise<void>>();
  // One listener at a time, and no race: a promise that outlives its race gathers a reaction in every one.
  let wake = (): void => {};
  const somethingHappens = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  let failure: { readonly error: unknown } | undefined;
  let sentBytes = 0;
  const throwFailure = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  try {
    for (let index = 0; await body.hasMore(); index += 1) {
      throwFailure();
      if (sentBytes >= fileBytesMax)
        throw new TroupeError("TOO_LARGE", `A file has at most ${fileBytesMax} bytes here.`, { facts: { bytesMax: fileBytesMax } });
      const lengthBytes = sizeBytes === undefined ? undefined : Math.min(live.chunkBytes, sizeBytes - sentBytes);
      const slice = body.slice(lengthBytes ?? Math.min(live.chunkBytes, fileBytesMax - sentBytes));
      const stored: Promise<void> = gateway.ports.dataPlane
        .storeChunk(live.access, { uploadId: live.uploadId, index, lengthBytes, bytes: slice, digests: [], signal })
        .then(
          () => undefined,
          (error: unknown) => {
            failure ??= { error };
          },
        )
        .finally(() => {
          underWay.delete(stored);
          wake();
        });
      underWay.add(stored);
      let readBytes: number | undefined;
      void slice.read.then((lengthBytes) => {
        readBytes = lengthBytes;
        wake();
      });
      // The next chunk streams while this one is being synced.
      while (readBytes === undefined && failure === undefined && underWay.has(stored)) await somethingHappens();
      throwFailure();
      if (readBytes === undefined) throw new TroupeError("INTERNAL", "A chunk was stored before it was read.");
      sentBytes += readBytes;
      while (underWay.size >= WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX) await somethingHappens();
    }
    await Promise.all(underWay);
    throwFailure();
  } catch (error) {
    abort.abort(error);
    await body.close();
    await Promise.all(underWay);
    throw error;
  }
}

async function mergedWhole(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<MergedFile> {
  const merged = await mergeUpload(gateway, exchange, uploadId, true);
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

/** W1. The client has its own error already; and a session nobody cancels expires. */
async function cancelQuietly(gateway: Gateway, exchange: Exchange, created: CreatedUpload): Promise<void> {
  const { uploadId, epoch } = created;
  try {
    // Not on the request's signal: that the client has gone is the usual reason.
    await client(gateway.ports.bus, upload, { uploadId }).cancel({ epoch }, { principal: exchange.principal });
  } catch (error) {
    gateway.ports.log.warn(
      { err: error, uploadId, requestId: exchange.requestId },
      "An upload that broke off could not be cancelled; it will expire.",
    );
  }
  gateway.uploads.forget(uploadId);
}
