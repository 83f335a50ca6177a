/**
 * The catalog: files, blobs, references, digests, who hosts which upload and how it ended. All of it is in the database; any number
 * of catalogs answer. The asking principal comes with the message and sees only what is its own.
 */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import {
  app,
  blobId,
  bytes,
  contentType,
  cursor,
  digestClaim,
  epoch,
  fileBytes,
  fileDigests,
  fileId,
  fileName,
  identity,
  lastError,
  limit,
  operation,
  owner,
  uploadState,
  user,
  wallMs,
} from "../../core/shapes.ts";

/** Where the bytes of a file are. */
export const blobLocation = z.object({ blobId, path: z.string().max(64), group: identity, nodeIds: z.array(identity) });

/** A file as its owner sees it. */
export const fileRecord = z.object({
  fileId,
  owner,
  app,
  user,
  name: fileName,
  sizeBytes: fileBytes,
  contentType,
  digests: fileDigests,
  createdMs: wallMs,
  modifiedMs: wallMs,
});
export type FileRecord = z.output<typeof fileRecord>;

export const locatedFile = fileRecord.extend({ blob: blobLocation });
export type LocatedFile = z.output<typeof locatedFile>;

/** What an upload was created with. */
export const uploadPlan = z.object({
  uploadId: identity,
  /** Decided at creation, so that a commit repeated after a crash names the same file. */
  fileId,
  app,
  user,
  name: fileName,
  contentType,
  /** Absent while the client has not said. */
  sizeBytes: fileBytes.optional(),
  chunkBytes: bytes,
  digest: digestClaim.optional(),
  createdMs: wallMs,
});
export type UploadPlan = z.output<typeof uploadPlan>;

/** An upload as the catalog keeps it: its plan, who hosts it, and its outcome once it has ended (kept 7 days). */
export const uploadRecord = uploadPlan.extend({
  owner,
  host: identity,
  group: identity,
  epoch,
  state: uploadState,
  sinceMs: wallMs,
  lastError: lastError.optional(),
  /** Present once merged. */
  digests: fileDigests.optional(),
});
export type UploadRecord = z.output<typeof uploadRecord>;

export const catalog = defineContract({
  name: "catalog",
  doc: "Keeps files, blobs, references, digests, upload ownership and outcomes, idempotent operations and the outbox, in the database.",
  subject: "troupe.v1.catalog",
  requests: {
    registerUpload: request({
      doc: "A storage node hosts a new upload. When the operation's key was used before for the same request, the first upload's ID is answered and `isNew` is false.",
      input: uploadPlan.extend({ host: identity, group: identity, operation: operation.optional() }),
      output: z.object({ uploadId: identity, epoch, isNew: z.boolean() }),
      errors: ["IDEMPOTENCY_CONFLICT"],
    }),
    claimUpload: request({
      doc: "A host takes its upload over after a restart: the epoch grows, and what an earlier host sends is refused. An ended upload is answered as it ended.",
      input: z.object({ uploadId: identity, host: identity }),
      output: uploadRecord,
      errors: ["UPLOAD_NOT_FOUND"],
    }),
    endUpload: request({
      doc: "An upload ended without becoming a file. The same again gives the same answer. One whose creation was never answered is forgotten, with its operation.",
      input: z.object({
        uploadId: identity,
        epoch,
        state: z.enum(["cancelled", "expired", "failed"]),
        lastError: lastError.optional(),
        isForgotten: z.boolean().default(false),
      }),
      output: z.object({}),
      errors: ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_MERGED"],
    }),
    commitFile: request({
      doc: "In one transaction: the blob (or a reference to the one that has the same content already), the file, the upload's outcome, the outbox. The same again gives the same answer.",
      input: z.object({ uploadId: identity, epoch, sizeBytes: fileBytes, digests: fileDigests, blob: blobLocation }),
      output: z.object({ file: locatedFile, isDuplicate: z.boolean() }),
      errors: ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED"],
    }),
    upload: request({
      doc: "One upload of the principal's: who hosts it, or how it ended.",
      input: z.object({ uploadId: identity }),
      output: uploadRecord,
      errors: ["UPLOAD_NOT_FOUND"],
      readOnly: true,
    }),
    hostedUploads: request({
      doc: "IDs of the uploads that a host has and that have not ended, in order: what it must have on its disk.",
      input: z.object({ host: identity, cursor: cursor.optional(), limit }),
      output: z.object({ uploadIds: z.array(identity), cursor: cursor.optional() }),
      errors: [],
      readOnly: true,
    }),
    blobState: request({
      doc: "Whether files refer to a blob (live), none do any more (retired), or it was never committed (unknown).",
      input: z.object({ blobId }),
      output: z.object({ state: z.enum(["live", "retired", "unknown"]) }),
      errors: [],
      readOnly: true,
    }),
    uploads: request({
      doc: "Uploads of the principal's, newest first; `state` `receiving` stands for every state that has not ended.",
      input: z.object({ state: uploadState.optional(), cursor: cursor.optional(), limit }),
      output: z.object({ uploads: z.array(uploadRecord), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
    file: request({
      doc: "One file of the principal's, with where its bytes are.",
      input: z.object({ fileId }),
      output: locatedFile,
      errors: ["FILE_NOT_FOUND"],
      readOnly: true,
    }),
    files: request({
      doc: "Files of the principal's, newest first, by app, user and the beginning of the name.",
      input: z.object({
        app: app.optional(),
        user: user.optional(),
        prefix: z.string().max(255).optional(),
        cursor: cursor.optional(),
        limit,
      }),
      output: z.object({ files: z.array(fileRecord), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
    renameFile: request({
      doc: "A file of the principal's gets another name.",
      input: z.object({ fileId, name: fileName }),
      output: fileRecord,
      errors: ["FILE_NOT_FOUND"],
    }),
    deleteFile: request({
      doc: "A file of the principal's is gone when this answers; its bytes follow after a grace when nothing else refers to them. The same again is FILE_NOT_FOUND.",
      input: z.object({ fileId }),
      output: z.object({}),
      errors: ["FILE_NOT_FOUND"],
    }),
  },
});
