/**
 * Errors as answers: problem documents (RFC 9457) made from the one error class.
 *
 * P1: no stack, no secret, nothing of the server's own disk: what went wrong inside is told by its code and a sentence from the table;
 *     the log has the rest, found by the request ID.
 */
import { ERRORS, type ErrorCode, RETRY, type TroupeError } from "./errors.ts";
import type { HttpResponse } from "./ports/http-exchange.ts";
import { type LastError, lastError } from "./shapes.ts";

const RETRY_AFTER_SECONDS_DEFAULT = 1;
/** A database or a bus that is started again takes some seconds. */
const RETRY_AFTER_SERVER_SECONDS = 3;
const SERVERS_AWAY: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["DATABASE_UNAVAILABLE", "BUS_UNAVAILABLE"]);
/** Their details speak of the server's inside. */
const INTERNAL_CODES: ReadonlySet<ErrorCode> = new Set([
  "INTERNAL",
  "DISK_FAILED",
  "DISK_FULL",
  "SETTING_INVALID",
  "DIRECTORY_IN_USE",
  "MARKER_MISSING",
  "FORMAT_TOO_NEW",
  "MIGRATION_CHANGED",
  "DATABASE_UNAVAILABLE",
]);
const RESERVED = new Set(["type", "title", "status", "code", "detail", "instance", "requestId"]);
const INTERNAL_FACTS = new Set(["noResponders", "away", "unconnected", "errno", "syscall", "path"]);

/** Why something did not go on, as it may be told to whoever asks over HTTP (P1). */
export function toldError(error: LastError): LastError {
  const code = error.code as ErrorCode;
  return INTERNAL_CODES.has(code) ? { ...error, detail: ERRORS[code].sentence } : error;
}

export function problemResponse(error: TroupeError, requestId?: string): HttpResponse {
  const { code, status, facts } = error;
  const isInternal = INTERNAL_CODES.has(code);
  const extensions = isInternal ? [] : Object.entries(facts).filter(([name]) => !RESERVED.has(name) && !INTERNAL_FACTS.has(name));
  const reason = lastError.safeParse(facts["lastError"]);
  if (reason.success) extensions.push(["lastError", toldError(reason.data)]);
  // What failed for good does not come right by waiting, whatever the code says in general.
  const isLater = error.retry === RETRY.later && reason.data?.retryable !== false;
  const headers: Record<string, string | readonly string[]> = { "content-type": "application/problem+json", "cache-control": "no-store" };
  if (isLater) headers["retry-after"] = String(retryAfterSeconds(code, facts["retryAfterMs"]));
  if (code === "UNAUTHORIZED") headers["www-authenticate"] = 'Bearer realm="Troupe"';
  if (code === "RANGE_NOT_SATISFIABLE" && typeof facts["size"] === "number") headers["content-range"] = `bytes */${facts["size"]}`;
  if (code === "METHOD_NOT_ALLOWED" && typeof facts["allow"] === "string") headers["allow"] = facts["allow"];
  const { sentence } = ERRORS[code];
  const problem = {
    type: `urn:troupe:error:${code}`,
    title: sentence,
    status,
    code,
    detail: isInternal ? sentence : error.detail,
    ...(requestId === undefined ? {} : { requestId }),
    ...Object.fromEntries(extensions),
  };
  return { status, headers, body: `${JSON.stringify(problem)}\n` };
}

function retryAfterSeconds(code: ErrorCode, retryAfterMs: unknown): number {
  if (typeof retryAfterMs === "number") return Math.max(1, Math.ceil(retryAfterMs / 1000));
  return SERVERS_AWAY.has(code) ? RETRY_AFTER_SERVER_SECONDS : RETRY_AFTER_SECONDS_DEFAULT;
}
