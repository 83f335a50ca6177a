/** Asking for a merge, wherever the upload stands: its session, or its outcome in the catalog. The same again gives the same file. */
import { type MergedFile, upload } from "../actors/upload/contract.ts";
import { type CallOptions, client, isNoResponders } from "../bus/client.ts";
import { TroupeError } from "../core/errors.ts";
import { MERGE_TIMEOUT_MS } from "../core/limits.ts";
import type { Principal } from "../core/principal.ts";
import type { UploadState } from "../core/shapes.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { type EndedUpload, endedError } from "./upload-directory.ts";

export type MergeResult = { readonly kind: "file"; readonly file: MergedFile } | { readonly kind: "begun"; readonly state: UploadState };

/**
 * @param wait false: answer as soon as the merge has begun
 * @throws {TroupeError} `UPLOAD_INCOMPLETE` with `missing`, and whatever else the session's contract has for a merge
 */
export async function mergeUpload(gateway: Gateway, exchange: Exchange, uploadId: string, wait: boolean): Promise<MergeResult> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  // Another host may have taken the upload over since we remembered its epoch; once is enough.
  for (let attempt = 1; ; attempt += 1) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") return { kind: "file", file: await fileOfEnded(gateway, found.record, options) };
    try {
      const { state, file } = await client(gateway.ports.bus, upload, { uploadId }).merge(
        { epoch: found.upload.epoch, wait },
        { ...options, timeoutMs: MERGE_TIMEOUT_MS },
      );
      return file === undefined ? { kind: "begun", state } : { kind: "file", file };
    } catch (error) {
      gateway.uploads.forget(uploadId);
      const isStale = error instanceof TroupeError && (error.code === "EPOCH_STALE" || error.code === "UPLOAD_NOT_FOUND");
      if (attempt > 1 || !(isStale || isNoResponders(error))) throw error;
    }
  }
}

/** The same merge gives the same file, also when that was deleted since: what became of the upload is known, and 0 copies say the rest. */
async function fileOfEnded(
  gateway: Gateway,
  record: EndedUpload,
  options: CallOptions & { readonly principal: Principal },
): Promise<MergedFile> {
  if (record.state !== "merged") throw endedError(record);
  try {
    const { fileId, name, sizeBytes, digests, blob } = await gateway.files.find(record.fileId, options);
    const copies = blob.nodeIds.length;
    return { fileId, name, sizeBytes, digests, copies, durability: copies > 1 ? "complete" : "single-copy" };
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "FILE_NOT_FOUND") throw error;
    const { fileId, name, sizeBytes, digests } = record;
    if (sizeBytes === undefined || digests === undefined)
      throw new TroupeError("FILE_NOT_FOUND", `The upload became the file ${fileId}, which was deleted since.`, { cause: error });
    return { fileId, name, sizeBytes, digests, copies: 0, durability: "single-copy" };
  }
}
