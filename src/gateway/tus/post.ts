/** `POST /tus/`: a new upload; with its first bytes when the client sends them along. */
import { isRetryable, TroupeError } from "../../core/errors.ts";
import type { HttpRequest, HttpResponse } from "../../core/ports/http-exchange.ts";
import { idempotencyKeyOf, refuseEncodedBody } from "../body-fields.ts";
import { callOptions, type Exchange, hasBody } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { createUpload } from "../upload-creation.ts";
import { fileField, finishedFile } from "./finish.ts";
import { BODY_TYPE, bytesField, hasBodyType, uploadBytesMax } from "./protocol.ts";
import { askSession, becomesFile, expiresField, isComplete, settledUpload, type TusUpload, uploadNow } from "./tus-upload.ts";
import { locationOf } from "./upload-address.ts";
import { receiveBody } from "./upload-body.ts";
import { type BodyChecksum, readChecksum } from "./upload-checksum.ts";
import { readConcat } from "./upload-concat.ts";
import { describe } from "./upload-metadata.ts";

export async function post(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { request } = exchange;
  const concat = readConcat(gateway, exchange);
  const isFinal = concat.parts !== undefined;
  const sizeBytes = sizeOf(request, uploadBytesMax(gateway.options), isFinal);
  const metadata = request.headers["upload-metadata"];
  const described = describe(metadata);
  const withBytes = bringsBytes(request, isFinal);
  const checksum = withBytes ? readChecksum(request) : undefined;
  const { uploadId } = await createUpload(
    gateway.ports,
    gateway.uploads,
    {
      ...described,
      sizeBytes,
      idempotencyKey: idempotencyKeyOf(request),
      tus: { ...concat, ...(metadata === undefined ? {} : { metadata }) },
    },
    { ...callOptions(exchange), principal: exchange.principal },
  );
  const upload = withBytes ? await filled(gateway, exchange, uploadId, checksum) : await uploadNow(gateway, exchange, uploadId);
  const isDone = (isComplete(upload) || isFinal) && becomesFile(upload);
  const file = isDone ? await finishedFile(gateway, exchange, uploadId) : undefined;
  return {
    status: 201,
    headers: {
      location: locationOf(gateway, exchange, uploadId),
      "cache-control": "no-store",
      // How many of the bytes that came along were taken, which may be fewer than were sent.
      ...(withBytes ? { "upload-offset": String(upload.offsetBytes) } : {}),
      ...(file === undefined ? expiresField(upload) : {}),
      ...fileField(exchange, file),
    },
  };
}

/**
 * A creation says how long the upload will be, or that this will be said later (`Upload-Defer-Length: 1`), and not both. What is put together is as long
 * as its parts together and says nothing.
 * @throws {TroupeError} `BAD_REQUEST`; `TOO_LARGE` past `Tus-Max-Size`
 */
function sizeOf(request: HttpRequest, bytesMax: number, isFinal: boolean): number | undefined {
  const sizeBytes = bytesField(request, "upload-length", bytesMax);
  const deferred = request.headers["upload-defer-length"];
  if (deferred !== undefined && deferred !== "1") throw new TroupeError("BAD_REQUEST", "Upload-Defer-Length is 1 or is not there.");
  if (isFinal) {
    if (sizeBytes !== undefined || deferred !== undefined)
      throw new TroupeError(
        "BAD_REQUEST",
        "What is put together from parts is as long as they are; leave Upload-Length and Upload-Defer-Length out.",
      );
    return undefined;
  }
  if ((sizeBytes === undefined) === (deferred === undefined))
    throw new TroupeError("BAD_REQUEST", "A creation has either Upload-Length or Upload-Defer-Length: 1.");
  return sizeBytes;
}

/** @throws {TroupeError} `UNSUPPORTED_TYPE`: bytes of any other type are none of an upload; `UPLOAD_FINAL` */
function bringsBytes(request: HttpRequest, isFinal: boolean): boolean {
  if (!hasBody(request)) return false;
  if (!hasBodyType(request)) throw new TroupeError("UNSUPPORTED_TYPE", `The first bytes of an upload come as ${BODY_TYPE}.`);
  refuseEncodedBody(request);
  if (isFinal) throw new TroupeError("UPLOAD_FINAL");
  return true;
}

/**
 * What arrives counts, also when it breaks off: whoever knows the address goes on from there. A body that is wrong leaves no upload behind, for
 * its client learns no address.
 */
async function filled(gateway: Gateway, exchange: Exchange, uploadId: string, checksum: BodyChecksum | undefined): Promise<TusUpload> {
  const begun = await settledUpload(gateway, exchange, uploadId);
  // An idempotency key may name an upload that has begun: its client is told how far it has come.
  if (begun.offsetBytes > 0) return begun;
  try {
    await receiveBody(gateway, exchange, begun, checksum);
  } catch (error) {
    if (error instanceof TroupeError && isRetryable(error) && error.code !== "CHECKSUM_MISMATCH")
      return await settledUpload(gateway, exchange, uploadId);
    await askSession(gateway, exchange, uploadId, (session, { epoch }, options) => session.cancel({ epoch }, options));
    gateway.uploads.forget(uploadId);
    throw error;
  }
  return await uploadNow(gateway, exchange, uploadId);
}
