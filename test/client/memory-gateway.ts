/**
 * A gateway in memory, behind the HttpClient port: uploads, merges and files as the documentation describes them, with a place to
 * break things. `before` may answer or throw in the gateway's stead; `after` may lose an answer whose effect has happened.
 */
import { TroupeError } from "../../src/core/errors.ts";
import { CHUNK_BYTES_DEFAULT, PAGE_ITEMS_DEFAULT } from "../../src/core/limits.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../../src/core/ports/http-exchange.ts";
import { streamHash } from "../../src/store/stream-hash.ts";

interface Upload {
  readonly size: number;
  readonly chunkBytes: number;
  readonly name: string;
  readonly chunks: Map<number, Buffer>;
  state: string;
  polls: number;
  fileId?: string;
}

interface StoredBytes {
  readonly name: string;
  readonly user: string;
  bytes: Buffer;
}

const CREATED = "2026-01-31T12:34:56.789Z";
const NODE = {
  nodeId: "node-1",
  group: "group001",
  zone: "z",
  state: "active",
  silentMs: 1200,
  freeBytes: 5 * 2 ** 30,
  totalBytes: 2 ** 40,
  version: "0.1.0",
};

/** A request the gateway saw: `PUT /api/v1/uploads/u1/chunks/0`. */
export type SeenRequest = string;

export class MemoryGateway implements HttpClient {
  static readonly url = "http://gateway.test";
  readonly uploads = new Map<string, Upload>();
  readonly files = new Map<string, StoredBytes>();
  readonly seen: SeenRequest[] = [];
  readonly requests: HttpClientRequest[] = [];
  /** Chunk bodies being received at the moment, and the most there ever were. */
  inFlight = 0;
  inFlightMax = 0;
  /** How often a merge is asked about before it is done. */
  mergePolls = 2;
  missingRangesMax = 1000;
  before: (seen: SeenRequest, request: HttpClientRequest) => HttpClientResponse | undefined | Promise<HttpClientResponse | undefined> =
    () => undefined;
  after: (seen: SeenRequest, response: HttpClientResponse) => HttpClientResponse = (_, response) => response;
  readonly #keys = new Map<string, string>();

  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    if (request.signal?.aborted) throw new TroupeError("CANCELLED");
    const url = new URL(request.url);
    const seen = `${request.method} ${url.pathname}`;
    this.seen.push(seen);
    this.requests.push(request);
    return (await this.before(seen, request)) ?? this.after(seen, await this.#answer(request, url));
  }

  async close(): Promise<void> {}

  count(pattern: RegExp): number {
    return this.seen.filter((seen) => pattern.test(seen)).length;
  }

  add(fileId: string, name: string, bytes: Buffer, user = "default"): void {
    this.files.set(fileId, { name, user, bytes });
  }

