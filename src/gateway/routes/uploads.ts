/** `/api/v1/uploads`: resumable uploads in chunks, in any order and in parallel. */
import { z } from "zod";
import { catalog } from "../../actors/catalog/contract.ts";
import { type MergedFile, upload } from "../../actors/upload/contract.ts";
import { client, isNoResponders } from "../../bus/client.ts";
import { type ChunkDigest, parseContentDigest } from "../../core/digest.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { CHUNK_COUNT_MAX, FILE_BYTES_LIMIT, MERGE_WAIT_MS, NAME_BYTES_MAX } from "../../core/limits.ts";
import type { ChunkStored } from "../../core/ports/data-plane.ts";
import type { HttpResponse } from "../../core/ports/http-exchange.ts";
import { app, contentType, digestClaim, ENDED_CODES, fileName, hmacHex, idempotencyKey, uploadState, user } from "../../core/shapes.ts";
import { idempotencyKeyOf, refuseEncodedBody } from "../body-fields.ts";
import { typeOfUpload } from "../content-type.ts";
import { callOptions, declaredLength, type Exchange, jsonResponse, param } from "../exchange.ts";
import { filePath } from "../file-url.ts";
import type { Gateway } from "../gateway-parts.ts";
import { BEGINS_WORK, gatewayRoutes } from "../gateway-routes.ts";
import { readJson } from "../json-body.ts";
import { mergedFileOf, mergeUpload } from "../merging.ts";
import { pageQuery } from "../page-query.ts";
import { proveUpload } from "../proving.ts";
import type { Route } from "../router.ts";
import { type CreatedUpload, createUpload } from "../upload-creation.ts";
import { endedError, type LiveUpload } from "../upload-directory.ts";
import { mergedView, recordView } from "../views.ts";

const creation = z.object({
  name: fileName,
  size: z.int().nonnegative().optional(),
  contentType: contentType.optional(),
  chunkBytes: z.int().positive().optional(),
  digest: digestClaim.optional(),
  app: app.default("default"),
  user: user.default("default"),
  idempotencyKey: idempotencyKey.optional(),
});
const proof = z.object({ hmac: hmacHex });
const CREATION_CODES = { name: "BAD_NAME", digest: "BAD_DIGEST", chunkBytes: "BAD_CHUNK_SIZE" } as const satisfies Record<
  string,
  ErrorCode
>;

/** The node does not know this grant, or this session, any more: what we remember of it is old. */
const REMEMBERED_WRONGLY: ReadonlySet<ErrorCode> = new Set(["FORBIDDEN", "HOST_UNAVAILABLE", "UPLOAD_NOT_FOUND", "EPOCH_STALE"]);

export function uploadRoutes(gateway: Gateway): Route[] {
  return gatewayRoutes(gateway, "/api/v1/uploads", [
    ["POST", "", create, BEGINS_WORK],
    ["GET", "", list, BEGINS_WORK],
    ["GET", "/:uploadId", status],
    ["DELETE", "/:uploadId", cancel],
    ["PUT", "/:uploadId/chunks/:index", putChunk],
    ["POST", "/:uploadId/proof", prove],
    ["POST", "/:uploadId/merge", merge],
    ["GET", "/:uploadId/events", events],
  ]);
}

async function create(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const wanted = await readJson(exchange.request, creation, CREATION_CODES);
  const { name, size: sizeBytes, chunkBytes, digest } = wanted;
  const bytesMax = Math.min(gateway.options.fileBytesMax, FILE_BYTES_LIMIT);
  if (sizeBytes !== undefined && sizeBytes > bytesMax)
    throw new TroupeError("TOO_LARGE", `A file has at most ${bytesMax} bytes here.`, { facts: { bytesMax } });
  const key = wanted.idempotencyKey ?? idempotencyKeyOf(exchange.request);
  const wish = {
    app: wanted.app,
    user: wanted.user,
    name,
    contentType: typeOfUpload(wanted.contentType, name),
    sizeBytes,
    chunkBytes,
    digest,
    idempotencyKey: key,
  };
  const options = { ...callOptions(exchange), principal: exchange.principal };
  const file = await gateway.instant.create(wish, options);
  if (file !== undefined) return instantResponse(exchange, mergedFileOf(file));
  const created = await createUpload(gateway.ports, gateway.uploads, wish, options);
  return begunResponse(created.state === "receiving" && created.challenge !== undefined ? 202 : 201, created);
}

