/**
 * A file sent as one body: create, chunks streamed one after the other while earlier ones are being synced, merge.
 *
 * W1: whatever goes wrong before the file is there cancels the upload; with an idempotency key it stays, because a retry with the same
 *     key goes on with it.
 * W2: memory is one block of the socket, however long the body is.
 */
import { upload } from "../actors/upload/contract.ts";
import { client } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX } from "../core/limits.ts";
import { ChunkedBody } from "./chunked-body.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { type MergedFile, mergeUpload } from "./merging.ts";
import { type CreatedUpload, createUpload, type UploadWish } from "./upload-creation.ts";
import type { LiveUpload } from "./upload-directory.ts";

export async function storeWholeFile(gateway: Gateway, exchange: Exchange, wish: UploadWish): Promise<MergedFile> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  const created = await createUpload(gateway.ports, gateway.uploads, wish, options);
  const { uploadId } = created;
  try {
    if (created.state !== "merged") {
      const found = await gateway.uploads.find(uploadId, options);
      // A repeated key may name an upload that became a file before: its bytes need not be sent again.
      if (found.kind === "live") await sendChunks(gateway, exchange, found.upload, wish.sizeBytes);
    }
    return await mergedWhole(gateway, exchange, uploadId);
  } catch (error) {
    if (wish.idempotencyKey === undefined) await cancelQuietly(gateway, exchange, created);
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
  const failed = Promise.withResolvers<void>();
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
            failed.resolve();
          },
        )
        .finally(() => underWay.delete(stored));
      underWay.add(stored);
      // The next chunk streams while this one is being synced.
      const read = await Promise.race([slice.read, stored, failed.promise]);
      throwFailure();
      if (typeof read !== "number") throw new TroupeError("INTERNAL", "A chunk was stored before it was read.");
      sentBytes += read;
      while (underWay.size >= WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX) await Promise.race(underWay);
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
  if (merged.kind === "file") return merged.file;
  throw new TroupeError("UPLOAD_BUSY", `The upload is ${merged.state}; ask for its state.`, { facts: { uploadId } });
}

/** W1. The client has its own error already; and a session nobody cancels expires. */
async function cancelQuietly(gateway: Gateway, exchange: Exchange, created: CreatedUpload): Promise<void> {
  const { uploadId, epoch } = created;
  try {
    // Not on the request's signal: that the client has gone is the usual reason.
    await client(gateway.ports.bus, upload, { uploadId }).cancel({ epoch }, { principal: exchange.principal });
  } catch (error) {
    gateway.ports.log.warn(
      { error, uploadId, requestId: exchange.requestId },
      "an upload that broke off could not be cancelled; it will expire",
    );
  }
  gateway.uploads.forget(uploadId);
}
