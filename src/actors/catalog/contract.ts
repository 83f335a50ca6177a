/**
 * The catalog: files, blobs, references, digests, who hosts which upload and how it ended. All of it is in the database; any number
 * of catalogs answer. The asking principal comes with the message and sees only what is its own.
 */
import { z } from "zod";
import { defineContract, request } from "../../bus/contract.ts";
import { NAME_BYTES_MAX } from "../../core/limits.ts";
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
  fileRecord,
  folderPath,
  identity,
  lastError,
  limit,
  operation,
  owner,
  tusPlan,
  uploadState,
  user,
  wallMs,
} from "../../core/shapes.ts";

/** Where the bytes of a file are. */
export const blobLocation = z.object({ blobId, path: z.string().max(64), group: identity, nodeIds: z.array(identity) });

export type FileRecord = z.output<typeof fileRecord>;

/** What a folder of names holds: a folder by its own name, or the newest file of a name, which is its last segment. */
export const folderEntry = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("folder"), name: z.string().max(NAME_BYTES_MAX) }),
  z.object({
    kind: z.literal("file"),
    name: z.string().max(NAME_BYTES_MAX),
    fileId,
    sizeBytes: fileBytes,
    contentType,
    createdMs: wallMs,
    modifiedMs: wallMs,
  }),
]);
export type FolderEntry = z.output<typeof folderEntry>;

export const locatedFile = fileRecord.extend({ blob: blobLocation });
export type LocatedFile = z.output<typeof locatedFile>;

/** Content that is there already, and where. */
export const knownContent = z.object({ sizeBytes: fileBytes, digests: fileDigests, blob: blobLocation });
export type KnownContent = z.output<typeof knownContent>;

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
  tus: tusPlan.optional(),
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
    createdUpload: request({
      doc: "The upload of the principal's that was created with this key, if there is one: what a creation asks when it cannot begin anything.",
      input: z.object({ operation }),
      output: z.object({ upload: uploadRecord.optional() }),
      errors: ["IDEMPOTENCY_CONFLICT"],
      readOnly: true,
    }),
    claimUpload: request({
      doc: "A host takes its upload over after a restart: the epoch that it names grows by one, and what an earlier host sends is refused. The same again gives the same answer. An ended upload is answered as it ended.",
      input: z.object({ uploadId: identity, host: identity, after: epoch.optional() }),
      output: uploadRecord,
      errors: ["UPLOAD_NOT_FOUND", "EPOCH_STALE"],
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
      errors: ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "BLOB_ID_TAKEN"],
    }),
    ownContent: request({
      doc: "Content with this digest of which the principal has a file. Content of somebody else's is not there.",
      input: z.object({ digest: digestClaim, sizeBytes: fileBytes.optional() }),
      output: z.object({ content: knownContent.optional() }),
      errors: [],
      readOnly: true,
    }),
    instantUpload: request({
      doc: "An upload that is a file at once: a reference to content of the principal's own, in one transaction. No file when the operation's key stands for an upload with bytes. The same again gives the same answer.",
      input: uploadPlan.extend({ host: identity, group: identity, operation: operation.optional(), blobId }),
      output: z.object({ file: locatedFile.optional() }),
      errors: ["BLOB_NOT_FOUND", "IDEMPOTENCY_CONFLICT"],
      repeatable: true,
    }),
    provableContent: request({
      doc: "Content with this digest, whoever has a file of it: what a proof of possession is measured by. For the host of an upload only.",
      input: z.object({ digest: digestClaim, sizeBytes: fileBytes }),
      output: z.object({ content: knownContent.optional() }),
      errors: ["FORBIDDEN"],
      repeatable: true,
    }),
    commitKnown: request({
      doc: "Possession was proven: the upload becomes a file of the blob with the content it claims, in one transaction. For its host only. The same again gives the same answer.",
      input: z.object({ uploadId: identity, epoch, blobId }),
      output: z.object({ file: locatedFile, isDuplicate: z.boolean() }),
      errors: ["BLOB_NOT_FOUND", "FORBIDDEN", "UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED"],
    }),
    upload: request({
      doc: "One upload of the principal's: who hosts it, or how it ended.",
      input: z.object({ uploadId: identity }),
      output: uploadRecord,
      errors: ["UPLOAD_NOT_FOUND"],
      readOnly: true,
    }),
    ready: request({
      doc: "This catalog's database answers it.",
      input: z.object({}),
      output: z.object({}),
      errors: [],
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
      doc: "Whether files refer to a blob (live), none do any more (retired), or it was never committed (unknown). With a path: of the blob that lies there.",
      input: z.object({ blobId, path: z.string().max(64).optional() }),
      output: z.object({ state: z.enum(["live", "retired", "unknown"]) }),
      errors: [],
      readOnly: true,
    }),
    uploads: request({
      doc: "Uploads of the principal's, newest first; `state` `receiving` stands for every state that has not ended, and `search` is a part of the name, in capitals or not, or an upload's ID. A page of a search may be short.",
      input: z.object({ state: uploadState.optional(), search: z.string().min(1).max(255).optional(), cursor: cursor.optional(), limit }),
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
    folder: request({
      doc: "One page of what a folder of the principal's files holds: its folders, and the newest file of each name, in order of their bytes. A page may be short.",
      input: z.object({ user, path: folderPath, cursor: cursor.optional(), limit }),
      output: z.object({ entries: z.array(folderEntry), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
    fileByName: request({
      doc: "The newest of the principal's files of a user and a name, with where its bytes are.",
      input: z.object({ user, name: fileName }),
      output: locatedFile,
      errors: ["FILE_NOT_FOUND"],
      readOnly: true,
    }),
    users: request({
      doc: "Users that the principal's files carry, in order of their bytes. A page may be short.",
      input: z.object({ cursor: cursor.optional(), limit }),
      output: z.object({ users: z.array(user), cursor: cursor.optional() }),
      errors: ["BAD_CURSOR"],
      readOnly: true,
    }),
    renameFile: request({
      doc: "A file of the principal's gets another name, unless another file of the same owner and user has it; its own it may have again.",
      input: z.object({ fileId, name: fileName }),
      output: fileRecord,
      errors: ["FILE_NOT_FOUND", "NAME_TAKEN"],
    }),
    deleteFile: request({
      doc: "A file of the principal's is gone when this answers; its bytes follow after a grace when nothing else refers to them. The same again is FILE_NOT_FOUND.",
      input: z.object({ fileId }),
      output: z.object({}),
      errors: ["FILE_NOT_FOUND"],
    }),
  },
});