async function prove(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const uploadId = uploadIdOf(exchange);
  const { hmac } = await readJson(exchange.request, proof);
  const result = await proveUpload(gateway, exchange, uploadId, hmac);
  return result.kind === "file" ? instantResponse(exchange, result.file) : begunResponse(201, result.status);
}

/** The content was there: nothing is to be sent. */
function instantResponse(exchange: Exchange, file: MergedFile): HttpResponse {
  return jsonResponse(200, { ...mergedView(file, exchange.baseUrl), instant: true }, { location: filePath(file.fileId, file.name) });
}

/** An upload to be filled; with 202 possession may be proven instead. */
function begunResponse(
  status: 201 | 202,
  begun: Pick<CreatedUpload, "uploadId" | "chunkBytes" | "chunkCount" | "state" | "missing" | "challenge">,
): HttpResponse {
  const { uploadId, chunkBytes, chunkCount, state, missing, challenge } = begun;
  return jsonResponse(
    status,
    { uploadId, chunkBytes, chunkCount, state, missing, ...(status === 202 ? { challenge } : {}) },
    { location: `/api/v1/uploads/${uploadId}` },
  );
}

async function list(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const wanted = exchange.query.get("state");
  const state = wanted === undefined ? undefined : uploadState.safeParse(wanted);
  if (state?.success === false) throw new TroupeError("BAD_REQUEST", `state is one of ${uploadState.options.join(", ")}.`);
  const search = exchange.query.get("search");
  if (search !== undefined && (search === "" || search.length > NAME_BYTES_MAX))
    throw new TroupeError("BAD_REQUEST", `search is a part of a name, or an upload's ID, of 1 to ${NAME_BYTES_MAX} characters.`);
  const page = await client(gateway.ports.bus, catalog).uploads(
    { state: state?.data, search, ...pageQuery(exchange.query) },
    callOptions(exchange),
  );
  return jsonResponse(200, { uploads: page.uploads.map(recordView), cursor: page.cursor });
}

async function status(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { view } = await gateway.events.snapshot(uploadIdOf(exchange), exchange, { signal: exchange.request.signal });
  return jsonResponse(200, view);
}

async function cancel(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const uploadId = uploadIdOf(exchange);
  const options = { ...callOptions(exchange), principal: exchange.principal };
  for (let attempt = 1; ; attempt += 1) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") {
      // The same again gives the same answer.
      if (found.record.state !== "cancelled") throw endedError(found.record);
      return { status: 204, headers: {} };
    }
    try {
      await client(gateway.ports.bus, upload, { uploadId }).cancel({ epoch: found.upload.epoch }, options);
      gateway.uploads.forget(uploadId);
      return { status: 204, headers: {} };
    } catch (error) {
      gateway.uploads.forget(uploadId);
      if (attempt > 1 || !(isRememberedWrongly(error) || isNoResponders(error))) throw error;
    }
  }
}

async function putChunk(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const { request } = exchange;
  const index = chunkIndex(param(exchange, "index"));
  refuseEncodedBody(request);
  const field = request.headers["content-digest"];
  const digests = field === undefined ? [] : parseContentDigest(field);
  const { stored, copies, receivedCount } = await storeChunk(gateway, exchange, index, digests);
  return jsonResponse(200, { index: stored, durable: true, copies, receivedCount });
}

async function storeChunk(gateway: Gateway, exchange: Exchange, index: number, digests: readonly ChunkDigest[]) {
  const { request, principal } = exchange;
  const uploadId = uploadIdOf(exchange);
  const options = { ...callOptions(exchange), principal };
  let isTouched = false;
  const bytes: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => {
      isTouched = true;
      return request.body[Symbol.asyncIterator]();
    },
  };
  for (let attempt = 1; ; attempt += 1) {
    const found = await gateway.uploads.find(uploadId, options);
    if (found.kind === "ended") throw endedError(found.record);
    const lengthBytes = chunkLength(exchange, found.upload);
    try {
      const answer: ChunkStored = await gateway.ports.dataPlane.storeChunk(found.upload.access, {
        uploadId,
        index,
        lengthBytes,
        bytes,
        digests,
        signal: request.signal,
      });
      return { stored: answer.index, copies: answer.copies, receivedCount: answer.receivedCount };
    } catch (error) {
      if (isRememberedWrongly(error) || isEndedCode(error)) gateway.uploads.forget(uploadId);
      // A body that has been read in part is the client's to send again.
      if (attempt > 1 || isTouched || !isRememberedWrongly(error))
        throw isGrantRefused(error) ? startedAnew(found.upload, error) : await gateway.uploads.whyRefused(error, found.upload, options);
    }
  }
}

