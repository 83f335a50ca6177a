/**
 * The gateway's HTTP interface as methods. One request each; retrying is the business of those who know what may be sent twice
 * (src/client/uploader.ts, src/client/downloader.ts).
 *
 * Errors are {@link TroupeError}s with the code the gateway gave. `facts.unreachable` is set when no answer came at all.
 */
import type { z } from "zod";
import type { DigestClaim } from "../core/digest.ts";
import { TroupeError } from "../core/errors.ts";
import { CLIENT_ANSWER_BYTES_MAX, CLIENT_SILENCE_MS_MAX, MERGE_TIMEOUT_MS } from "../core/limits.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse, HttpHeaders } from "../core/ports/http-exchange.ts";
import { problemOf } from "../core/received-problem.ts";
import { SilenceWatch, touching } from "../core/silence-watch.ts";
import {
  type ChunkAnswer,
  type ClusterReport,
  type CreatedUpload,
  chunkAnswer,
  clusterReport,
  createdUpload,
  type FilePage,
  filePage,
  type SignedLink,
  type StoredFile,
  signedLink,
  storedFile,
  type UploadProgress,
  type UploadSummary,
  uploadPage,
  uploadProgress,
} from "./answers.ts";
import { eventsOf } from "./event-stream.ts";
import {
  type ActorsReport,
  actorsReport,
  type InspectionEvent,
  type TraceReport,
  traceReport,
  type UploadInspection,
  uploadInspection,
  uploadSteps,
} from "./inspection-answers.ts";
import { pagesOf } from "./pages.ts";

export interface TroupeClientOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  /** `http://127.0.0.1:8080`, perhaps with a path. */
  readonly gateway: string;
  /** `owner:secret`, or the secret alone. */
  readonly token?: string | undefined;
  /** What errors call it; its address unless given. */
  readonly name?: string;
  /** Of a trace that all requests belong to, as the header has it. */
  readonly traceParent?: string | undefined;
}

export interface UploadRequest {
  readonly name: string;
  readonly size: number;
  readonly contentType?: string | undefined;
  readonly chunkBytes?: number | undefined;
  readonly digest?: DigestClaim | undefined;
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  readonly idempotencyKey: string;
}

/** A file at once when its content was known and ours, otherwise an upload to be filled, perhaps with a challenge. */
export type Created = { readonly kind: "upload"; readonly upload: CreatedUpload } | { readonly kind: "file"; readonly file: StoredFile };

/** A file once merged; until then the merge goes on at the server. */
export type Merged = { readonly kind: "file"; readonly file: StoredFile } | { readonly kind: "merging" };

export interface ByteSpan {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

export interface OpenedFile {
  /** Offset of the body's first byte. */
  readonly first: number;
  readonly etag: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface FilesQuery {
  readonly prefix?: string | undefined;
  readonly app?: string | undefined;
  readonly user?: string | undefined;
  /** Files a page. */
  readonly limit?: number | undefined;
}

interface Ask {
  readonly method?: string;
  readonly headers?: HttpHeaders;
  readonly body?: HttpClientRequest["body"];
  readonly signal?: AbortSignal | undefined;
  readonly silenceMs?: number;
}

export class TroupeClient {
  readonly gateway: string;
  readonly #options: TroupeClientOptions;
  readonly #name: string;
  readonly #http: HttpClient;
  readonly #clock: Clock;
  readonly #headers: HttpHeaders;

  /** @throws {TroupeError} `SETTING_INVALID` for a gateway that is not an http or https URL, or a token that cannot stand in a header */
  constructor(options: TroupeClientOptions) {
    const url = URL.parse(options.gateway);
    if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" || url.username !== "") {
      throw new TroupeError(
        "SETTING_INVALID",
        `${JSON.stringify(options.gateway)} is not the address of a gateway, such as http://127.0.0.1:8080.`,
      );
    }
    this.gateway = url.href.replace(/\/+$/, "");
    this.#options = options;
    this.#name = options.name ?? this.gateway;
    this.#http = options.http;
    this.#clock = options.clock;
    const { token, traceParent } = options;
    this.#headers = { ...authorization(token), ...(traceParent === undefined ? {} : { traceparent: traceParent }) };
  }

