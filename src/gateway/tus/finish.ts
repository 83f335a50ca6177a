/**
 * An upload whose last byte has arrived becomes a file without being told to.
 *
 * F1: the merge is promised before anybody waits for it: from then on it is gone on with, also after a restart, whether the client stays or not. Until
 *     it is promised the client is not told that its bytes have all arrived.
 * F2: the client waits a bounded time. What fails for good is its answer; what fails for now is gone on with.
 */
import type { MergedFile } from "../../actors/upload/contract.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import { TUS_MERGE_WAIT_MS } from "../../core/limits.ts";
import type { Exchange } from "../exchange.ts";
import { fileUrl } from "../file-url.ts";
import type { Gateway } from "../gateway-parts.ts";
import { mergeUpload } from "../merging.ts";

/**
 * @returns the file, or `undefined` when it is not there yet and will be
 * @throws {TroupeError} what a merge fails with for good; `FILE_NOT_FOUND` when the file was deleted since; before the promise, anything
 */
export async function finishedFile(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<MergedFile | undefined> {
  const promised = await mergeUpload(gateway, exchange, uploadId, 0);
  const result = promised.kind === "file" ? promised : await awaited(gateway, exchange, uploadId);
  if (result?.kind !== "file") return undefined;
  if (result.file.copies === 0) throw new TroupeError("FILE_NOT_FOUND", "The upload became a file that was deleted since.");
  return result.file;
}

async function awaited(gateway: Gateway, exchange: Exchange, uploadId: string) {
  try {
    return await mergeUpload(gateway, exchange, uploadId, TUS_MERGE_WAIT_MS);
  } catch (error) {
    // F2
    if (isRetryable(error)) return undefined;
    throw error;
  }
}

/** Where the file is. The protocol has no field for it; this one is ours. */
export function fileField(exchange: Exchange, file: MergedFile | undefined): Readonly<Record<string, string>> {
  return file === undefined ? {} : { "troupe-file": fileUrl(exchange.baseUrl, file.fileId, file.name) };
}
