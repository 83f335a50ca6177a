/** Schemas that several contracts share, and the words for states that users see. */
import { z } from "zod";
import { DIGEST_BYTES, type FileDigestAlgorithm, isDigestHex } from "./digest.ts";
import type { ErrorCode } from "./errors.ts";
import { FILE_ID_PATTERN } from "./file-id.ts";
import { IDENTITY_PATTERN } from "./identity.ts";
import {
  APP_BYTES_MAX,
  BLOB_ID_LIMIT,
  CHALLENGE_RANGES_MAX,
  CONTENT_TYPE_BYTES_MAX,
  FILE_BYTES_LIMIT,
  IDEMPOTENCY_KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  PAGE_ITEMS_DEFAULT,
  PAGE_ITEMS_MAX,
  TUS_METADATA_CHARACTERS_MAX,
  TUS_PARTS_MAX,
  USER_BYTES_MAX,
} from "./limits.ts";

const utf8Bytes = (text: string): number => Buffer.byteLength(text, "utf8");
const text = (bytesMax: number) =>
  z.string().refine((value) => utf8Bytes(value) <= bytesMax && value.isWellFormed(), `at most ${bytesMax} bytes of UTF-8`);

export const identity = z.string().regex(IDENTITY_PATTERN, "1 to 64 letters, digits, '-' or '_'");
export const fileId = z.string().regex(FILE_ID_PATTERN, "30 hex digits and 6 decimal ones");
export const count = z.int().nonnegative();
export const bytes = z.int().nonnegative();
export const fileBytes = z.int().nonnegative().max(FILE_BYTES_LIMIT);
/** Milliseconds since 1970. */
export const wallMs = z.int().nonnegative();
export const durationMs = z.int().nonnegative();
export const blobId = z
  .int()
  .nonnegative()
  .max(BLOB_ID_LIMIT - 1);
export const epoch = z.int().positive();

/** Why a name cannot be one, or `undefined`. A name may hold `/`; then no segment is empty, `.` or `..`. */
export function nameFault(name: string): string | undefined {
  if (name.length === 0) return "a name is not empty";
  if (!name.isWellFormed()) return "a name is valid Unicode";
  if (utf8Bytes(name) > NAME_BYTES_MAX) return `a name has at most ${NAME_BYTES_MAX} bytes of UTF-8`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) return "a name has no control characters";
  if (name.split("/").some((segment) => segment === "" || segment === "." || segment === ".."))
    return "no part of a name between slashes is empty, '.' or '..'";
  return undefined;
}

export const fileName = z.string().check((context) => {
  const fault = nameFault(context.value);
  if (fault !== undefined) context.issues.push({ code: "custom", message: fault, input: context.value });
});
/** Where files lie among names: empty for the top, otherwise the beginning of a name with the slash it ends in. */
export const folderPath = z
  .string()
  .refine((path) => path === "" || (path.endsWith("/") && nameFault(path.slice(0, -1)) === undefined), "empty, or a name and a slash");
// A label is shown and logged; control characters would forge lines.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const label = (bytesMax: number) => text(bytesMax).regex(/^[^\u0000-\u001f\u007f]+$/, "not empty, no control characters");
export const app = label(APP_BYTES_MAX);
export const user = label(USER_BYTES_MAX);
export const owner = label(USER_BYTES_MAX);
export const contentType = text(CONTENT_TYPE_BYTES_MAX).regex(
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(\s*;\s*[\w!#$&^.+-]+=("[^"\r\n]*"|[\w!#$&^.+-]+))*$/,
  "a media type such as video/mp4",
);
export const idempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]+$/, "visible ASCII")
  .max(IDEMPOTENCY_KEY_BYTES_MAX);

export const digestClaim = z
  .object({ algorithm: z.enum(["blake3", "sha256", "sha1", "md5"] satisfies FileDigestAlgorithm[]), value: z.string().toLowerCase() })
  .refine(
    (claim) => isDigestHex(claim.algorithm, claim.value),
    `hex digits: blake3 and sha256 ${DIGEST_BYTES.sha256 * 2}, sha1 ${DIGEST_BYTES.sha1 * 2}, md5 ${DIGEST_BYTES.md5 * 2}`,
  );
