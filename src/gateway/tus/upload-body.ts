/**
 * The body of a PATCH, or of a creation that brings its first bytes along, on its way into the upload.
 *
 * R1: without a checksum what is synced counts, also when the client goes away in the middle: it asks how far it came, and goes on from there.
 *     So its going away does not stop what is on its way.
 */
import { TroupeError } from "../../core/errors.ts";
import { storeBody } from "../body-chunks.ts";
import { ChunkedBody } from "../chunked-body.ts";
import { callOptions, declaredLength, type Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { uploadBytesMax } from "./protocol.ts";
import { isComplete, type TusUpload } from "./tus-upload.ts";
import type { BodyChecksum } from "./upload-checksum.ts";

/**
 * Resolves with its length when all of it is durable. The upload's offset is the body's.
 * @throws {TroupeError} `TOO_LARGE`, `CHECKSUM_MISMATCH`, `UPLOAD_…`, `OFFSET_MISMATCH`, `DISK_FULL`, `HOST_UNAVAILABLE`, what the body throws
 */
export async function receiveBody(
  gateway: Gateway,
  exchange: Exchange,
  upload: TusUpload,
  checksum: BodyChecksum | undefined,
): Promise<number> {
  const { request } = exchange;
  const limitBytes = upload.sizeBytes ?? uploadBytesMax(gateway.options);
  // A body that goes past the upload's length is refused before it is read where it says so, and otherwise before its last byte counts: 413.
  declaredLength(request, limitBytes - upload.offsetBytes);
  const bytes = checksum === undefined ? request.body : checksum.over(request.body);
  if (upload.live === undefined || isComplete(upload)) {
    if (await new ChunkedBody(bytes).hasMore()) throw new TroupeError("TOO_LARGE", "The upload has all its bytes.");
    checksum?.check();
    return 0;
  }
  try {
    return await storeBody(gateway.ports.dataPlane, upload.live, {
      bytes,
      limitBytes,
      fromBytes: upload.offsetBytes,
      check: checksum === undefined ? undefined : () => checksum.check(),
    });
  } catch (error) {
    gateway.uploads.forget(upload.uploadId);
    if (!(error instanceof TroupeError && error.code === "FORBIDDEN"))
      throw await gateway.uploads.whyRefused(error, upload.live, { ...callOptions(exchange), principal: exchange.principal });
    // Not the client is forbidden something, but this gateway: its grant is older than the node, or has run out.
    throw new TroupeError("HOST_UNAVAILABLE", "The node that holds this upload has to be asked anew; ask for the offset and go on.", {
      cause: error,
    });
  }
}
