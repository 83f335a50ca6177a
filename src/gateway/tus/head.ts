/** `HEAD`: how far an upload has come. What is under way is ended and made durable first: a client that asks goes on from there. */
import { isRetryable, TroupeError } from "../../core/errors.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { problemResponse } from "../../core/problem.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { fileField, finishedFile } from "./finish.ts";
import { becomesFile, expiresField, isComplete, settledUpload } from "./tus-upload.ts";
import { uploadIdOf } from "./upload-address.ts";
import { concatField } from "./upload-concat.ts";

export async function head(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  try {
    return await told(gateway, exchange);
  } catch (error) {
    if (!(error instanceof TroupeError && isRetryable(error))) throw error;
    // Clients take any other failure of this question for the end of the upload and begin a new one. That it is locked makes them ask again.
    return { ...problemResponse(error, exchange.requestId), status: 423 };
  }
}

async function told(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const upload = await settledUpload(gateway, exchange, uploadIdOf(exchange));
  const { plan, offsetBytes, sizeBytes, isMerged } = upload;
  const isFinal = plan.parts !== undefined;
  // What is put together from parts goes on by itself, and is asked for to see whether it is done.
  const file =
    isMerged || (isComplete(upload) && becomesFile(upload) && !isFinal)
      ? await finishedFile(gateway, exchange, upload.uploadId)
      : undefined;
  const concat = concatField(gateway, exchange, plan);
  return {
    status: 200,
    headers: {
      // No cache may answer with an offset of before.
      "cache-control": "no-store",
      // Always there, also when it is 0 or nothing is missing; but for parts that are being put together, only when they have been.
      ...(isFinal && !isMerged ? {} : { "upload-offset": String(offsetBytes) }),
      // The length if it is known, and until then that it is not.
      ...(sizeBytes === undefined ? { "upload-defer-length": "1" } : { "upload-length": String(sizeBytes) }),
      // As it came with the creation.
      ...(plan.metadata === undefined ? {} : { "upload-metadata": plan.metadata }),
      ...(concat === undefined ? {} : { "upload-concat": concat }),
      ...(isMerged ? {} : expiresField(upload)),
      ...fileField(exchange, file),
    },
  };
}
