/**
 * A storage node's data server: bytes in and out over HTTP/1.1, for whoever holds a token this node minted.
 *
 * `PUT /chunks/{uploadId}/{index}` stores a chunk (`?from=` the byte of it at which the body goes on; with `&atomic=1` nothing of it counts
 * unless it ends properly, and it comes in records, of `&length=` bytes in all if that is known); `GET /blobs/{blobId}` (or HEAD) serves one
 * range, or the whole blob; `GET /uploads/{uploadId}` one range of an upload that is not a file yet. The token comes as
 * `Authorization: Bearer …`, or in the query as `token` for players, which cannot send headers.
 *
 * With too much to do it begins to send no blob; chunks of uploads that were begun, and reads for those, go on.
 *
 * A gateway has measured its client already: here it need only be heard of (`SLOWEST_GATEWAY`).
 */
import { parseContentDigest } from "../core/digest.ts";
import { TroupeError, toTroupeError } from "../core/errors.ts";
import { GATEWAY_SILENCE_MS_MAX } from "../core/limits.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Log } from "../core/log.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../core/ports/http-exchange.ts";
import { problemResponse } from "../core/problem.ts";
import { parseRange } from "../core/range.ts";
import type { SpanBook, SpanStart } from "../core/span-book.ts";
import { REQUEST_ID_FIELD, readTrace } from "../core/trace.ts";
import type { ByteService } from "./byte-service.ts";
import { fromRecords } from "./signs-of-life.ts";
import type { TokenMint } from "./token.ts";

/** The pace that bodies must have here at least. */
export const SLOWEST_GATEWAY = { windowMs: GATEWAY_SILENCE_MS_MAX, bytesMin: 1 };

const CHUNK_PATH = /^\/chunks\/([A-Za-z0-9_-]{1,64})\/(0|[1-9][0-9]{0,6})$/;
const UPLOAD_PATH = /^\/uploads\/([A-Za-z0-9_-]{1,64})$/;
const UPLOAD_RANGE = /^bytes=(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})$/;
const BYTES_OF_CHUNK = /^(0|[1-9][0-9]{0,8})$/;
const BLOB_PATH = /^\/blobs\/(0|[1-9][0-9]{0,11})$/;

export interface DataServerPorts {
  readonly log: Log;
  /** Absent: there is never too much to do. */
  readonly load?: LoadWatch | undefined;
  /** Where exchanges are written down; absent, they are not. */
  readonly spans?: SpanBook | undefined;
}

export function createDataServer(node: ByteService, tokens: TokenMint, { log, load, spans }: DataServerPorts): HttpHandler {
  return async (request) => {
    // In the trace of whoever asked, so that the request's ID finds here what went wrong.
    const answering = () =>
      answer(node, tokens, request, load).catch((error: unknown) => {
        writeDown(log, error, request);
        throw error;
      });
    try {
      return await (spans === undefined ? answering() : spans.run(spanOf(request), answering));
    } catch (error) {
      const failure = toTroupeError(error);
      return { ...problemResponse(failure), close: request.method === "PUT" || failure.code === "OVERLOADED" };
    }
  };
}

function writeDown(log: Log, error: unknown, request: HttpRequest): void {
  const path = pathOf(request);
  const { code, detail, status } = toTroupeError(error);
  if (code === "INTERNAL") log.error({ err: error, path }, "The data server could not answer.");
  // Whoever watches the load has logged it, once.
  else if (code !== "OVERLOADED")
    log[status >= 500 ? "info" : "debug"]({ path, code, detail }, "Bytes were asked for, and an error was answered.");
}

async function answer(node: ByteService, tokens: TokenMint, request: HttpRequest, load: LoadWatch | undefined): Promise<HttpResponse> {
  const path = pathOf(request);
  const chunk = CHUNK_PATH.exec(path);
  if (chunk !== null) {
    if (request.method !== "PUT") throw new TroupeError("METHOD_NOT_ALLOWED");
    return await storeChunk(node, tokens, request, chunk[1] as string, Number(chunk[2]));
  }
  const upload = UPLOAD_PATH.exec(path);
  if (upload !== null) {
    if (request.method !== "GET") throw new TroupeError("METHOD_NOT_ALLOWED");
    return await readUpload(node, tokens, request, upload[1] as string);
  }
  const blob = BLOB_PATH.exec(path);
  if (blob === null) throw new TroupeError("NOT_FOUND");
  if (request.method !== "GET" && request.method !== "HEAD") throw new TroupeError("METHOD_NOT_ALLOWED");
  load?.mustTakeNew();
  return await readBlob(node, tokens, request, Number(blob[1]));
}

