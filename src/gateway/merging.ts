/**
 * Asking for a merge, wherever the upload stands: its session, or its outcome in the catalog. The same again gives the same file.
 *
 * A merge may take minutes, and the bus does not say when the host of a session died with the question. So the question is put again every
 * now and then: the session that is merging takes it for the same, and one that is gone, or has started anew, is noticed.
 *
 * M1: when the time to wait is over and the merge still goes on, the session promises it: it is gone on with whoever asks or does not, also
 *     after a restart, and the caller is told where to ask. No finish ends in a timeout.
 */
import type { LocatedFile } from "../actors/catalog/contract.ts";
import { type MergedFile, upload } from "../actors/upload/contract.ts";
import { type CallOptions, client, isNoResponders } from "../bus/client.ts";
import { isErrorCode, TroupeError } from "../core/errors.ts";
import { MERGE_ASKED_AGAIN_MS } from "../core/limits.ts";
import type { Principal } from "../core/principal.ts";
import type { UploadState } from "../core/shapes.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";
import { type EndedUpload, endedError } from "./upload-directory.ts";

export type MergeResult = { readonly kind: "file"; readonly file: MergedFile } | { readonly kind: "begun"; readonly state: UploadState };

/**
 * @param waitMs with 0 it is answered as soon as the merge has begun (M1)
 * @throws {TroupeError} `UPLOAD_INCOMPLETE` with `missing`, and whatever else the session's contract has for a merge
 */
export async function mergeUpload(gateway: Gateway, exchange: Exchange, uploadId: string, waitMs: number): Promise<MergeResult> {
  const options = { ...callOptions(exchange), principal: exchange.principal };
  const { clock } = gateway.ports;
  const untilMs = clock.nowMs() + waitMs;
  let isRefreshed = false;
  for (;;) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") return { kind: "file", file: await fileOfEnded(gateway, found.record, options) };
    const askedMs = clock.nowMs();
    const leftMs = untilMs - askedMs;
    const wait = leftMs > 0;
    const timeoutMs = Math.min(MERGE_ASKED_AGAIN_MS, leftMs);
    try {
      const { state, file } = await client(gateway.ports.bus, upload, { uploadId }).merge(
        { epoch: found.upload.epoch, wait },
        { ...options, ...(wait ? { timeoutMs } : {}) },
      );
      return file === undefined ? { kind: "begun", state } : { kind: "file", file };
    } catch (error) {
      const isSilence = wait && isLate(error) && clock.nowMs() - askedMs >= timeoutMs;
      if (isSilence) {
        isRefreshed = false;
        continue;
      }
      gateway.uploads.forget(uploadId);
      // Another host may have taken the upload over since we remembered its epoch; once each time it is asked is enough.
      if (isRefreshed || !(isStale(error) || isNoResponders(error))) throw error;
      isRefreshed = true;
    }
  }
}

const isLate = (error: unknown): boolean => error instanceof TroupeError && error.code === "DEADLINE_EXCEEDED";
const isStale = (error: unknown): boolean =>
  error instanceof TroupeError && (error.code === "EPOCH_STALE" || error.code === "UPLOAD_NOT_FOUND");

/** The same merge gives the same answer: why it failed. */
function mergeError(record: EndedUpload): TroupeError {
  const { state, lastError } = record;
  if (state !== "failed" || lastError === undefined || !isErrorCode(lastError.code)) return endedError(record);
  return new TroupeError(lastError.code, lastError.detail, { facts: { lastError } });
}

/** The same merge gives the same file, also when that was deleted since: what became of the upload is known, and 0 copies say the rest. */
export async function fileOfEnded(
  gateway: Gateway,
  record: EndedUpload,
  options: CallOptions & { readonly principal: Principal },
): Promise<MergedFile> {
  if (record.state !== "merged") throw mergeError(record);
  try {
    return mergedFileOf(await gateway.files.find(record.fileId, options));
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "FILE_NOT_FOUND") throw error;
    const { fileId, name, sizeBytes, digests } = record;
    if (sizeBytes === undefined || digests === undefined)
      throw new TroupeError("FILE_NOT_FOUND", `The upload became the file ${fileId}, which was deleted since.`, { cause: error });
    return { fileId, name, sizeBytes, digests, copies: 0, durability: "single-copy" };
  }
}

export function mergedFileOf({ fileId, name, sizeBytes, digests, blob }: LocatedFile): MergedFile {
  const copies = blob.nodeIds.length;
  return { fileId, name, sizeBytes, digests, copies, durability: copies > 1 ? "complete" : "single-copy" };
}
