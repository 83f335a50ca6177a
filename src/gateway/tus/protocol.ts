/**
 * What the routes below `/tus/` share: the words of the tus protocol, version 1.0.0 (tus.io/protocols/resumable-upload), and what it asks of
 * every request and answer. One file a verb beside this one; the rule stands, in our words, at the branch that keeps it.
 */
import { TroupeError } from "../../core/errors.ts";
import { FILE_BYTES_LIMIT } from "../../core/limits.ts";
import type { HttpRequest, HttpResponse } from "../../core/ports/http-exchange.ts";
import { problemResponse } from "../../core/problem.ts";
import type { Exchange } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import type { GatewayOptions } from "../ports.ts";

export const TUS_VERSION = "1.0.0";
export const TUS_EXTENSIONS = [
  "creation",
  "creation-with-upload",
  "creation-defer-length",
  "expiration",
  "checksum",
  "termination",
  "concatenation",
] as const;
/** The only type that a body with bytes of an upload has. */
export const BODY_TYPE = "application/offset+octet-stream";

export type TusEndpoint = (gateway: Gateway, exchange: Exchange) => Promise<HttpResponse>;

/** The largest upload there may be, in bytes. */
export function uploadBytesMax({ fileBytesMax }: GatewayOptions): number {
  return Math.min(fileBytesMax, FILE_BYTES_LIMIT);
}

/**
 * A client says with every request which version it speaks; another one, or none, is answered 412 with those that are spoken here, and the
 * request is not looked at any further.
 */
export function inOurVersion(endpoint: TusEndpoint): TusEndpoint {
  return async (gateway, exchange) => {
    if (exchange.request.headers["tus-resumable"] === TUS_VERSION) return await endpoint(gateway, exchange);
    const refusal = problemResponse(
      new TroupeError("PRECONDITION_FAILED", `Send Tus-Resumable: ${TUS_VERSION}; this server speaks that version of the tus protocol.`),
      exchange.requestId,
    );
    return { ...refusal, headers: { ...refusal.headers, "tus-version": TUS_VERSION } };
  };
}

/**
 * A number of bytes in a field: a whole number that is not negative, compared as what it is before it becomes a number.
 * @throws {TroupeError} `BAD_REQUEST`; `TOO_LARGE` past `bytesMax`
 */
export function bytesField(request: HttpRequest, name: "upload-length" | "upload-offset", bytesMax: number): number | undefined {
  const field = request.headers[name];
  if (field === undefined) return undefined;
  const title = name === "upload-length" ? "Upload-Length" : "Upload-Offset";
  if (!/^\d{1,20}$/.test(field)) throw new TroupeError("BAD_REQUEST", `${title} is a number of bytes: digits and nothing else.`);
  if (BigInt(field) > BigInt(bytesMax))
    throw new TroupeError("TOO_LARGE", `An upload has at most ${bytesMax} bytes here.`, { facts: { bytesMax } });
  return Number(field);
}

export function hasBodyType(request: HttpRequest): boolean {
  return request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() === BODY_TYPE;
}
