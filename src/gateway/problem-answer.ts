/** What an error becomes for whoever asked over HTTP, and what the log is told of it under the same request ID. */
import { TroupeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { HttpRequest, HttpResponse } from "../core/ports/http-exchange.ts";
import { problemResponse } from "../core/problem.ts";
import { challenges } from "./admission.ts";

export const REQUEST_ID_LENGTH = 16;

export function problemAnswer(log: Log, error: unknown, request: HttpRequest, requestId: string): HttpResponse {
  if (!(error instanceof TroupeError)) {
    log.error({ requestId, err: error }, "A request met an error nobody expected.");
    return problemResponse(new TroupeError("INTERNAL", undefined, { cause: error }), requestId);
  }
  const problem = problemResponse(error, requestId);
  // Whoever watches the load has logged it, once; the connection takes a descriptor.
  if (error.code === "OVERLOADED") return { ...problem, close: true };
  if (error.status >= 500) log.warn({ requestId, err: error }, "A request failed.");
  if (error.code !== "UNAUTHORIZED") return problem;
  return { ...problem, headers: { ...problem.headers, "www-authenticate": challenges(request) } };
}
