/**
 * The data plane over HTTP: what a gateway asks the data server of a node that plays in another process.
 *
 * D1: a chunk's body is read only when the node has asked for it: a dead connection or a refused token leaves it untouched.
 * D2: nothing is read ahead of the reader but what the connection holds, and a node that is silent is given up. The time the source of a
 *     body takes is not the node's silence.
 * D3: a range that is not wanted any more takes its connection with it: the node stops reading.
 * D4: exchanges with one node are bounded.
 * D5: of a body that counts only as a whole the end may be withheld for long: it goes in records, with signs of life.
 */
import assert from "node:assert/strict";
import { contentDigestField } from "../core/digest.ts";
import { type ErrorCode, TroupeError } from "../core/errors.ts";
import { DATA_SILENCE_MS_MAX, EXCHANGES_PER_NODE_MAX, JSON_BODY_BYTES_MAX } from "../core/limits.ts";
import type { ByteStream } from "../core/ports/byte-stream.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { BlobRange, ChunkBody, ChunkStored, DataAccess, DataPlane, UploadRange } from "../core/ports/data-plane.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../core/ports/http-exchange.ts";
import { problemOf } from "../core/received-problem.ts";
import { chunkStored } from "../core/shapes.ts";
import { SilenceWatch, touching } from "../core/silence-watch.ts";
import { REQUEST_ID_FIELD, traceHeaders } from "../core/trace.ts";
import { hostUnavailable } from "./host-unavailable.ts";
import { type RangeSource, receiveRange } from "./received-range.ts";
import { inRecords, withSignsOfLife } from "./signs-of-life.ts";

export interface HttpDataPlanePorts {
  /** With room for `EXCHANGES_PER_NODE_MAX` connections to a host. */
  readonly http: HttpClient;
  /** For ranges over plain http, where there is a faster way; otherwise `http` brings them, too. */
  readonly ranges?: HttpClient | undefined;
  readonly clock: Clock;
}

/** A data server answers a request of ours with none of these: somebody else listens at the address the node had. */
const STRANGERS: ReadonlySet<ErrorCode> = new Set(["NOT_FOUND", "METHOD_NOT_ALLOWED", "UNAUTHORIZED", "FOREIGN_HOST", "FOREIGN_ORIGIN"]);

export class HttpDataPlane implements DataPlane {
  readonly #ports: HttpDataPlanePorts;
  readonly #silenceMs: number;
  readonly #exchangeCounts = new Map<string, number>();

  constructor(ports: HttpDataPlanePorts, silenceMs: number = DATA_SILENCE_MS_MAX) {
    this.#ports = ports;
    this.#silenceMs = silenceMs;
  }

  async storeChunk(access: DataAccess, chunk: ChunkBody): Promise<ChunkStored> {
    const { uploadId, index, lengthBytes, digests, fromBytes, isAtomic } = chunk;
    const isInRecords = fromBytes !== undefined && isAtomic === true;
    const query = new URLSearchParams();
    if (fromBytes !== undefined) query.set("from", String(fromBytes));
    if (isInRecords) query.set("atomic", "1");
    if (isInRecords && lengthBytes !== undefined) query.set("length", String(lengthBytes));
    const exchange = this.#open(access, chunk.signal);
    const body = touching(isInRecords ? withSignsOfLife(chunk.bytes, this.#ports.clock) : chunk.bytes, exchange.watch);
    try {
      const response = await exchange.ask({
        method: "PUT",
        url: `${exchange.url}/chunks/${uploadId}/${index}${query.size === 0 ? "" : `?${query}`}`,
        headers: {
          authorization: `Bearer ${access.token}`,
          ...(lengthBytes === undefined || isInRecords ? {} : { "content-length": String(lengthBytes) }),
          ...(digests.length === 0 ? {} : { "content-digest": contentDigestField(digests) }),
        },
        // D5
        body: isInRecords ? inRecords(body) : body,
        expectContinue: true,
      });
      const answer = chunkStored.safeParse(jsonOf(await exchange.text(response)));
      if (response.status !== 200 || !answer.success) throw exchange.stranger();
      exchange.end();
      return answer.data;
    } catch (error) {
      exchange.giveUp();
      throw error;
    }
  }

  async readBlob(access: DataAccess, range: BlobRange, signal?: AbortSignal): Promise<ByteStream> {
    const { blobId, sizeBytes } = range;
    assert(range.lengthBytes > 0 || sizeBytes === 0, "a range has at least one byte");
    return await this.#read(access, `/blobs/${blobId}`, range, String(sizeBytes), signal);
  }

  async readUpload(access: DataAccess, range: UploadRange, signal?: AbortSignal): Promise<ByteStream> {
    assert(range.lengthBytes > 0, "a range has at least one byte");
    return await this.#read(access, `/uploads/${range.uploadId}`, range, "*", signal);
  }

  /** @param sizeText the size the node says in its answer */
  async #read(
    access: DataAccess,
    path: string,
    { offset, lengthBytes }: { readonly offset: number; readonly lengthBytes: number },
    sizeText: string,
    signal: AbortSignal | undefined,
  ): Promise<ByteStream> {
    const last = offset + lengthBytes - 1;
    const isWhole = lengthBytes === 0;
    const exchange = this.#open(access, signal);
    try {
      const response = await exchange.ask({
        method: "GET",
        url: `${exchange.url}${path}`,
        headers: { authorization: `Bearer ${access.token}`, ...(isWhole ? {} : { range: `bytes=${offset}-${last}` }) },
      });
      const { status, headers } = response;
      const isAsked = isWhole ? status === 200 : status === 206 && headers["content-range"] === `bytes ${offset}-${last}/${sizeText}`;
      if (!isAsked || headers["content-length"] !== String(lengthBytes)) throw exchange.stranger();
      return await receiveRange(exchange, response.body[Symbol.asyncIterator](), lengthBytes);
    } catch (error) {
      exchange.giveUp();
      throw error;
    }
  }

  #open(access: DataAccess, signal: AbortSignal | undefined): Exchange {
    const { nodeId } = access;
    const count = this.#exchangeCounts.get(nodeId) ?? 0;
    // D4
    if (count >= EXCHANGES_PER_NODE_MAX)
      throw new TroupeError("BUSY", `${EXCHANGES_PER_NODE_MAX} exchanges of bytes with node ${nodeId} are under way already.`);
    const exchange = new Exchange(access, this.#ports, this.#silenceMs, signal, () => {
      const left = (this.#exchangeCounts.get(nodeId) ?? 1) - 1;
      if (left === 0) this.#exchangeCounts.delete(nodeId);
      else this.#exchangeCounts.set(nodeId, left);
    });
    this.#exchangeCounts.set(nodeId, count + 1);
    return exchange;
  }
}

