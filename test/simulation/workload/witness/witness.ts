/**
 * Sees every exchange between a client and a gateway: writes down what is asked and what is answered, and compares each answer with what
 * was known before.
 *
 * W1: the client gets what it would get without it, byte for byte and at the same moment.
 * W2: an answer that cannot be is a violation in the event that brings it.
 */
import { TroupeError } from "../../../../src/core/errors.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../../../../src/core/ports/http-exchange.ts";
import { problemOf } from "../../../../src/core/received-problem.ts";
import { lastError } from "../../../../src/core/shapes.ts";
import type { World } from "../../world.ts";
import type { History } from "../history.ts";
import { type Disks, isFullExplained, isRefusalExplained } from "./excuses.ts";
import { bytes, fileListing, link, metadata, remove, rename } from "./file-trials.ts";
import { type Asked, type Intent, type Trial, violate } from "./trial.ts";
import { tusCreation, tusHead, tusPatch, tusTermination } from "./tus-trials.ts";
import { cancel, chunk, creation, merge, proof, status, uploadListing } from "./upload-trials.ts";
import { wholeFile } from "./whole-trials.ts";

/** Of a body that a stream brings, only what is sent is known. */
const NO_TEXT = "";

export interface WitnessOptions {
  readonly world: World;
  readonly history: History;
  readonly http: HttpClient;
  /** Name and life of the gateway at this host. */
  readonly gatewayAt: (host: string) => string;
  readonly disks: Disks;
  readonly intent: Intent;
}

export class Witness implements HttpClient {
  readonly #options: WitnessOptions;

  constructor(options: WitnessOptions) {
    this.#options = options;
  }

  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    const { world, history, http, gatewayAt, disks, intent } = this.#options;
    const { hostname, pathname, searchParams } = new URL(request.url);
    const { method, headers = {}, body } = request;
    const asked: Asked = {
      ...intent,
      world,
      history,
      gateway: gatewayAt(hostname),
      disks,
      sentMs: world.nowMs,
      method,
      path: decodeURIComponent(pathname),
      query: searchParams,
      headers,
      text: typeof body === "string" ? body : NO_TEXT,
    };
    const trial = trialOf(asked);
    let response: HttpClientResponse;
    try {
      response = await http.exchange(request);
    } catch (error) {
      trial.lost();
      throw error;
    }
    if (response.status < 400) trial.opened?.(response);
    return { ...response, body: watched(asked, trial, response) };
  }

  async close(): Promise<void> {
    // The connections belong to the process.
  }
}

type TrialMaker = (asked: Asked, word: string, index: number) => Trial;

/** Method, path, and the trial of the word in it. */
const ROUTES: readonly (readonly [string, RegExp, TrialMaker])[] = [
  ["PUT", /^\/api\/v1\/uploads\/([^/]+)\/chunks\/(\d+)$/, (asked, uploadId, index) => chunk(asked, uploadId, index)],
  ["GET", /^\/files\/([^/]+)(?:\/.*)?$/, bytes],
  ["GET", /^\/api\/v1\/uploads\/([^/]+)$/, status],
  ["POST", /^\/api\/v1\/uploads$/, creation],
  ["POST", /^\/api\/v1\/uploads\/([^/]+)\/merge$/, merge],
  ["POST", /^\/api\/v1\/uploads\/([^/]+)\/proof$/, proof],
  ["DELETE", /^\/api\/v1\/uploads\/([^/]+)$/, cancel],
  ["GET", /^\/api\/v1\/uploads$/, uploadListing],
  ["GET", /^\/api\/v1\/files$/, fileListing],
  ["GET", /^\/api\/v1\/files\/([^/]+)$/, metadata],
  ["PATCH", /^\/api\/v1\/files\/([^/]+)$/, rename],
  ["DELETE", /^\/api\/v1\/files\/([^/]+)$/, remove],
  ["POST", /^\/api\/v1\/files\/([^/]+)\/link$/, link],
  ["POST", /^\/api\/v1\/files$/, (asked) => wholeFile(asked, asked.query.get("name") ?? "unnamed")],
  ["PUT", /^\/put\/(.+)$/, wholeFile],
  ["POST", /^\/tus\/?$/, tusCreation],
  ["PATCH", /^\/tus\/([^/]+)$/, tusPatch],
  ["HEAD", /^\/tus\/([^/]+)$/, tusHead],
  ["DELETE", /^\/tus\/([^/]+)$/, tusTermination],
];

function trialOf(asked: Asked): Trial {
  for (const [method, pattern, make] of ROUTES) {
    if (method !== asked.method) continue;
    const match = pattern.exec(asked.path);
    if (match !== null) return make(asked, match[1] ?? "", Number(match[2]));
  }
  throw new Error(`nobody looks at ${asked.method} ${asked.path}`);
}

/** The same body; at its end, or when it breaks off, it is known what the exchange came to. */
async function* watched(asked: Asked, trial: Trial, { status: httpStatus, headers, body }: HttpClientResponse): AsyncGenerator<Uint8Array> {
  const isFile = httpStatus < 400 && trial.block !== undefined;
  const blocks: Uint8Array[] = [];
  let isWhole = false;
  try {
    for await (const block of body) {
      if (isFile) trial.block?.(block);
      else blocks.push(block);
      yield block;
    }
    isWhole = true;
  } finally {
    const text = isFile ? NO_TEXT : Buffer.concat(blocks).toString("utf8");
    if (!isWhole) trial.lost();
    else if (httpStatus < 400) trial.answered({ status: httpStatus, headers, text });
    else failed(asked, trial, asItEnded(problemOf(httpStatus, headers, text)));
  }
}

/** A merge is answered with what it failed of, also long after: if that does not pass, it is the upload's end. */
function asItEnded(error: TroupeError): TroupeError {
  if (error.retry !== "later" && error.code !== "BLOB_DAMAGED") return error;
  const reason = lastError.safeParse(error.facts["lastError"]);
  return reason.data?.retryable === false ? new TroupeError("UPLOAD_FAILED", error.detail, { facts: error.facts }) : error;
}

function failed(asked: Asked, trial: Trial, error: TroupeError): void {
  const { code, detail, retry } = error;
  asked.world.counts.add(`answer.${code}`);
  if (code === "INTERNAL" || code === "NOT_IMPLEMENTED") violate(asked, "internal-error", `${code}: ${detail}`);
  if ((code === "DISK_FAILED" || code === "BLOB_DAMAGED") && !isRefusalExplained(asked, code))
    violate(asked, "unexplained-damage", `${code}: ${detail}`);
  if (code === "DISK_FULL" && !isFullExplained(asked)) violate(asked, "unexplained-answer", `${code}, and no disk was full: ${detail}`);
  const isLocked = error.facts["httpStatus"] === 423;
  if (retry === "later" || isLocked || code === "BLOB_DAMAGED") {
    trial.lost();
    if (code === "CHECKSUM_MISMATCH" && asked.lies !== true) violate(asked, "unexplained-answer", `${code}: ${detail}`);
    return;
  }
  const why = trial.refused(error);
  if (why !== undefined) violate(asked, "unexplained-answer", `${code}, but ${why}`);
}
