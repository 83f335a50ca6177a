/**
 * A storage node's data server as it is reached over the bus, where it cannot be connected to. These requests begin a transfer; its
 * frames travel beside them (`src/data-plane/frame.ts`): to the caller on the inbox it names, to the node on
 * `troupe.v1.bytes.{nodeId}.frames.{transferId}`.
 */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { DIGEST_ALGORITHMS, isDigestHex } from "../../core/digest.ts";
import { CHUNK_COUNT_MAX, FRAME_WINDOW_MAX, SUBJECT_BYTES_MAX } from "../../core/limits.ts";
import { blobId, bytes, chunkStored, count, fileBytes, identity } from "../../core/shapes.ts";

const transfer = {
  /** Made by the caller. */
  transferId: identity,
  /** Where the node sends its frames: an inbox. */
  inbox: z.string().max(SUBJECT_BYTES_MAX),
  token: z.string().max(512),
};
/** How many frames may be sent before the receiver asks for more. */
const credit = count.max(FRAME_WINDOW_MAX);
const digest = z
  .object({ algorithm: z.enum(DIGEST_ALGORITHMS), value: z.string().max(128) })
  .refine(({ algorithm, value }) => isDigestHex(algorithm, value), "hex digits, as many as the algorithm has");

export const bytesOnBus = defineContract({
  name: "bytes",
  doc: "A storage node's data server, for those who cannot connect to it: begins transfers of bytes, whose frames follow.",
  subject: "troupe.v1.bytes.{nodeId}",
  requests: {
    read: request({
      doc: "Begins to send one range of a blob; the first of its bytes are known to be readable and right when this answers.",
      input: z.object({ ...transfer, blobId, offset: fileBytes, lengthBytes: fileBytes, credit }),
      output: z.object({}),
      errors: ["FORBIDDEN", "BLOB_NOT_FOUND", "BLOB_DAMAGED", "DISK_FAILED", "RANGE_NOT_SATISFIABLE", "TOO_MANY"],
    }),
    readUpload: request({
      doc: "The same of an upload that is not a file yet, from its bytes without a gap.",
      input: z.object({ ...transfer, uploadId: identity, offset: fileBytes, lengthBytes: fileBytes, credit }),
      output: z.object({}),
      errors: [
        "FORBIDDEN",
        "UPLOAD_NOT_FOUND",
        "UPLOAD_BUSY",
        "UPLOAD_MERGED",
        "UPLOAD_CANCELLED",
        "UPLOAD_EXPIRED",
        "UPLOAD_FAILED",
        "BLOB_DAMAGED",
        "DISK_FAILED",
        "RANGE_NOT_SATISFIABLE",
        "TOO_MANY",
      ],
    }),
    write: request({
      doc: "Begins to receive one chunk: answers when the node wants its bytes, or with what it has without them.",
      input: z.object({
        ...transfer,
        uploadId: identity,
        index: count.max(CHUNK_COUNT_MAX - 1),
        lengthBytes: bytes.optional(),
        fromBytes: bytes.optional(),
        isAtomic: z.boolean().optional(),
        digests: z.array(digest).max(DIGEST_ALGORITHMS.length),
      }),
      output: z.object({ credit, stored: chunkStored.optional() }),
      errors: [
        "FORBIDDEN",
        "UPLOAD_NOT_FOUND",
        "UPLOAD_BUSY",
        "UPLOAD_COMMITTING",
        "UPLOAD_MERGED",
        "UPLOAD_CANCELLED",
        "UPLOAD_EXPIRED",
        "UPLOAD_FAILED",
        "UPLOAD_FINAL",
        "OFFSET_MISMATCH",
        "CHUNK_CONFLICT",
        "CHUNK_LENGTH",
        "CHUNK_OUT_OF_RANGE",
        "DIGEST_MISMATCH",
        "TOO_LARGE",
        "TOO_MANY",
        "DISK_FULL",
        "DISK_FAILED",
      ],
    }),
  },
});
