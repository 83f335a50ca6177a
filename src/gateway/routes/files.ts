/**
 * `/files/{fileId}`: the bytes, as any player, browser or downloader asks for them (RFC 9110 sections 13 to 15).
 *
 * G1: conditions come before ranges; a stale If-Range turns a range into the whole.
 * G2: bytes under an ID never change: the entity tag is strong and made of their digest, Last-Modified is when they became a file.
 * G3: what could run in a browser is shown in a sandbox, and nothing is sniffed.
 */

import type { LocatedFile } from "../../actors/catalog/contract.ts";
import { evaluateConditions, rangeApplies } from "../../core/conditional.ts";
import { TroupeError } from "../../core/errors.ts";
import { formatHttpDate } from "../../core/http-date.ts";
import type { LabelsOf } from "../../core/metrics.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { randomIdentity } from "../../core/ports/random.ts";
import { type ByteRange, parseRange } from "../../core/range.ts";
import { contentDisposition } from "../content-disposition.ts";
import { isInert } from "../content-type.ts";
import { callOptions, type Exchange, param } from "../exchange.ts";
import type { Gateway } from "../gateway-parts.ts";
import { multipartRanges } from "../multipart-ranges.ts";
import type { Route } from "../router.ts";

const ETAG_DIGITS = 32;
const SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; frame-ancestors 'self'";

type Extent = LabelsOf<"troupe_file_answers_total">["extent"];

export function fileRoutes(gateway: Gateway): Route[] {
  const endpoint = (exchange: Exchange): Promise<HttpResponse> => serve(gateway, exchange);
  return [
    { method: "GET", path: "/files/:fileId", access: "file", endpoint, beginsWork: true },
    { method: "GET", path: "/files/:fileId/*", access: "file", endpoint, beginsWork: true },
  ];
}

async function serve(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const file = await gateway.files.find(param(exchange, "fileId"), { ...callOptions(exchange), principal: exchange.principal });
  return await serveFile(gateway, exchange, file);
}

/** The bytes of a file that was found, by whatever address. */
export async function serveFile(gateway: Gateway, exchange: Exchange, file: LocatedFile): Promise<HttpResponse> {
  const { request } = exchange;
  const nowMs = gateway.ports.clock.wallMs();
  const current = { etag: `"b3-${file.digests.blake3.slice(0, ETAG_DIGITS)}"`, modifiedMs: file.createdMs };
  const validators = {
    etag: current.etag,
    "last-modified": formatHttpDate(current.modifiedMs),
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
  };

  const outcome = evaluateConditions(request.method, request.headers, current, nowMs);
  if (outcome === "failed") throw new TroupeError("PRECONDITION_FAILED");
  if (outcome === "not-modified") return { status: 304, headers: validators };

  const headers = { ...validators, ...representation(file, exchange) };
  // A range is defined for GET only (section 14.2).
  const field =
    request.method === "GET" && rangeApplies(request.headers["if-range"], current, nowMs) ? request.headers["range"] : undefined;
  const decision = parseRange(field, file.sizeBytes);
  if (decision.kind === "unsatisfiable")
    throw new TroupeError("RANGE_NOT_SATISFIABLE", `The file has ${file.sizeBytes} bytes.`, { facts: { size: file.sizeBytes } });
  const open = (range: ByteRange): Promise<ByteStream> => openRange(gateway, exchange, file, range);
  const counted = (extent: Extent, answer: HttpResponse): HttpResponse => {
    gateway.ports.metrics?.counter("troupe_file_answers_total", { extent }).add();
    return answer;
  };

  if (decision.kind === "whole") {
    const whole = { ...headers, "content-length": String(file.sizeBytes) };
    if (request.method === "HEAD" || file.sizeBytes === 0) return { status: 200, headers: whole };
    return counted("whole", { status: 200, headers: whole, body: await open({ first: 0, last: file.sizeBytes - 1 }) });
  }
  const [first, ...others] = decision.ranges as [ByteRange, ...ByteRange[]];
  if (others.length > 0) {
    const several = await multipartRanges({
      ranges: decision.ranges,
      contentType: file.contentType,
      sizeBytes: file.sizeBytes,
      boundary: randomIdentity(gateway.ports.random),
      open,
    });
    return counted("ranges", { status: 206, headers: { ...headers, ...several.headers }, body: several.body });
  }
  const lengthBytes = first.last - first.first + 1;
  const partial = {
    ...headers,
    "content-range": `bytes ${first.first}-${first.last}/${file.sizeBytes}`,
    "content-length": String(lengthBytes),
  };
  return counted("range", { status: 206, headers: partial, body: await open(first) });
}

async function openRange(gateway: Gateway, exchange: Exchange, file: LocatedFile, range: ByteRange): Promise<ByteStream> {
  try {
    return await gateway.blobs.open(file, range, exchange.request.signal);
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "BLOB_NOT_FOUND") throw error;
    // No holder has it: either the file was deleted elsewhere since it was looked up, or its blob lies somewhere else by now.
    gateway.files.forget(file.fileId, exchange.principal);
    const again = await gateway.files.find(file.fileId, { ...callOptions(exchange), principal: exchange.principal });
    if (again.blob.path !== file.blob.path && again.digests.blake3 === file.digests.blake3)
      return await gateway.blobs.open(again, range, exchange.request.signal);
    throw new TroupeError("UNAVAILABLE", "No node holds the bytes of this file at the moment.", { cause: error });
  }
}

/** What the bytes are, and how a browser is to treat them (G3). */
function representation(file: LocatedFile, exchange: Exchange): Readonly<Record<string, string>> {
  return {
    "content-type": file.contentType,
    "content-disposition": contentDisposition(exchange.query.has("download") ? "attachment" : "inline", file.name),
    "x-content-type-options": "nosniff",
    ...(isInert(file.contentType) ? {} : { "content-security-policy": SANDBOX }),
  };
}