/** One request to a node, until its answer has been read or is not wanted any more. */
class Exchange implements RangeSource {
  readonly url: string;
  readonly watch: SilenceWatch;
  readonly #access: DataAccess;
  readonly #ports: HttpDataPlanePorts;
  readonly #onEnd: () => void;
  #isEnded = false;

  constructor(access: DataAccess, ports: HttpDataPlanePorts, silenceMs: number, signal: AbortSignal | undefined, onEnd: () => void) {
    if (access.url === undefined) throw hostUnavailable(access, "it has no address of its own.", { unconnected: true });
    this.url = access.url;
    this.#access = access;
    this.#ports = ports;
    this.#onEnd = onEnd;
    this.watch = new SilenceWatch(ports.clock, silenceMs, signal);
  }

  /** @throws {TroupeError} with the node's own code when it refuses */
  async ask(request: HttpClientRequest): Promise<HttpClientResponse> {
    const http = request.body === undefined && this.url.startsWith("http://") ? (this.#ports.ranges ?? this.#ports.http) : this.#ports.http;
    let response: HttpClientResponse;
    try {
      response = await http.exchange({
        ...request,
        headers: { ...request.headers, ...traceHeaders(REQUEST_ID_FIELD) },
        signal: this.watch.signal,
      });
    } catch (error) {
      throw this.explain(error);
    }
    this.watch.touch();
    if (response.status < 400) return response;
    const problem = problemOf(response.status, response.headers, await this.text(response));
    if (problem.facts["unexplained"] !== undefined || STRANGERS.has(problem.code)) throw this.stranger(problem);
    const { httpStatus: _, requestId: __, ...facts } = problem.facts;
    throw new TroupeError(problem.code, problem.detail, { cause: problem, facts });
  }

  /** A short answer, whole. */
  async text(response: HttpClientResponse): Promise<string> {
    const blocks: Uint8Array[] = [];
    let lengthBytes = 0;
    try {
      for await (const block of response.body) {
        lengthBytes += block.length;
        if (lengthBytes > JSON_BODY_BYTES_MAX) throw this.stranger();
        blocks.push(block);
      }
    } catch (error) {
      throw this.explain(error);
    }
    return Buffer.concat(blocks).toString("utf8");
  }

  /** What an error of the connection means to whoever wanted the bytes. */
  explain(error: unknown): unknown {
    const explained = this.watch.explain(error, "it");
    if (!(explained instanceof TroupeError)) return explained;
    const { code, detail, facts } = explained;
    if (code !== "UNAVAILABLE" && code !== "DEADLINE_EXCEEDED") return explained;
    return hostUnavailable(this.#access, detail, { cause: explained, unconnected: facts["unconnected"] === true });
  }

  broken(why: string): TroupeError {
    return hostUnavailable(this.#access, why);
  }

  stranger(cause?: unknown): TroupeError {
    return hostUnavailable(this.#access, "something else answers at its address.", { cause });
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.watch.end();
    this.#onEnd();
  }

  /** D3 */
  giveUp(): void {
    if (this.#isEnded) return;
    this.watch.giveUp();
    this.end();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No answer of a data server's; the caller says so.
    return undefined;
  }
}