  /** The same, with all its requests in one trace. @param traceParent as the header `traceparent` has it */
  inTrace(traceParent: string): TroupeClient {
    return new TroupeClient({ ...this.#options, traceParent });
  }

  async create(request: UploadRequest, signal?: AbortSignal): Promise<Created> {
    const answer = await this.#json("/api/v1/uploads", { method: "POST", body: JSON.stringify(request), headers: JSON_BODY, signal });
    return this.#created(answer.value);
  }

  /**
   * Answers the challenge of a creation; it is heard once.
   * @param hmac hex
   * @returns a file, or the upload that goes on
   */
  async prove(uploadId: string, hmac: string, signal?: AbortSignal): Promise<Created> {
    const path = `/api/v1/uploads/${uploadId}/proof`;
    const answer = await this.#json(path, { method: "POST", body: JSON.stringify({ hmac }), headers: JSON_BODY, signal });
    return this.#created(answer.value);
  }

  /** `bytes` is asked for once; `onBytes` is told of each block as it leaves. */
  async chunk(
    uploadId: string,
    index: number,
    sizeBytes: number,
    bytes: AsyncIterable<Uint8Array>,
    signal?: AbortSignal,
  ): Promise<ChunkAnswer> {
    const headers = { "content-type": "application/octet-stream", "content-length": String(sizeBytes) };
    const answer = await this.#json(`/api/v1/uploads/${uploadId}/chunks/${index}`, { method: "PUT", body: bytes, headers, signal });
    return this.#read(chunkAnswer, answer.value);
  }

  async status(uploadId: string, signal?: AbortSignal): Promise<UploadProgress> {
    return this.#read(uploadProgress, (await this.#json(`/api/v1/uploads/${encodeURIComponent(uploadId)}`, { signal })).value);
  }

  /** Unless it is to wait: when the merge has only begun, ask {@link status}, then this again. */
  async merge(uploadId: string, wait = false, signal?: AbortSignal): Promise<Merged> {
    const headers: HttpHeaders = wait ? {} : { prefer: "respond-async" };
    const answer = await this.#json(`/api/v1/uploads/${uploadId}/merge`, { method: "POST", headers, signal });
    return answer.status === 202 ? { kind: "merging" } : { kind: "file", file: this.#read(storedFile, answer.value) };
  }

  async cancel(uploadId: string, signal?: AbortSignal): Promise<void> {
    await this.#discard(`/api/v1/uploads/${encodeURIComponent(uploadId)}`, { method: "DELETE", signal });
  }

  /** Page by page, up to the last. @throws {TroupeError} `NOT_IMPLEMENTED`, too, for a listing that would have no end */
  allUploads(state: string | undefined, signal?: AbortSignal): AsyncGenerator<readonly UploadSummary[]> {
    return pagesOf(async (cursor) => {
      const { value } = await this.#json(`/api/v1/uploads${queryOf({ state, cursor })}`, { signal });
      const { uploads: items, cursor: next } = this.#read(uploadPage, value);
      return { items, cursor: next };
    });
  }

  async file(fileId: string, signal?: AbortSignal): Promise<StoredFile> {
    return this.#read(storedFile, (await this.#json(`/api/v1/files/${fileId}`, { signal })).value);
  }

  async files(query: FilesQuery & { readonly cursor?: string | undefined }, signal?: AbortSignal): Promise<FilePage> {
    const { limit, ...texts } = query;
    const parameters = queryOf({ ...texts, limit: limit === undefined ? undefined : String(limit) });
    return this.#read(filePage, (await this.#json(`/api/v1/files${parameters}`, { signal })).value);
  }

  /** Page by page, up to the last. @throws {TroupeError} `NOT_IMPLEMENTED`, too, for a listing that would have no end */
  allFiles(query: FilesQuery, signal?: AbortSignal): AsyncGenerator<readonly StoredFile[]> {
    return pagesOf(async (cursor) => {
      const { files: items, cursor: next } = await this.files({ ...query, cursor }, signal);
      return { items, cursor: next };
    });
  }

  async remove(fileId: string, signal?: AbortSignal): Promise<void> {
    await this.#discard(`/api/v1/files/${fileId}`, { method: "DELETE", signal });
  }

  /** A URL with which anyone may read this file, until it expires; with the server's own time unless said. */
  async link(fileId: string, expiresSeconds: number | undefined, signal?: AbortSignal): Promise<SignedLink> {
    const path = `/api/v1/files/${fileId}/link`;
    const answer = await this.#json(path, { method: "POST", body: JSON.stringify({ expiresSeconds }), headers: JSON_BODY, signal });
    return this.#read(signedLink, answer.value);
  }

  async cluster(signal?: AbortSignal): Promise<ClusterReport> {
    return this.#read(clusterReport, (await this.#json("/api/v1/cluster", { signal })).value);
  }

  /** A whole file of unknown size as one body. @returns its URL */
  async put(
    name: string,
    bytes: AsyncIterable<Uint8Array>,
    labels: { readonly app?: string | undefined; readonly user?: string | undefined },
    signal?: AbortSignal,
  ): Promise<string> {
    const path = `/put/${name.split("/").map(encodeURIComponent).join("/")}${queryOf(labels)}`;
    // The file is verified and synced between its last byte and the answer.
    const text = await this.#text(path, {
      method: "PUT",
      body: bytes,
      headers: { accept: "text/plain" },
      signal,
      silenceMs: MERGE_TIMEOUT_MS,
    });
    return text.text.trim();
  }

  /**
   * The bytes of a file, or a span of them.
   * @param ifRange the ETag of an earlier answer: when the file is no longer that one, the whole of it is answered
   */
  async open(fileId: string, span: ByteSpan | undefined, ifRange: string | undefined, signal?: AbortSignal): Promise<OpenedFile> {
    const headers = { ...(span && { range: `bytes=${span.first}-${span.last}` }), ...(ifRange !== undefined && { "if-range": ifRange }) };
    const { response, watch } = await this.#exchange(`/files/${fileId}`, { headers, signal });
    const first = response.status === 206 ? firstOfContentRange(response.headers["content-range"]) : 0;
    const etag = response.headers["etag"];
    return { first, etag: etag?.startsWith("W/") ? undefined : etag, body: watched(response.body, watch, this.#name) };
  }

  /** What an upload's machine is in, how it came there, and why it waits. */
  async inspect(uploadId: string, signal?: AbortSignal): Promise<UploadInspection> {
    return this.#read(uploadInspection, (await this.#json(`/api/v1/inspect/uploads/${encodeURIComponent(uploadId)}`, { signal })).value);
  }

  /** The same, and then each step as it happens, until the upload ends or the stream does. */
  async *watch(uploadId: string, signal?: AbortSignal): AsyncGenerator<InspectionEvent> {
    const headers = { accept: "text/event-stream" };
    const path = `/api/v1/inspect/uploads/${encodeURIComponent(uploadId)}/events`;
    const { response, watch } = await this.#exchange(path, { headers, signal });
    for await (const { name, text } of eventsOf(watched(response.body, watch, this.#name))) {
      if (name === "inspection") yield { kind: name, inspection: this.#read(uploadInspection, this.#parsed(text)) };
      else if (name === "steps") yield { kind: name, steps: this.#read(uploadSteps, this.#parsed(text)) };
    }
  }

  /** What all processes did for an upload, a request or a trace, by its ID. */
  async trace(id: string, signal?: AbortSignal): Promise<TraceReport> {
    return this.#read(traceReport, (await this.#json(`/api/v1/inspect/traces/${encodeURIComponent(id)}`, { signal })).value);
  }

  /** @param actor the name of a contract; all unless given */
  async actors(actor: string | undefined, signal?: AbortSignal): Promise<ActorsReport> {
    return this.#read(actorsReport, (await this.#json(`/api/v1/inspect/actors${queryOf({ actor })}`, { signal })).value);
  }

  /** A GET for people who want to know whether and how something answers; no status is an error. */
  async probe(
    path: string,
    signal?: AbortSignal,
  ): Promise<{ readonly status: number; readonly headers: HttpHeaders; readonly text: string }> {
    const { response, watch } = await this.#exchange(path, { signal, silenceMs: 5_000 }, false);
    return { status: response.status, headers: response.headers, text: await readText(watched(response.body, watch, this.#name)) };
  }

  async #json(path: string, ask: Ask): Promise<{ readonly status: number; readonly value: unknown }> {
    const { status, text } = await this.#text(path, { ...ask, headers: { accept: "application/json", ...ask.headers } });
    return { status, value: this.#parsed(text) };
  }

  #parsed(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw strangerError(this.#name, error);
    }
  }

  async #text(path: string, ask: Ask): Promise<{ readonly status: number; readonly text: string }> {
    const { response, watch } = await this.#exchange(path, ask);
    return { status: response.status, text: await readText(watched(response.body, watch, this.#name)) };
  }

  async #discard(path: string, ask: Ask): Promise<void> {
    await this.#text(path, ask);
  }

  async #exchange(path: string, ask: Ask, refuse = true): Promise<{ readonly response: HttpClientResponse; readonly watch: SilenceWatch }> {
    const { method = "GET", headers, body, signal, silenceMs = CLIENT_SILENCE_MS_MAX } = ask;
    const watch = new SilenceWatch(this.#clock, silenceMs, signal);
    let response: HttpClientResponse;
    try {
      response = await this.#http.exchange({
        method,
        url: this.gateway + path,
        headers: { ...this.#headers, ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" || body instanceof Uint8Array ? body : touching(body, watch) }),
        signal: watch.signal,
      });
    } catch (error) {
      watch.end();
      throw noAnswer(watch.explain(error, this.#name), this.#name);
    }
    if (refuse && response.status >= 400) {
      const error = problemOf(response.status, response.headers, await readText(watched(response.body, watch, this.#name)));
      // A proxy may say on its own that nobody is behind it, but a path unknown to it never reached a gateway.
      throw error.facts["unexplained"] === true && STRANGE_STATUSES.has(response.status) ? strangerError(this.#name, error) : error;
    }
    return { response, watch };
  }

  #created(value: unknown): Created {
    const upload = createdUpload.safeParse(value);
    return upload.success ? { kind: "upload", upload: upload.data } : { kind: "file", file: this.#read(storedFile, value) };
  }

  #read<Shape extends z.ZodType>(shape: Shape, value: unknown): z.output<Shape> {
    const result = shape.safeParse(value);
    if (result.success) return result.data;
    const fault = result.error.issues[0];
    throw new TroupeError(
      "NOT_IMPLEMENTED",
      `${this.#name} answered something this version does not understand (${fault?.path.join(".")}: ${fault?.message}).`,
    );
  }
}

const STRANGE_STATUSES: ReadonlySet<number> = new Set([404, 405, 501]);

function strangerError(gateway: string, cause: unknown): TroupeError {
  return new TroupeError("NOT_IMPLEMENTED", `What answers at ${gateway} is no Troupe gateway.`, { cause, facts: { stranger: true } });
}

const JSON_BODY: HttpHeaders = { "content-type": "application/json" };

function authorization(token: string | undefined): HttpHeaders {
  if (token === undefined || token === "") return {};
  // The message must not repeat it.
  if (!/^[^\r\n\0]+$/.test(token)) throw new TroupeError("SETTING_INVALID", "The token has line breaks in it.");
  if (token.includes(":")) return { authorization: `Basic ${Buffer.from(token, "utf8").toString("base64")}` };
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new TroupeError("SETTING_INVALID", "The token has characters that no token has; it is visible ASCII.");
  return { authorization: `Bearer ${token}` };
}

function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/** No connection, or one that broke before an answer: said with the address. What the caller wished stays what it is. */
function noAnswer(error: unknown, gateway: string): unknown {
  if (!(error instanceof TroupeError) || error.code !== "UNAVAILABLE") return error;
  return new TroupeError("UNAVAILABLE", `No answer from ${gateway} (${error.detail.replace(/\.$/, "")}).`, {
    cause: error,
    facts: { ...error.facts, unreachable: true },
  });
}

/** A body that keeps its watch awake, and errors that say what really happened. */
async function* watched(body: AsyncIterable<Uint8Array>, watch: SilenceWatch, gateway: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const block of body) {
      // The time the reader takes is not the server's silence.
      watch.rest();
      yield block;
      watch.touch();
    }
  } catch (error) {
    throw noAnswer(watch.explain(error, gateway), gateway);
  } finally {
    watch.end();
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const blocks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const block of body) {
    sizeBytes += block.length;
    if (sizeBytes > CLIENT_ANSWER_BYTES_MAX)
      throw new TroupeError("TOO_LARGE", `The answer has more than ${CLIENT_ANSWER_BYTES_MAX} bytes.`);
    blocks.push(block);
  }
  return Buffer.concat(blocks).toString("utf8");
}

function firstOfContentRange(field: string | undefined): number {
  const match = /^bytes (\d{1,16})-\d+\/(?:\d+|\*)$/.exec(field ?? "");
  if (match === null) throw new TroupeError("NOT_IMPLEMENTED", "The server answered a part of the file without saying which.");
  return Number(match[1]);
}