  async #answer(request: HttpClientRequest, url: URL): Promise<HttpClientResponse> {
    const [, , , kind, id = "", part, index] = url.pathname.split("/");
    if (url.pathname.startsWith("/files/")) return this.#bytes(url.pathname.split("/")[2] ?? "", request);
    if (url.pathname.startsWith("/put/")) return this.#put(url, request);
    if (url.pathname === "/readyz") return json(200, { ready: true, checks: { bus: { ok: true } } });
    if (kind === "cluster")
      return json(200, {
        groups: [{ group: "group001", nodeCount: 2, activeCount: 1, freeBytes: 5 * 2 ** 30, totalBytes: 2 ** 40 }],
        nodes: [NODE],
      });
    if (kind === "files") return this.#file(request.method, id, url.searchParams);
    if (kind !== "uploads") return problem(404, "NOT_FOUND");
    if (request.method === "POST" && id === "") return this.#create(JSON.parse((await readAll(request.body)).toString()));
    if (id === "")
      return json(200, {
        uploads: [...this.uploads]
          .filter(([, { state }]) => url.searchParams.get("state") !== "receiving" || !["merged", "cancelled"].includes(state))
          .map(([uploadId, { name, size, state, fileId }]) => ({ uploadId, name, size, state, since: CREATED, fileId })),
      });
    const upload = this.uploads.get(id);
    if (upload === undefined) return problem(404, "UPLOAD_NOT_FOUND");
    if (part === "chunks") return this.#chunk(upload, Number(index), request);
    if (part === "merge") return this.#merge(upload);
    if (request.method === "DELETE") {
      upload.state = "cancelled";
      return { status: 204, headers: {}, body: once("") };
    }
    this.#step(upload);
    return json(200, { state: upload.state, ...this.#progress(upload), ...(upload.fileId === undefined ? {} : { fileId: upload.fileId }) });
  }

  #create(wish: { name: string; size: number; chunkBytes?: number; idempotencyKey: string }): HttpClientResponse {
    let uploadId = this.#keys.get(wish.idempotencyKey);
    if (uploadId === undefined) {
      uploadId = `u${this.uploads.size + 1}`;
      this.#keys.set(wish.idempotencyKey, uploadId);
      this.uploads.set(uploadId, {
        ...wish,
        chunkBytes: wish.chunkBytes ?? CHUNK_BYTES_DEFAULT,
        chunks: new Map(),
        state: "receiving",
        polls: 0,
      });
    }
    return json(201, { uploadId, state: "receiving", ...this.#progress(this.uploads.get(uploadId) as Upload) });
  }

  async #chunk(upload: Upload, index: number, request: HttpClientRequest): Promise<HttpClientResponse> {
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    try {
      const bytes = await readAll(request.body);
      if (bytes.length !== Number(request.headers?.["content-length"])) return problem(400, "CHUNK_LENGTH");
      if (upload.fileId !== undefined) return problem(409, "UPLOAD_MERGED");
      const first = upload.chunks.get(index);
      if (first !== undefined && !first.equals(bytes)) return problem(409, "CHUNK_CONFLICT");
      upload.chunks.set(index, bytes);
      return json(200, { index, durable: true, copies: 1, receivedCount: upload.chunks.size });
    } finally {
      this.inFlight -= 1;
    }
  }

  #merge(upload: Upload): HttpClientResponse {
    if (upload.fileId !== undefined) return json(200, this.#record(upload.fileId));
    const { missing } = this.#progress(upload);
    if (missing.length > 0) return problem(409, "UPLOAD_INCOMPLETE", { missing });
    upload.state = "verifying";
    return json(202, { state: "verifying" });
  }

  #step(upload: Upload): void {
    if (upload.state !== "verifying") return;
    upload.polls += 1;
    if (upload.polls < this.mergePolls) return;
    upload.state = "merged";
    upload.fileId = fileIdNumber(this.files.size + 1);
    const chunks = [...upload.chunks].sort(([one], [other]) => one - other).map(([, bytes]) => bytes);
    this.add(upload.fileId, upload.name, Buffer.concat(chunks));
  }

