/** What an error becomes for whoever asked over HTTP, and what the log is told of it under the same request ID. */
import { TroupeError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { HttpRequest, HttpResponse } from "../core/ports/http-exchange.ts";
import { problemResponse } from "../core/problem.ts";
import { challenges } from "./admission.ts";
import { splitTarget } from "./target.ts";

export const REQUEST_ID_LENGTH = 16;

export function problemAnswer(log: Log, error: unknown, request: HttpRequest, requestId: string): HttpResponse {
  if (!(error instanceof TroupeError)) {
    log.error({ requestId, err: error }, "A request met an error nobody expected.");
    return problemResponse(new TroupeError("INTERNAL", undefined, { cause: error }), requestId);
  }
  const problem = problemResponse(error, requestId);
  // Whoever watches the load has logged it, once; the connection takes a descriptor.
  if (error.code === "OVERLOADED") return { ...problem, close: true };
  const { path } = splitTarget(request.target);
  if (error.status >= 500) log.warn({ requestId, method: request.method, path, err: error }, "A request failed.");
  else log.info({ requestId, method: request.method, path, code: error.code, detail: error.detail }, "A request was refused.");
  if (error.code !== "UNAUTHORIZED") return problem;
  return { ...problem, headers: { ...problem.headers, "www-authenticate": challenges(request) } };
}
