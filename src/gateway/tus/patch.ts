/** `PATCH`: bytes, from the offset where those before them end. */
import { TroupeError } from "../../core/errors.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { refuseEncodedBody } from "../body-fields.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { fileField, finishedFile } from "./finish.ts";
import { BODY_TYPE, bytesField, hasBodyType, uploadBytesMax } from "./protocol.ts";
import { becomesFile, expiresField, isComplete, settledUpload, sizedUpload, type TusUpload, uploadNow } from "./tus-upload.ts";
import { uploadIdOf } from "./upload-address.ts";
import { receiveBody } from "./upload-body.ts";
import { readChecksum } from "./upload-checksum.ts";

export async function patch(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { request } = exchange;
  const bytesMax = uploadBytesMax(gateway.options);
  // Any other type is answered 415.
  if (!hasBodyType(request)) throw new TroupeError("UNSUPPORTED_TYPE", `The bytes of an upload come as ${BODY_TYPE}.`);
  refuseEncodedBody(request);
  // Where the body begins is said with it, as a number that is not negative.
  const offset = bytesField(request, "upload-offset", Number.MAX_SAFE_INTEGER);
  if (offset === undefined) throw new TroupeError("BAD_REQUEST", "Upload-Offset says where the body begins; it is missing.");
  const sizeBytes = bytesField(request, "upload-length", bytesMax);
  const checksum = readChecksum(request);
  const found = await settledUpload(gateway, exchange, uploadIdOf(exchange));
  // What is put together from parts takes no bytes of its own: 403.
  if (found.plan.parts !== undefined) throw new TroupeError("UPLOAD_FINAL");
  // An offset other than the upload's is answered 409, and nothing changes.
  if (offset !== found.offsetBytes)
    throw new TroupeError("OFFSET_MISMATCH", `The upload goes on at byte ${found.offsetBytes}.`, { facts: { offset: found.offsetBytes } });
  // A length that was deferred is said with any body, once; from then on it stays.
  const upload = sizeBytes === undefined ? found : await sizedUpload(gateway, exchange, found, sizeBytes);
  const takenBytes = await receiveBody(gateway, exchange, upload, checksum);
  return await received(gateway, exchange, upload, offset + takenBytes);
}

async function received(gateway: Gateway, exchange: Exchange, before: TusUpload, offset: number): Promise<HttpResponse> {
  const upload = before.isMerged ? before : await uploadNow(gateway, exchange, before.uploadId);
  const file = isComplete(upload) && becomesFile(upload) ? await finishedFile(gateway, exchange, upload.uploadId) : undefined;
  return {
    status: 204,
    headers: {
      // The offset behind what was taken.
      "upload-offset": String(offset),
      // With every answer, while the upload can expire: each body puts it off.
      ...(file === undefined ? expiresField(upload) : {}),
      ...fileField(exchange, file),
    },
  };
}