const hex = (algorithm: FileDigestAlgorithm) => z.string().refine((value) => isDigestHex(algorithm, value), `${algorithm} in hex`);
export const fileDigests = z.object({
  blake3: hex("blake3"),
  sha256: hex("sha256").optional(),
  sha1: hex("sha1").optional(),
  md5: hex("md5").optional(),
});
export type FileDigests = z.output<typeof fileDigests>;

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

/**
 * What is to be proven of content: the HMAC-SHA-256, keyed by the nonce's bytes, of the ranges' bytes in their order.
 * Ranges are `[offset, bytes]`, ascending, apart.
 */
export const challenge = z.object({
  nonce: z.string().regex(/^[0-9a-f]{64}$/),
  ranges: z
    .array(z.tuple([bytes, bytes.positive()]))
    .min(1)
    .max(CHALLENGE_RANGES_MAX),
});
export type Challenge = z.output<typeof challenge>;
export const hmacHex = z
  .string()
  .toLowerCase()
  .regex(/^[0-9a-f]{64}$/, "an HMAC-SHA-256 in hex, 64 digits");

/** An idempotency key with a digest of the request it stands for: the same key for another request is refused. */
export const operation = z.object({ key: idempotencyKey, requestDigest: z.string().regex(/^[0-9a-f]{64}$/) });
export type Operation = z.output<typeof operation>;

export const UPLOAD_STATES = [
  "init",
  "receiving",
  "verifying",
  "replicating",
  "committing",
  "merged",
  "cancelled",
  "expired",
  "failed",
] as const;
export type UploadState = (typeof UPLOAD_STATES)[number];
export const uploadState = z.enum(UPLOAD_STATES);
export const ENDED_STATES = ["merged", "cancelled", "expired", "failed"] as const satisfies readonly UploadState[];
export type EndedState = (typeof ENDED_STATES)[number];

/** What a command is answered when the upload has ended like this. */
export const ENDED_CODES = {
  merged: "UPLOAD_MERGED",
  cancelled: "UPLOAD_CANCELLED",
  expired: "UPLOAD_EXPIRED",
  failed: "UPLOAD_FAILED",
} as const satisfies Record<EndedState, ErrorCode>;

export function isEnded(state: UploadState): state is EndedState {
  return (ENDED_STATES as readonly UploadState[]).includes(state);
}

/** Why an upload is not going on: a code from the table, a sentence, and whether merging again may help. */
export const lastError = z.object({ code: z.string(), detail: z.string(), retryable: z.boolean() });
export type LastError = z.output<typeof lastError>;

/** What the tus protocol wants to be remembered of an upload. */
export const tusPlan = z.object({
  /** `Upload-Metadata` as it came. */
  metadata: z.string().max(TUS_METADATA_CHARACTERS_MAX).optional(),
  /** It is there to become part of others, never a file by itself. */
  isPartial: z.literal(true).optional(),
  /** IDs of the uploads it is put together from, in order. */
  parts: z.array(identity).min(1).max(TUS_PARTS_MAX).optional(),
});
export type TusPlan = z.output<typeof tusPlan>;

export const limit = z.int().positive().max(PAGE_ITEMS_MAX).default(PAGE_ITEMS_DEFAULT);
export const cursor = z.string().max(512);

/** Inclusive ranges of chunk indexes. */
export const indexRanges = z.array(z.tuple([count, count]));

/** What a node answers when it has a chunk; see the DataPlane port. */
export const chunkStored = z.object({ index: count, copies: count, receivedCount: count, lengthBytes: bytes, isNew: z.boolean() });

/** A right to move bytes to or from one node; see the DataPlane port. */
export const dataAccess = z.object({ nodeId: identity, url: z.string().optional(), token: z.string().max(512) });