async function merge(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const uploadId = uploadIdOf(exchange);
  const { isAsync, waitMs } = mergePreference(exchange.request.headers["prefer"] ?? "");
  const result = await mergeUpload(gateway, exchange, uploadId, waitMs);
  if (result.kind === "file") {
    return jsonResponse(200, mergedView(result.file, exchange.baseUrl), { location: `/files/${result.file.fileId}` });
  }
  return jsonResponse(
    202,
    { uploadId, state: result.state },
    { location: `/api/v1/uploads/${uploadId}`, "retry-after": "1", ...(isAsync ? { "preference-applied": "respond-async" } : {}) },
  );
}

async function events(gateway: Gateway, exchange: Exchange): Promise<HttpResponse> {
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };
  const uploadId = uploadIdOf(exchange);
  if (exchange.request.method === "HEAD") {
    await gateway.events.snapshot(uploadId, exchange, { signal: exchange.request.signal });
    return { status: 200, headers };
  }
  const body = await gateway.events.open(uploadId, exchange, exchange.request.headers["last-event-id"]);
  // A reader of events that is answered 204 does not come back (WHATWG HTML, server-sent events).
  return body === undefined ? { status: 204, headers: {} } : { status: 200, headers, body };
}

/** `respond-async`, and `wait` in whole seconds: how long the answer may be waited for (RFC 7240). */
function mergePreference(field: string): { readonly isAsync: boolean; readonly waitMs: number } {
  const preferences = new Map(
    field.split(",").map((preference): [string, string] => {
      const [name = "", value = ""] = (preference.split(";")[0] ?? "").split("=");
      return [name.trim().toLowerCase(), value.trim().replaceAll('"', "")];
    }),
  );
  const isAsync = preferences.has("respond-async");
  const wait = preferences.get("wait") ?? "";
  if (/^\d{1,9}$/.test(wait)) return { isAsync, waitMs: Math.min(Number(wait) * 1000, MERGE_WAIT_MS) };
  return { isAsync, waitMs: isAsync ? 0 : MERGE_WAIT_MS };
}

/** What cannot be an identity is no upload of ours; it never becomes part of a subject. */
function uploadIdOf(exchange: Exchange): string {
  const uploadId = param(exchange, "uploadId");
  if (!isIdentity(uploadId)) throw new TroupeError("UPLOAD_NOT_FOUND");
  return uploadId;
}

function chunkIndex(text: string): number {
  if (!/^(0|[1-9]\d*)$/.test(text)) throw new TroupeError("BAD_REQUEST", "A chunk's index is a whole number, from 0.");
  // However long it is: rounded, it is larger still.
  const index = Number(text);
  if (index >= CHUNK_COUNT_MAX) throw new TroupeError("CHUNK_OUT_OF_RANGE", `No upload has more than ${CHUNK_COUNT_MAX} chunks.`);
  return index;
}

/** Refused before the body: a declared length no chunk of this upload has. */
function chunkLength(exchange: Exchange, live: LiveUpload): number | undefined {
  const lengthBytes = declaredLength(exchange.request, FILE_BYTES_LIMIT);
  if (lengthBytes !== undefined && lengthBytes > live.chunkBytes) {
    throw new TroupeError("CHUNK_LENGTH", `The body has ${lengthBytes} bytes, and a chunk of this upload ${live.chunkBytes}.`, {
      facts: { chunkBytes: live.chunkBytes },
    });
  }
  return lengthBytes;
}

const isRememberedWrongly = (error: unknown): boolean => error instanceof TroupeError && REMEMBERED_WRONGLY.has(error.code);
const isEndedCode = (error: unknown): boolean =>
  error instanceof TroupeError && (Object.values(ENDED_CODES) as ErrorCode[]).includes(error.code);
/** Not the client is forbidden something, but this gateway: its grant is older than the node. */
const isGrantRefused = (error: unknown): boolean => error instanceof TroupeError && error.code === "FORBIDDEN";

function startedAnew({ access }: LiveUpload, cause: unknown): TroupeError {
  const { nodeId } = access;
  return new TroupeError("HOST_UNAVAILABLE", `The node ${nodeId}, which holds this upload, has started anew; send the chunk again.`, {
    cause,
    facts: { nodeId },
  });
}
