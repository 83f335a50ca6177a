/**
 * What a browser is told of pages elsewhere: those of an allowed origin may read (the Fetch standard's CORS protocol; no cookies are involved,
 * tokens travel in a header), and no other may as much as include what is here, unless it is for everybody (Cross-Origin-Resource-Policy).
 */
import type { HttpRequest, HttpResponse } from "../core/ports/http-exchange.ts";
import type { HostCheck } from "./host-check.ts";

const EXPOSED =
  "ETag, Content-Range, Content-Length, Content-Disposition, Accept-Ranges, Last-Modified, Location, Retry-After, X-Request-Id, Preference-Applied, " +
  "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Defer-Length, " +
  "Upload-Metadata, Upload-Expires, Upload-Concat, Troupe-File";
const ALLOWED =
  "Authorization, Content-Type, Content-Digest, Idempotency-Key, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range, Range, Prefer, " +
  "Tus-Resumable, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Checksum, Upload-Concat, X-HTTP-Method-Override, " +
  "X-Request-Id, X-Requested-With";
const PREFLIGHT_SECONDS = "600";

export function isPreflight(request: HttpRequest): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers["origin"] !== undefined &&
    request.headers["access-control-request-method"] !== undefined
  );
}

export function preflightHeaders(allow: string): Readonly<Record<string, string>> {
  return { "access-control-allow-methods": allow, "access-control-allow-headers": ALLOWED, "access-control-max-age": PREFLIGHT_SECONDS };
}

/** Of an answer that any page may include, as a picture or a film. */
export const FOR_EVERY_PAGE = { "cross-origin-resource-policy": "cross-origin" } as const;
const FOR_OWN_PAGES = { "cross-origin-resource-policy": "same-origin" } as const;

/** The response as a page of the request's origin may read it, and as others may include it. */
export function withCors(hostCheck: HostCheck, request: HttpRequest, response: HttpResponse): HttpResponse {
  const { origin } = request.headers;
  const headers = { ...(hostCheck.allowsEveryOrigin ? FOR_EVERY_PAGE : FOR_OWN_PAGES), ...response.headers };
  if (origin === undefined || !hostCheck.isAllowedOrigin(origin)) return { ...response, headers };
  const vary = response.headers["vary"];
  return {
    ...response,
    headers: {
      ...headers,
      ...FOR_EVERY_PAGE,
      "access-control-allow-origin": origin,
      "access-control-expose-headers": EXPOSED,
      vary: typeof vary === "string" ? `${vary}, Origin` : "Origin",
    },
  };
}
