/**
 * `DELETE`: the client does not want the upload any more.
 *
 * D1: an upload that has become a file meanwhile is terminated all the same, and the file with it: who gives up while the last byte is on its way
 *     does not find a file that it does not want.
 */
import { TroupeError } from "../../core/errors.ts";
import { TUS_MERGE_WAIT_MS } from "../../core/limits.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { callOptions, type Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { mergeUpload } from "../merging.ts";
import { endedError } from "../upload-directory.ts";
import { askSession } from "./tus-upload.ts";
import { uploadIdOf } from "./upload-address.ts";

/** 204 when it is gone; from then on its address is answered 410, and later 404, also this. */
export async function terminate(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const uploadId = uploadIdOf(exchange);
  if (!(await isCancelled(gateway, exchange, uploadId))) await deleteFile(gateway, exchange, uploadId);
  return { status: 204, headers: {} };
}

/** False when it is a file, or about to be one. */
async function isCancelled(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<boolean> {
  try {
    const asked = await askSession(gateway, exchange, uploadId, (session, { epoch }, options) => session.cancel({ epoch }, options));
    if (!("ended" in asked)) {
      gateway.uploads.forget(uploadId);
      return true;
    }
    if (asked.ended.state !== "merged") throw endedError(asked.ended);
    return false;
  } catch (error) {
    if (error instanceof TroupeError && (error.code === "UPLOAD_COMMITTING" || error.code === "UPLOAD_MERGED")) return false;
    throw error;
  }
}

/** D1 */
async function deleteFile(gateway: Gateway, exchange: Exchange, uploadId: string): Promise<void> {
  const merged = await mergeUpload(gateway, exchange, uploadId, TUS_MERGE_WAIT_MS);
  if (merged.kind === "begun") throw new TroupeError("UPLOAD_COMMITTING");
  await gateway.files.delete(merged.file.fileId, { ...callOptions(exchange), principal: exchange.principal });
}