async function storeChunk(
  node: ByteService,
  tokens: TokenMint,
  request: HttpRequest,
  uploadId: string,
  index: number,
): Promise<HttpResponse> {
  tokens.checkWrite(tokenOf(request), uploadId);
  const digest = request.headers["content-digest"];
  const query = new URLSearchParams(request.target.split("?")[1] ?? "");
  const from = query.get("from");
  const isAtomic = from !== null && query.get("atomic") === "1";
  const length = isAtomic ? query.get("length") : request.headers["content-length"];
  if (from !== null && !BYTES_OF_CHUNK.test(from)) throw new TroupeError("BAD_REQUEST", "'from' is a byte of the chunk.");
  if (isAtomic && length != null && !BYTES_OF_CHUNK.test(length)) throw new TroupeError("BAD_REQUEST", "'length' is a number of bytes.");
  const stored = await node.storeChunk({
    uploadId,
    index,
    lengthBytes: length == null ? undefined : Number(length),
    bytes: isAtomic ? fromRecords(request.body) : request.body,
    digests: digest === undefined ? [] : parseContentDigest(digest),
    signal: request.signal,
    ...(from === null ? {} : { fromBytes: Number(from), isAtomic }),
  });
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(stored) };
}

async function readUpload(node: ByteService, tokens: TokenMint, request: HttpRequest, uploadId: string): Promise<HttpResponse> {
  tokens.checkWrite(tokenOf(request), uploadId);
  const [, first, last] = (UPLOAD_RANGE.exec(request.headers["range"] ?? "") ?? []).map(Number);
  if (first === undefined || last === undefined || last < first || !Number.isSafeInteger(last))
    throw new TroupeError("RANGE_NOT_SATISFIABLE", "Of an upload, one range is served.");
  const lengthBytes = last - first + 1;
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(lengthBytes),
    "content-range": `bytes ${first}-${last}/*`,
  };
  return { status: 206, headers, body: await node.readUpload({ uploadId, offset: first, lengthBytes }) };
}

async function readBlob(node: ByteService, tokens: TokenMint, request: HttpRequest, blobId: number): Promise<HttpResponse> {
  const { path, sizeBytes } = tokens.checkRead(tokenOf(request), blobId);
  const wanted = parseRange(request.headers["range"], sizeBytes);
  if (wanted.kind === "unsatisfiable")
    return { status: 416, headers: { "content-range": `bytes */${sizeBytes}`, "accept-ranges": "bytes" } };
  // Several ranges are the gateway's business; the whole blob is a right answer to them.
  const only = wanted.kind === "ranges" && wanted.ranges.length === 1 ? wanted.ranges[0] : undefined;
  const offset = only?.first ?? 0;
  const lengthBytes = only === undefined ? sizeBytes : only.last - only.first + 1;
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(lengthBytes),
    "accept-ranges": "bytes",
    ...(only === undefined ? {} : { "content-range": `bytes ${only.first}-${only.last}/${sizeBytes}` }),
  };
  const status = only === undefined ? 200 : 206;
  if (request.method === "HEAD") return { status, headers };
  return { status, headers, body: await node.readBlob({ blobId, path, sizeBytes, offset, lengthBytes }) };
}

function tokenOf(request: HttpRequest): string {
  const bearer = /^Bearer (\S+)$/.exec(request.headers["authorization"] ?? "")?.[1];
  const token = bearer ?? new URLSearchParams(request.target.split("?")[1] ?? "").get("token");
  if (token === null) throw new TroupeError("UNAUTHORIZED", "The data server wants a token of this node's.");
  return token;
}

/** Part of the trace of whoever asks. */
function spanOf(request: HttpRequest): SpanStart {
  const { method, headers } = request;
  const path = pathOf(request);
  const uploadId = (CHUNK_PATH.exec(path) ?? UPLOAD_PATH.exec(path))?.[1];
  const pattern = PATTERNS.find(([prefix]) => path.startsWith(prefix))?.[1] ?? "/";
  const parent = readTrace(headers["traceparent"], headers[REQUEST_ID_FIELD]);
  return { kind: "http", actor: "storage", name: `${METHODS.has(method) ? method : "?"} ${pattern}`, parent, uploadId };
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "PUT"]);
const PATTERNS = [
  ["/chunks/", "/chunks/:uploadId/:index"],
  ["/uploads/", "/uploads/:uploadId"],
  ["/blobs/", "/blobs/:blobId"],
] as const;

/** Without the query, which may hold a token. */
function pathOf(request: HttpRequest): string {
  return request.target.split("?")[0] ?? "";
}
