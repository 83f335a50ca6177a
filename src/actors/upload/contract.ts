/** One upload: its state machine, on the storage node that hosts it. Chunk bytes are in no message: they go to the data server. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { machineInspection } from "../../core/inspection.ts";
import {
  bytes,
  challenge,
  count,
  dataAccess,
  epoch,
  fileBytes,
  fileDigests,
  fileId,
  fileName,
  hmacHex,
  identity,
  indexRanges,
  lastError,
  owner,
  tusPlan,
  uploadState,
  wallMs,
} from "../../core/shapes.ts";

/** What an upload has become. */
export const mergedFile = z.object({
  fileId,
  name: fileName,
  sizeBytes: fileBytes,
  digests: fileDigests,
  copies: count,
  durability: z.enum(["single-copy", "complete"]),
});
export type MergedFile = z.output<typeof mergedFile>;

export const uploadStatus = z.object({
  uploadId: identity,
  fileId,
  owner,
  host: identity,
  epoch,
  name: fileName,
  state: uploadState,
  /** When it entered this state. */
  sinceMs: wallMs,
  sizeBytes: fileBytes.optional(),
  chunkBytes: bytes,
  chunkCount: count.optional(),
  receivedCount: count,
  receivedBytes: bytes,
  inFlightCount: count,
  /** At most 1000 ranges; then `missingTruncated`. While the size is unknown, gaps below the highest chunk received. */
  missing: indexRanges,
  missingTruncated: z.boolean(),
  /** Durable from the beginning without a gap: where a body goes on. */
  offsetBytes: bytes,
  /** How many bytes from the beginning may be hashed already, on the way to the file's digest. */
  followedBytes: bytes,
  /** When it will have expired if nothing comes. Absent while it cannot expire: a merge is under way, or was promised. */
  expiresMs: wallMs.optional(),
  /** When something came last, to a second. Absent when nothing is to come any more. */
  lastActivityMs: wallMs.optional(),
  lastError: lastError.optional(),
  /** Once merged. */
  file: mergedFile.optional(),
  tus: tusPlan.optional(),
});
export type UploadStatus = z.output<typeof uploadStatus>;

const MERGE_ERRORS = [
  "UPLOAD_NOT_FOUND",
  "UPLOAD_INCOMPLETE",
  "UPLOAD_BUSY",
  "UPLOAD_PARTIAL",
  "UPLOAD_CANCELLED",
  "UPLOAD_EXPIRED",
  "UPLOAD_FAILED",
  "DIGEST_MISMATCH",
  "TOO_FEW_MEMBERS",
  "DISK_FULL",
  "DISK_FAILED",
  "EPOCH_STALE",
  "ID_SPACE_EXHAUSTED",
] as const;

export const upload = defineContract({
  name: "upload",
  doc: "One upload session: which chunks have arrived, and the steps from there to a file.",
  subject: "troupe.v1.upload.{uploadId}",
  requests: {
    status: request({
      doc: "The state, since when, what is missing, and what went wrong last.",
      input: z.object({}),
      output: uploadStatus,
      errors: ["UPLOAD_NOT_FOUND"],
      lane: "priority",
      readOnly: true,
    }),
    inspect: request({
      doc: "What the session's machine is in, how it came there step by step, and what is done for it at this moment.",
      input: z.object({}),
      output: machineInspection,
      errors: ["UPLOAD_NOT_FOUND"],
      lane: "priority",
      readOnly: true,
    }),
    access: request({
      doc: "Where and with what right chunks of this upload are sent, and read back.",
      input: z.object({}),
      output: z.object({
        access: dataAccess,
        owner,
        epoch,
        chunkBytes: bytes,
        sizeBytes: fileBytes.optional(),
        challenge: challenge.optional(),
      }),
      errors: ["UPLOAD_NOT_FOUND"],
      lane: "priority",
    }),
    settle: request({
      doc: "Ends bodies under way that go on within a chunk, and answers when what has arrived of them is durable: `offsetBytes` is where the next one goes on.",
      input: z.object({ epoch }),
      output: uploadStatus,
      errors: ["UPLOAD_NOT_FOUND", "EPOCH_STALE"],
    }),
    declareSize: request({
      doc: "Says the size of an upload that was begun without one. The same again is fine.",
      input: z.object({ epoch, sizeBytes: fileBytes }),
      output: uploadStatus,
      errors: [
        "UPLOAD_NOT_FOUND",
        "UPLOAD_SIZE_FIXED",
        "UPLOAD_FINAL",
        "UPLOAD_BUSY",
        "UPLOAD_MERGED",
        "UPLOAD_CANCELLED",
        "UPLOAD_EXPIRED",
        "UPLOAD_FAILED",
        "TOO_LARGE",
        "DISK_FULL",
        "DISK_FAILED",
        "EPOCH_STALE",
      ],
    }),
    merge: request({
      doc: "Turn the received chunks into a file. The same again gives the same answer. With `wait: false` it answers as soon as the merge has begun. What is put together from parts is waited for until it is.",
      input: z.object({ epoch, wait: z.boolean().default(true) }),
      output: z.object({
        state: uploadState,

        file: mergedFile.optional(),
      }),
      errors: MERGE_ERRORS,
    }),
    prove: request({
      doc: "A proof that the client has the content it claims, by the challenge that the creation gave: one try. With `file` it did, otherwise the upload goes on; what does not hold is answered after a fixed time. The same again gives the same answer.",
      input: z.object({ epoch, hmac: hmacHex }),
      output: uploadStatus,
      errors: ["UPLOAD_NOT_FOUND", "UPLOAD_BUSY", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "EPOCH_STALE"],
    }),
    cancel: request({
      doc: "End the upload and remove what was received. The same again is fine; a commit under way is never cancelled. `because` is told as its last error, where its client did not ask for it.",
      input: z.object({ epoch, because: lastError.optional() }),
      output: z.object({ state: uploadState }),
      errors: ["UPLOAD_NOT_FOUND", "UPLOAD_COMMITTING", "UPLOAD_MERGED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "EPOCH_STALE"],
      lane: "priority",
    }),
  },
});
