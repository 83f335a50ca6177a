/**
 * What the client reads of the gateway's answers. Fields it does not know are kept as they are: it talks to a newer gateway, and
 * `--json` shows all there is.
 */
import { z } from "zod";
import { PAGE_ITEMS_MAX } from "../core/limits.ts";
import { bytes, count, durationMs, fileDigests, fileId, identity, indexRanges, lastError, uploadState } from "../core/shapes.ts";

/**
 * The address of a file: it is printed, and given to players. Only of the web, and in the one way of writing in which nothing of it is a
 * control character or begins like an option.
 */
const webAddress = z.string().transform((text, context) => {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url.href;
  context.addIssue({ code: "custom", message: "an address that begins with http:// or https://" });
  return z.NEVER;
});

/** A file as a merge, a whole upload or its metadata tell it. */
export const storedFile = z.looseObject({
  fileId,
  name: z.string(),
  size: bytes,
  digest: fileDigests,
  url: webAddress,
  copies: count.optional(),
  contentType: z.string().optional(),
  app: z.string().optional(),
  user: z.string().optional(),
  created: z.string().optional(),
});
export type StoredFile = z.output<typeof storedFile>;

/** What whoever knows a digest is asked, to show that they have the bytes, too. */
export const possessionChallenge = z.object({
  /** Hex; the key of the HMAC. */
  nonce: z.string().regex(/^(?:[0-9a-f]{2})+$/),
  /** Offset and bytes of each span of the file, in the order they go into the HMAC. */
  ranges: z.array(z.tuple([bytes, bytes])),
});
export type PossessionChallenge = z.output<typeof possessionChallenge>;

export const createdUpload = z.looseObject({
  uploadId: identity,
  chunkBytes: bytes.positive(),
  chunkCount: count.optional(),
  state: uploadState,
  missing: indexRanges,
  missingTruncated: z.boolean().default(false),
  challenge: possessionChallenge.optional(),
});
export type CreatedUpload = z.output<typeof createdUpload>;

export const uploadProgress = createdUpload.omit({ uploadId: true, challenge: true }).extend({
  uploadId: identity.optional(),
  name: z.string().optional(),
  since: z.string().optional(),
  size: bytes.optional(),
  receivedCount: count,
  receivedBytes: bytes.optional(),
  /** When it will have expired if nothing comes. */
  expires: z.string().optional(),
  lastError: lastError.optional(),
  fileId: fileId.optional(),
});
export type UploadProgress = z.output<typeof uploadProgress>;

export const signedLink = z.looseObject({ url: webAddress, expires: z.string().nullish() });
export type SignedLink = z.output<typeof signedLink>;

export const chunkAnswer = z.object({ index: count, receivedCount: count, copies: count.optional() });
export type ChunkAnswer = z.output<typeof chunkAnswer>;

export const filePage = z.object({ files: z.array(storedFile).max(PAGE_ITEMS_MAX), cursor: z.string().optional() });
export type FilePage = z.output<typeof filePage>;

export const uploadSummary = z.looseObject({
  uploadId: identity,
  name: z.string(),
  state: uploadState,
  since: z.string().optional(),
  size: bytes.optional(),
  fileId: fileId.optional(),
});
export type UploadSummary = z.output<typeof uploadSummary>;
export const uploadPage = z.object({ uploads: z.array(uploadSummary).max(PAGE_ITEMS_MAX), cursor: z.string().optional() });

export const clusterReport = z.looseObject({
  groups: z.array(z.looseObject({ group: identity, nodeCount: count, activeCount: count, freeBytes: bytes, totalBytes: bytes })),
  nodes: z.array(
    z.looseObject({
      nodeId: identity,
      group: identity,
      zone: z.string(),
      state: z.string(),
      /** How long ago the last heartbeat was. */
      silentMs: durationMs,
      freeBytes: bytes,
      totalBytes: bytes,
      version: z.string().optional(),
    }),
  ),
});
export type ClusterReport = z.output<typeof clusterReport>;
