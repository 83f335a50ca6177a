/**
 * Content that may be there already: the client proves that it has it, and need not send it.
 *
 * V1: a challenge is good for one try; whoever asks while it is being tried hears how it ends. It lives in memory: a session that was
 *     opened anew has another.
 * V2: every session whose plan allows a proof has a challenge, whatever content there is; and a proof that does not hold is answered a
 *     fixed time after it was asked for, whatever there was to compare it with. So it tells nothing of content that is somebody else's.
 * V3: once the catalog may know of the file, only its definite word ends the commit.
 */
import { client } from "../../bus/client.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import { CHALLENGE_RANGES_MAX, LEAF_BYTES, PROOF_ANSWER_MS } from "../../core/limits.ts";
import { sleep } from "../../core/ports/clock.ts";
import type { Random } from "../../core/ports/random.ts";
import { withRetry } from "../../core/retry.ts";
import type { Challenge } from "../../core/shapes.ts";
import type { LocatedFile, UploadPlan } from "../catalog/contract.ts";
import { storage } from "../storage/contract.ts";
import type { UploadStatus } from "./contract.ts";
import type { SessionPorts } from "./ports.ts";
import { Waiters } from "./waiters.ts";

interface PossessionSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly epoch: number;
  status(): UploadStatus;
  /** Outside the turn; `then` is another. */
  effect<T>(name: string, work: (signal: AbortSignal) => Promise<T>, then: (result: T) => void): void;
  /** Possession of this blob's content was proven. */
  proven(blobId: number): void;
  /** A file is being made of it. */
  isCommitting(): boolean;
}

/** How the commit of known content ended. */
export type KnownCommit =
  | { readonly kind: "committed"; readonly file: LocatedFile }
  /** The content has gone meanwhile. */
  | { readonly kind: "gone" }
  /** There is no such upload any more, as far as the catalog is concerned. */
  | { readonly kind: "refused"; readonly error: TroupeError };

const NONCE_BYTES = 32;
/** V3 */
const COMMIT_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 5_000 };

export class Possession {
  readonly #session: PossessionSession;
  readonly #waiters = new Waiters<UploadStatus>();
  #challenge: Challenge | undefined;
  #isTrying = false;

  constructor(session: PossessionSession) {
    this.#session = session;
    this.#challenge = drawChallenge(session.ports.random, session.plan);
  }

  /** Absent when possession cannot be proven, or not any more. */
  get challenge(): Challenge | undefined {
    return this.#challenge;
  }

  /** In a turn. @returns the upload as it is when the try has ended: with its file, or to go on with */
  request(hmac: string): UploadStatus | Promise<UploadStatus> {
    const challenge = this.#challenge;
    if (challenge !== undefined) {
      // V1
      this.#challenge = undefined;
      this.#isTrying = true;
      this.#session.effect(
        "prove",
        (signal) => this.#tryAt(challenge, hmac, signal),
        (blobId) => {
          this.#isTrying = false;
          if (blobId !== undefined) this.#session.proven(blobId);
          this.settle();
        },
      );
    }
    return this.#isUnderWay ? this.#waiters.wait() : this.#session.status();
  }

  /** Something may have ended: whoever waits hears of it. */
  settle(): void {
    if (!this.#isUnderWay) this.#waiters.resolve(this.#session.status());
  }

  /** The upload has ended. */
  end(): void {
    this.#waiters.resolve(this.#session.status());
  }

  refuse(error: TroupeError): void {
    this.#waiters.reject(error);
  }

  /** V3 */
  async commit(blobId: number, signal: AbortSignal): Promise<KnownCommit> {
    const { ports, plan, epoch } = this.#session;
    const input = { uploadId: plan.uploadId, epoch, blobId };
    try {
      const { file } = await withRetry(COMMIT_RETRY, ports, () => ports.catalog.commitKnown(input), isRetryable, signal);
      return { kind: "committed", file };
    } catch (error) {
      if (!(error instanceof TroupeError) || signal.aborted) throw error;
      return error.code === "BLOB_NOT_FOUND" ? { kind: "gone" } : { kind: "refused", error };
    }
  }

  get #isUnderWay(): boolean {
    return this.#isTrying || this.#session.isCommitting();
  }

  /** V2. @returns the blob whose content was proven */
  async #tryAt(challenge: Challenge, hmac: string, signal: AbortSignal): Promise<number | undefined> {
    const ended = new AbortController();
    const within = AbortSignal.any([signal, ended.signal]);
    const waited = sleep(this.#session.ports.clock, PROOF_ANSWER_MS, within);
    const found = this.#compare(challenge, hmac, within);
    try {
      const blobId = await Promise.race([found, waited.then(() => undefined)]);
      if (blobId === undefined) await waited;
      return blobId;
    } finally {
      // What is not found by now is not looked for any more.
      ended.abort(new TroupeError("DEADLINE_EXCEEDED"));
      await Promise.allSettled([waited, found]);
    }
  }

  async #compare(challenge: Challenge, hmac: string, signal: AbortSignal): Promise<number | undefined> {
    const { ports, plan } = this.#session;
    const { digest, sizeBytes } = plan;
    if (digest === undefined || sizeBytes === undefined) return undefined;
    const options = { signal, timeoutMs: PROOF_ANSWER_MS };
    try {
      const { content } = await ports.catalog.provableContent({ digest, sizeBytes }, options);
      if (content === undefined) return undefined;
      const { blobId, path, nodeIds } = content.blob;
      for (const nodeId of nodeIds) {
        const answer = await this.#askNode(nodeId, { blobId, path, sizeBytes, challenge, hmac }, options);
        if (answer !== undefined) return answer ? blobId : undefined;
      }
    } catch (error) {
      this.#notProven(error);
    }
    return undefined;
  }

  /** @returns `undefined` when the node cannot say */
  async #askNode(
    nodeId: string,
    proof: { blobId: number; path: string; sizeBytes: number; challenge: Challenge; hmac: string },
    options: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<boolean | undefined> {
    try {
      return (await client(this.#session.ports.bus, storage, { nodeId }).proveBlob(proof, options)).isProven;
    } catch (error) {
      if (options.signal.aborted) throw error;
      this.#notProven(error);
      return undefined;
    }
  }

  #notProven(error: unknown): void {
    if (!(error instanceof TroupeError)) throw error;
    this.#session.ports.log.debug({ uploadId: this.#session.plan.uploadId, err: error }, "Possession of content could not be looked into.");
  }
}

/**
 * Random leaves of a file of the claimed size: all of them when there are few. Only a digest for which nobody finds another content counts.
 */
export function drawChallenge(random: Random, { digest, sizeBytes }: Pick<UploadPlan, "digest" | "sizeBytes">): Challenge | undefined {
  if (sizeBytes === undefined || sizeBytes === 0 || (digest?.algorithm !== "blake3" && digest?.algorithm !== "sha256")) return undefined;
  const leafCount = Math.ceil(sizeBytes / LEAF_BYTES);
  const leaves = new Set<number>();
  if (leafCount <= CHALLENGE_RANGES_MAX) for (let leaf = 0; leaf < leafCount; leaf += 1) leaves.add(leaf);
  else while (leaves.size < CHALLENGE_RANGES_MAX) leaves.add(random.integer(leafCount));
  return {
    nonce: Buffer.from(random.bytes(NONCE_BYTES)).toString("hex"),
    ranges: [...leaves]
      .sort((a, b) => a - b)
      .map((leaf) => [leaf * LEAF_BYTES, Math.min(LEAF_BYTES, sizeBytes - leaf * LEAF_BYTES)] as [number, number]),
  };
}
