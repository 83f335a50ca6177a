/**
 * Passing a client's proof of possession on to the host of its upload.
 *
 * P1: proofs of one owner are counted here, whatever comes of them, so that being refused tells nothing; a refused one is not spent.
 */
import { type MergedFile, type UploadStatus, upload } from "../actors/upload/contract.ts";
import { client, isNoResponders } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { fileOfEnded } from "./merging.ts";
import { endedError } from "./upload-directory.ts";

export type ProofResult = { readonly kind: "file"; readonly file: MergedFile } | { readonly kind: "upload"; readonly status: UploadStatus };

/** @throws {TroupeError} `UPLOAD_NOT_FOUND`, `TOO_MANY`, the codes of an upload that has ended otherwise, and what the bus throws */
export async function proveUpload(gateway: Gateway, exchange: Exchange, uploadId: string, hmac: string): Promise<ProofResult> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  for (let attempt = 1; ; attempt += 1) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") {
      if (found.record.state !== "merged") throw endedError(found.record);
      return { kind: "file", file: await fileOfEnded(gateway, found.record, options) };
    }
    // P1
    if (attempt === 1) gateway.proofs.take(exchange.principal.owner);
    try {
      const status = await client(gateway.ports.bus, upload, { uploadId }).prove({ epoch: found.upload.epoch, hmac }, options);
      return status.file === undefined ? { kind: "upload", status } : { kind: "file", file: status.file };
    } catch (error) {
      gateway.uploads.forget(uploadId);
      // Another host may have taken the upload over, or it has ended, since we remembered it.
      if (attempt > 1 || !(isStale(error) || isNoResponders(error))) throw error;
    }
  }
}

const isStale = (error: unknown): boolean =>
  error instanceof TroupeError && (error.code === "EPOCH_STALE" || error.code === "UPLOAD_NOT_FOUND");
