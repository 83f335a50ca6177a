/** A server's error answer (`application/problem+json`, RFC 9457) as the error it was at the other end. */
import { type ErrorCode, isErrorCode, TroupeError } from "./errors.ts";
import { CLIENT_RETRY_AFTER_MS_MAX } from "./limits.ts";
import type { HttpHeaders } from "./ports/http-exchange.ts";

/** What is no fact of the error: it is in the error itself, or is the envelope. */
const ENVELOPE = ["type", "title", "status", "code", "detail", "instance"];
/** What only this side knows, and acts upon: no server says it. */
const OURS = ["httpStatus", "unexplained", "retryAfterMs", "unreachable", "stranger", "userNeeded", "taken", "part"];

/**
 * `facts` holds what came with the problem (`missing`, `requestId`, …), and `httpStatus`; `unexplained` when no code came; `retryAfterMs` when the server asked for a
 * pause. An answer that is not a problem (a proxy's page, say) gets the code that fits its status.
 */
export function problemOf(status: number, headers: HttpHeaders, text: string): TroupeError {
  const problem = parseProblem(text);
  const named = problem["code"];
  const isKnown = typeof named === "string" && isErrorCode(named);
  const code = isKnown ? named : codeOfStatus(status);
  const detail = typeof problem["detail"] === "string" ? problem["detail"] : undefined;
  const facts = Object.fromEntries(Object.entries(problem).filter(([key]) => !ENVELOPE.includes(key) && !OURS.includes(key)));
  const retryAfterMs = retryAfter(headers["retry-after"]);
  return new TroupeError(code, detail ?? (isKnown ? undefined : `The server answered ${status} without saying why.`), {
    facts: {
      ...facts,
      httpStatus: status,
      ...(isKnown ? {} : { unexplained: named === undefined }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  });
}

function parseProblem(text: string): Record<string, unknown> {
  if (!text.trimStart().startsWith("{")) return {};
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    // Not a problem document: the status alone has to tell.
    return {};
  }
}

/** Only the form in seconds; the form with a date would trust two clocks. */
function retryAfter(field: string | undefined): number | undefined {
  if (field === undefined || !/^\d{1,9}$/.test(field)) return undefined;
  return Math.min(CLIENT_RETRY_AFTER_MS_MAX, Number(field) * 1000);
}

const CODES_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  408: "REQUEST_TIMEOUT",
  411: "LENGTH_REQUIRED",
  412: "PRECONDITION_FAILED",
  413: "TOO_LARGE",
  415: "UNSUPPORTED_TYPE",
  416: "RANGE_NOT_SATISFIABLE",
  429: "TOO_MANY",
  431: "HEADERS_TOO_LARGE",
  500: "INTERNAL",
  501: "NOT_IMPLEMENTED",
  507: "DISK_FULL",
};

function codeOfStatus(status: number): ErrorCode {
  return CODES_BY_STATUS[status] ?? (status >= 500 ? "UNAVAILABLE" : "BAD_REQUEST");
}