  #progress(upload: Upload) {
    const chunkCount = Math.ceil(upload.size / upload.chunkBytes);
    const missing: [number, number][] = [];
    for (let index = 0; index < chunkCount; index += 1) {
      if (upload.chunks.has(index)) continue;
      const last = missing.at(-1);
      if (last?.[1] === index - 1) last[1] = index;
      else missing.push([index, index]);
    }
    const { size, chunkBytes, chunks } = upload;
    const shown = missing.slice(0, this.missingRangesMax);
    const receivedBytes = [...chunks.values()].reduce((sum, { length }) => sum + length, 0);
    return {
      size,
      chunkBytes,
      chunkCount,
      receivedCount: chunks.size,
      receivedBytes,
      missing: shown,
      missingTruncated: shown.length < missing.length,
    };
  }

  #record(fileId: string) {
    const { name, user, bytes } = this.files.get(fileId) as StoredBytes;
    const hash = streamHash("blake3");
    hash.update(bytes);
    return {
      fileId,
      name,
      user,
      size: bytes.length,
      digest: { blake3: hash.digestHex() },
      copies: 1,
      created: CREATED,
      url: `${MemoryGateway.url}/files/${fileId}/${name.split("/").map(encodeURIComponent).join("/")}`,
    };
  }

  #file(method: string, fileId: string, query: URLSearchParams): HttpClientResponse {
    if (fileId === "") {
      // The newest come first.
      const found = [...this.files].reverse().flatMap(([id, { name }]) => (name.startsWith(query.get("prefix") ?? "") ? [id] : []));
      const end = Number(query.get("cursor") ?? 0) + Number(query.get("limit") ?? PAGE_ITEMS_DEFAULT);
      const files = found.slice(Number(query.get("cursor") ?? 0), end).map((id) => this.#record(id));
      return json(200, { files, ...(end < found.length ? { cursor: String(end) } : {}) });
    }
    if (!this.files.has(fileId)) return problem(404, "FILE_NOT_FOUND");
    if (method === "POST") return json(200, { url: `${MemoryGateway.url}/files/${fileId}?signature=s`, expires: CREATED });
    if (method !== "DELETE") return json(200, this.#record(fileId));
    this.files.delete(fileId);
    return { status: 204, headers: {}, body: once("") };
  }

  async #put(url: URL, request: HttpClientRequest): Promise<HttpClientResponse> {
    const fileId = fileIdNumber(this.files.size + 1);
    this.add(fileId, decodeURIComponent(url.pathname.slice("/put/".length)), await readAll(request.body));
    return { status: 201, headers: {}, body: once(`${this.#record(fileId).url}\n`) };
  }

  #bytes(fileId: string, request: HttpClientRequest): HttpClientResponse {
    const file = this.files.get(fileId);
    if (file === undefined) return problem(404, "FILE_NOT_FOUND");
    const etag = `"${this.#record(fileId).digest.blake3.slice(0, 16)}"`;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers?.["range"] ?? "");
    const ifRange = request.headers?.["if-range"];
    if (range === null || (ifRange !== undefined && ifRange !== etag)) return { status: 200, headers: { etag }, body: blocks(file.bytes) };
    const [first, last] = [Number(range[1]), Math.min(Number(range[2]), file.bytes.length - 1)];
    if (first > last) return problem(416, "RANGE_NOT_SATISFIABLE");
    const headers = { etag, "content-range": `bytes ${first}-${last}/${file.bytes.length}` };
    return { status: 206, headers, body: blocks(file.bytes.subarray(first, last + 1)) };
  }
}

/** A file ID that looks like one. */
export function fileIdNumber(number: number): string {
  return `${number.toString(16).padStart(30, "0")}000001`;
}

export function problem(
  status: number,
  code: string,
  more: Record<string, unknown> = {},
  headers: Record<string, string> = {},
): HttpClientResponse {
  const body = JSON.stringify({ type: "about:blank", title: code, status, code, detail: `${code} as told`, requestId: "r1", ...more });
  return { status, headers: { "content-type": "application/problem+json", ...headers }, body: once(body) };
}

export function json(status: number, value: unknown): HttpClientResponse {
  return { status, headers: { "content-type": "application/json" }, body: once(JSON.stringify(value)) };
}

export async function readAll(body: HttpClientRequest["body"]): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0);
  if (typeof body === "string" || body instanceof Uint8Array) return Buffer.from(body as string);
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return Buffer.concat(parts);
}

export async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

/** Small blocks, so that a break can come in the middle. */
export async function* blocks(bytes: Buffer, blockBytes = 10_000): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += blockBytes) yield bytes.subarray(offset, offset + blockBytes);
}

/** The first `sizeBytes` bytes of a body, and then a broken connection. */
export async function* broken(body: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let left = sizeBytes;
  for await (const block of body) {
    yield block.subarray(0, left);
    left -= block.length;
    if (left <= 0) throw new TroupeError("UNAVAILABLE", "The connection was reset.");
  }
}
