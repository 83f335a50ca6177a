/** A storage node: one data directory, its blobs, and the upload sessions it hosts. */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import {
  app,
  blobId,
  bytes,
  contentType,
  count,
  cursor,
  dataAccess,
  digestClaim,
  epoch,
  fileBytes,
  fileName,
  identity,
  indexRanges,
  limit,
  operation,
  uploadState,
  user,
  wallMs,
} from "../../core/shapes.ts";

export const storage = defineContract({
  name: "storage",
  doc: "Owns one data directory: bytes, journals and verification state. Hosts upload sessions.",
  subject: "troupe.v1.storage.{nodeId}",
  requests: {
    createUpload: request({
      doc: "Opens a session on this node: space is reserved, the journal is on disk and the catalog knows it before this answers.",
      input: z.object({
        app,
        user,
        name: fileName,
        contentType,
        sizeBytes: fileBytes.optional(),
        chunkBytes: bytes.optional(),
        digest: digestClaim.optional(),
        operation: operation.optional(),
      }),
      output: z.object({
        uploadId: identity,
        epoch,
        chunkBytes: bytes,
        chunkCount: count.optional(),
        state: uploadState,
        missing: indexRanges,
        /** False when the operation's key was used before: this is that upload. */
        isNew: z.boolean(),
        /** Absent when the upload answered is hosted by another node. */
        access: dataAccess.optional(),
      }),
      errors: ["BAD_CHUNK_SIZE", "TOO_LARGE", "DISK_FULL", "TOO_MANY", "DISK_FAILED", "IDEMPOTENCY_CONFLICT"],
    }),
    grantRead: request({
      doc: "A token with which this node's data server serves one whole blob, which is on its disk with this size, for six hours.",
      input: z.object({ blobId, path: z.string().max(64), sizeBytes: fileBytes }),
      output: dataAccess,
      errors: ["BLOB_NOT_FOUND", "BLOB_DAMAGED", "DISK_FAILED"],
    }),
    retireBlob: request({
      doc: "Nothing refers to this blob any more: new reads are refused at once, and its bytes are removed after the grace. The same again is fine.",
      input: z.object({ blobId, path: z.string().max(64) }),
      output: z.object({}),
      errors: ["DISK_FAILED", "DISK_FULL", "TOO_MANY"],
    }),
    status: request({
      doc: "The node's space, sessions and open reads.",
      input: z.object({}),
      output: z.object({
        nodeId: identity,
        group: identity,
        zone: identity,
        startedMs: wallMs,
        totalBytes: bytes,
        freeBytes: bytes,
        reservedBytes: bytes,
        uploadCount: count,
        retiredCount: count,
        openBlobCount: count,
        suspect: z.string().optional(),
        dataUrl: z.string().optional(),
      }),
      errors: [],
      lane: "priority",
      readOnly: true,
    }),
    uploads: request({
      doc: "The sessions this node hosts, by ID.",
      input: z.object({ cursor: cursor.optional(), limit }),
      output: z.object({
        uploads: z.array(
          z.object({ uploadId: identity, state: uploadState, sinceMs: wallMs, receivedCount: count, chunkCount: count.optional() }),
        ),
        cursor: cursor.optional(),
      }),
      errors: [],
      lane: "priority",
      readOnly: true,
    }),
  },
});
