/**
 * A steady load on a gateway: each lane uploads a file in chunks, reads it back, reads an older one and deletes an older one, over and
 * over, and repeats an operation that failed in a way that may pass. It keeps account of what a user would have met.
 */
import { setTimeout as pause } from "node:timers/promises";
import { someBytes } from "./troupe.ts";

export interface SteadyLoadOptions {
  readonly fileBytes: number;
  readonly lanes: number;
}

/** An operation that needed a second repetition, with what it met before it came through. */
export interface RepeatedTwice {
  readonly name: string;
  readonly met: readonly string[];
}

interface Lane {
  /** Operations. */
  endedCount: number;
}

/** From before something that every operation needs was taken away until it was back; without an end, it is away still. */
interface Outage {
  readonly beganMs: number;
  endedMs: number;
}

interface KeptFile {
  readonly fileId: string;
  readonly url: string;
  readonly seed: number;
}

/** A node may be away for long; an operation that never comes through ends the lane. */
const ATTEMPTS_MAX = 100;
const ATTEMPT_MS_MAX = 30_000;
const KEPT_PER_LANE = 4;
const CHUNK_BYTES = 512 * 1024;

export class SteadyLoad {
  /** All files that were ever made. */
  readonly fileIds: string[] = [];
  readonly repeatedTwice: RepeatedTwice[] = [];
  /** Answers that were wrong: other bytes, a status that means neither success nor "later". */
  readonly wrong: string[] = [];
  /** Operations that needed one. */
  repeatedCount = 0;
  hasEnded = false;
  readonly #gateway: string;
  readonly #options: SteadyLoadOptions;
  readonly #kept = new Set<KeptFile>();
  readonly #lanes: readonly Lane[];
  readonly #outages: Outage[] = [];
  #playing: Promise<void>[] = [];
  #isStopping = false;
  #seed = 0;

  constructor(gateway: string, options: SteadyLoadOptions) {
    this.#gateway = gateway;
    this.#options = options;
    this.#lanes = Array.from({ length: options.lanes }, () => ({ endedCount: 0 }));
  }

  get keptFileIds(): string[] {
    return [...this.#kept].map(({ fileId }) => fileId);
  }

  start(): void {
    this.#playing = this.#lanes.map((lane) =>
      this.#play(lane).catch((error: unknown) => {
        this.hasEnded = true;
        this.wrong.push(String(error));
      }),
    );
  }

  /** Resolves when every lane has ended so many more operations: none still pauses for what it met before. */
  async progress(count: number): Promise<void> {
    const goals = this.#lanes.map((lane) => ({ lane, endedCount: lane.endedCount + count }));
    while (goals.some(({ lane, endedCount }) => lane.endedCount < endedCount) && !this.hasEnded) await pause(5);
  }

  /** While `work` goes on nothing can come through: however often an operation is tried in it, that counts as one repetition. */
  async outage(work: () => Promise<void>): Promise<void> {
    const outage: Outage = { beganMs: performance.now(), endedMs: Number.POSITIVE_INFINITY };
    this.#outages.push(outage);
    await work();
    outage.endedMs = performance.now();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#playing);
  }

  async #play(lane: Lane): Promise<void> {
    const mine: KeptFile[] = [];
    while (!this.#isStopping) {
      const file = await this.#upload(lane);
      mine.push(file);
      this.#kept.add(file);
      await this.#read(lane, file);
      const older = mine[0] as KeptFile;
      await this.#read(lane, older);
      if (mine.length <= KEPT_PER_LANE) continue;
      mine.shift();
      await this.#delete(lane, older);
      this.#kept.delete(older);
    }
  }

  async #upload(lane: Lane): Promise<KeptFile> {
    this.#seed += 1;
    const seed = this.#seed;
    const bytes = someBytes(this.#options.fileBytes, seed);
    const plan = { name: `load-${seed}.bin`, size: bytes.length, chunkBytes: CHUNK_BYTES, idempotencyKey: `load-${process.pid}-${seed}` };
    const created = await this.#operation(lane, "create", [200, 201], () =>
      this.#ask("POST", "/api/v1/uploads", JSON.stringify(plan), { "content-type": "application/json" }),
    );
    const { uploadId } = (await created.json()) as { uploadId: string };
    for (let index = 0; index * CHUNK_BYTES < bytes.length; index += 1) {
      const chunk = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      await this.#operation(lane, "chunk", [200], () => this.#ask("PUT", `/api/v1/uploads/${uploadId}/chunks/${index}`, chunk));
    }
    const merged = await this.#operation(lane, "merge", [200], () => this.#ask("POST", `/api/v1/uploads/${uploadId}/merge`));
    const { fileId, url } = (await merged.json()) as { fileId: string; url: string };
    this.fileIds.push(fileId);
    return { fileId, url, seed };
  }

  async #read(lane: Lane, { url, seed }: KeptFile): Promise<void> {
    const answer = await this.#operation(lane, "read", [200], async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(ATTEMPT_MS_MAX) });
      // A broken body is a failed attempt.
      return new Response(response.status === 204 ? null : await response.arrayBuffer(), response);
    });
    if (!someBytes(this.#options.fileBytes, seed).equals(Buffer.from(await answer.arrayBuffer()))) this.wrong.push(`${url}: other bytes`);
  }

  /** Repeated after an unknown outcome, "not found" says that the first one has done it. */
  async #delete(lane: Lane, { fileId }: KeptFile): Promise<void> {
    let isRepeated = false;
    await this.#operation(lane, "delete", [204], async () => {
      const response = await this.#ask("DELETE", `/api/v1/files/${fileId}`);
      if (response.status === 404 && isRepeated) return new Response(null, { status: 204 });
      isRepeated = true;
      return response;
    });
  }

  #ask(method: string, path: string, body?: string | Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.#gateway + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: body as string | Uint8Array<ArrayBuffer> }),
      signal: AbortSignal.timeout(ATTEMPT_MS_MAX),
    });
  }

  async #operation(lane: Lane, name: string, wanted: readonly number[], attempt: () => Promise<Response>): Promise<Response> {
    const met: string[] = [];
    let lastOutage: Outage | undefined;
    for (let attempts = 1; ; attempts += 1) {
      const beganMs = performance.now();
      const outcome = await attempt().catch((error: unknown) => String(error));
      if (typeof outcome !== "string" && wanted.includes(outcome.status)) {
        if (met.length === 1) this.repeatedCount += 1;
        if (met.length > 1) this.repeatedTwice.push({ name, met });
        lane.endedCount += 1;
        return outcome;
      }
      const words = typeof outcome === "string" ? outcome : `${outcome.status} ${(await outcome.text()).slice(0, 300)}`;
      // Also one that was under way when it began.
      const outage = this.#outages.findLast((each) => beganMs < each.endedMs);
      if (outage === undefined || outage !== lastOutage) met.push(words);
      lastOutage = outage;
      const mayPass = typeof outcome === "string" || outcome.status >= 500 || outcome.status === 429 || outcome.status === 408;
      if (!mayPass || attempts >= ATTEMPTS_MAX) throw new Error(`${name} failed at last with ${words}, and before: ${met.join("; ")}`);
      const retryAfter = typeof outcome === "string" ? null : outcome.headers.get("retry-after");
      await pause(1000 * Number(retryAfter ?? 1));
    }
  }
}
