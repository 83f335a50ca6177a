/**
 * The one table of errors: every failure that crosses a boundary (bus, HTTP, command line) is a {@link TroupeError} with a
 * code from here. `docs/ERRORS.md` is generated from this table. Nobody matches message texts.
 */

/** What a caller may do about an error. */
export const RETRY = {
  /** The same request will fail again. */
  never: "never",
  /** Change the request (the sentence says how) and send it again. */
  changed: "changed",
  /** Wait a little and send the same request again, with the same idempotency key. */
  later: "later",
} as const;
export type Retry = (typeof RETRY)[keyof typeof RETRY];

interface ErrorRow {
  /** HTTP status. */
  readonly http: number;
  /** `Nats-Service-Error-Code` on the bus; the HTTP status unless there is a reason. */
  readonly nats: number;
  readonly retry: Retry;
  /** One sentence for a person: what it means and what to do. */
  readonly sentence: string;
}

const row = (http: number, retry: Retry, sentence: string): ErrorRow => ({ http, nats: http, retry, sentence });

export const ERRORS = {
  // The request itself
  BAD_REQUEST: row(400, "changed", "The request does not have the form this route or actor expects; the detail names the field."),
  BAD_PATH: row(400, "changed", "The request target is not a path this server accepts."),
  BAD_IDENTITY: row(400, "changed", "An identity has 1 to 64 letters, digits, '-' or '_'."),
  BAD_NAME: row(400, "changed", "A file name has 1 to 255 bytes of UTF-8, no control characters, and no '.' or '..' between slashes."),
  BAD_CHUNK_SIZE: row(
    400,
    "changed",
    "chunkBytes is a multiple of 64 KiB from 64 KiB to 64 MiB, and large enough for at most 1,000,000 chunks.",
  ),
  BAD_DIGEST: row(400, "changed", "The digest's algorithm is not supported here, or its value does not have that algorithm's length."),
  BAD_CURSOR: row(400, "changed", "The cursor was not made by this listing; start again without one."),
  UNAUTHORIZED: row(401, "changed", "This server wants a token: send it as 'Authorization: Bearer <secret>'."),
  FORBIDDEN: row(403, "never", "The token does not allow this."),
  LINK_EXPIRED: row(403, "never", "This link was made for a limited time, which is over; ask whoever gave it for a new one."),
  FOREIGN_HOST: row(403, "changed", "The Host header names a host this server is not known by; start it with --public-url."),
  FOREIGN_ORIGIN: row(403, "changed", "A page of another origin asked; start the server with --cors-origin to allow it."),
  NOT_FOUND: row(404, "never", "There is nothing at this address."),
  FILE_NOT_FOUND: row(404, "never", "No such file, or it was deleted."),
  UPLOAD_NOT_FOUND: row(404, "never", "No such upload; start a new one."),
  NODE_NOT_FOUND: row(404, "never", "The tracker knows no node of this name; a node that is told so joins."),
  GROUP_NOT_FOUND: row(404, "never", "No group of this name has been announced by a storage node."),
  BLOB_NOT_FOUND: row(404, "never", "This node does not hold that blob."),
  METHOD_NOT_ALLOWED: row(405, "never", "This address does not answer that method."),
  REQUEST_TIMEOUT: row(408, "later", "The request arrived too slowly; send it again."),
  NAME_TAKEN: row(409, "changed", "A file of this name is there already; take another name, or rename or delete that file first."),
  UPLOAD_INCOMPLETE: row(409, "changed", "Chunks are missing; send those listed in 'missing', then merge again."),
  UPLOAD_BUSY: row(409, "later", "The upload is in a state that does not allow this now; ask for its state."),
  UPLOAD_COMMITTING: row(409, "later", "The upload is being committed and can no longer be cancelled."),
  UPLOAD_MERGED: row(409, "never", "The upload has already become a file."),
  UPLOAD_CANCELLED: row(410, "never", "The upload was cancelled; start a new one."),
  UPLOAD_EXPIRED: row(410, "never", "The upload was idle too long and has expired; start a new one."),
  UPLOAD_FAILED: row(410, "never", "The upload failed for good; its lastError says why. Start a new one."),
  UPLOAD_SIZE_FIXED: row(409, "never", "The upload's size was said before, and was another."),
  UPLOAD_PARTIAL: row(409, "never", "The upload is a part of others and does not become a file by itself."),
  UPLOAD_FINAL: row(403, "never", "The upload is put together from others and takes no bytes of its own."),
  BLOB_ID_TAKEN: row(409, "changed", "The blob ID was given out for other content before; take another."),
  OFFSET_MISMATCH: row(409, "changed", "The body does not go on where the upload's bytes end; 'offset' says where that is."),
  CHUNK_CONFLICT: row(409, "never", "Other bytes were already stored for this chunk; the first stay."),
  CHUNK_OUT_OF_RANGE: row(416, "changed", "The chunk index is not below chunkCount."),
  CHUNK_LENGTH: row(400, "changed", "The body is shorter or longer than this chunk; every chunk has chunkBytes, the last one the rest."),
  IDEMPOTENCY_CONFLICT: row(409, "changed", "This idempotency key was used for a different request; take a new key."),
  EPOCH_STALE: row(409, "never", "Another host has taken this upload over."),
  LENGTH_REQUIRED: row(411, "changed", "Send a Content-Length."),
  PRECONDITION_FAILED: row(412, "changed", "A condition of the request (If-Match, If-Unmodified-Since) does not hold."),
  TOO_LARGE: row(413, "changed", "The body or the declared size is larger than this server allows."),
  UNSUPPORTED_TYPE: row(415, "changed", "The body's content type is not one this route takes."),
  RANGE_NOT_SATISFIABLE: row(416, "changed", "The range begins past the end of the file."),
  EXPECTATION_FAILED: row(417, "changed", "The request expects something that this server does not do; send it without Expect."),
  CHECKSUM_MISMATCH: row(460, "later", "The body does not have the checksum that came with it; nothing of it counts. Send it again."),
  DIGEST_MISMATCH: row(422, "never", "The bytes do not have the digest that was claimed for them."),
  TOO_MANY: row(429, "later", "Too many requests of this kind at once; wait and try again."),
  HEADERS_TOO_LARGE: row(431, "changed", "The request's headers are too large."),
  // The system
  INTERNAL: row(500, "later", "Something broke on the server; its log has the request ID."),
  BLOB_DAMAGED: row(500, "never", "The stored bytes no longer have their digest, and there is no other copy."),
  DISK_FAILED: row(500, "later", "The disk refused to read, write or sync; the node's log says what."),
  NOT_IMPLEMENTED: row(501, "never", "This server does not do that."),
  BUSY: row(503, "later", "The actor's mailbox is full; wait and try again."),
  OVERLOADED: row(
    503,
    "later",
    "This server has more to do than it can and begins nothing new; what was begun goes on. Wait and try again.",
  ),
  UNAVAILABLE: row(503, "later", "The part of the system this needs is not there at the moment; try again."),
  HOST_UNAVAILABLE: row(503, "later", "The node that holds these bytes does not answer; what was begun goes on when it is back."),
  NO_NODES: row(503, "later", "No storage node is up to take this; see 'troupe nodes'."),
  TOO_FEW_MEMBERS: row(503, "later", "The group has fewer members up than it must keep copies."),
  DATABASE_UNAVAILABLE: row(503, "later", "The database does not answer; try again."),
  BUS_UNAVAILABLE: row(503, "later", "The message bus is not connected; try again."),
  STOPPING: row(503, "later", "This server is stopping; try another or try again."),
  DEADLINE_EXCEEDED: row(504, "later", "No answer came in time; the outcome is unknown until a retry with the same key."),
  CANCELLED: row(499, "later", "The caller gave up before the answer."),
  DISK_FULL: row(507, "later", "There is not enough free space for this; what was received stays."),
  ID_SPACE_EXHAUSTED: row(507, "never", "All blob IDs of this database have been given out."),
  // Starting and settings
  SETTING_INVALID: row(500, "changed", "A setting does not have the form it must have; the detail names it."),
  DIRECTORY_IN_USE: row(500, "changed", "Another process owns this data directory; stop it, or give --data another one."),
  MARKER_MISSING: row(500, "changed", "The data directory holds blobs but no marker: is the right disk mounted? Nothing was touched."),
  FORMAT_TOO_NEW: row(500, "changed", "The data was written by a newer version of Troupe; run that version or a later one."),
  MIGRATION_CHANGED: row(500, "never", "A migration that was already applied has changed; restore the file."),
  PAYLOAD_TOO_LARGE: row(413, "changed", "A message is larger than the bus carries."),
  MESSAGE_REFUSED: row(
    400,
    "changed",
    "The message was refused before it was decoded: too large, too deep, too many items, or a type that is not allowed.",
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** Values that help a program act on an error: `missing` chunks, `retryAfterMs`, … Always plain JSON. */
export type ErrorFacts = Readonly<Record<string, unknown>>;

/** An operating error on its way across a boundary. `detail` is for people; programs read `code` and `facts`. */
export class TroupeError extends Error {
  override readonly name = "TroupeError";
  readonly code: ErrorCode;
  readonly detail: string;
  readonly facts: ErrorFacts;

  constructor(code: ErrorCode, detail?: string, options: { cause?: unknown; facts?: ErrorFacts } = {}) {
    super(`${code}: ${detail ?? ERRORS[code].sentence}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.detail = detail ?? ERRORS[code].sentence;
    this.facts = options.facts ?? {};
  }

  get status(): number {
    return ERRORS[this.code].http;
  }

  get retry(): Retry {
    return ERRORS[this.code].retry;
  }
}

/** Whether waiting and sending the same request again can help. */
export function isRetryable(error: unknown): boolean {
  return error instanceof TroupeError && error.retry === RETRY.later;
}

/** Any thrown value as a {@link TroupeError}; what is not one becomes `INTERNAL` with its cause kept. */
export function toTroupeError(error: unknown, fallback: ErrorCode = "INTERNAL"): TroupeError {
  if (error instanceof TroupeError) return error;
  return new TroupeError(fallback, undefined, { cause: error });
}
