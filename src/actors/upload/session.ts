/**
 * One upload in memory: the machine's snapshot, the ledger of chunks, the journal, and what follows from each transition.
 *
 * S1: the snapshot changes only in a turn, and only through the machine.
 * S2: order for a chunk: data synced → journal record synced → counted → answered.
 * S3: when the session ends without a file, the catalog knows it before the bytes are removed, and the answer comes after both.
 * S4: nothing of an activation outlives its stop: bodies are let go, the follower and the files are closed, the reservation is given back.
 */
import type { Activation, Handlers, Self, Turn } from "../../bus/actor.ts";
import { eventSubject } from "../../bus/contract.ts";
import { isErrorCode, TroupeError } from "../../core/errors.ts";
import { MISSING_RANGES_MAX } from "../../core/limits.ts";
import type { Timer } from "../../core/ports/clock.ts";
import type { ChunkBody, ChunkStored, DataAccess } from "../../core/ports/data-plane.ts";
import { withRetry } from "../../core/retry.ts";
import { ENDED_STATES, type EndedState, isEnded, type UploadState } from "../../core/shapes.ts";
import type { LocatedFile, UploadPlan } from "../catalog/contract.ts";
import { ChunkIntake } from "./chunk-intake.ts";
import { ChunkLedger } from "./chunk-ledger.ts";
import type { UploadStatus, upload } from "./contract.ts";
import { type CommitPlan, Journal } from "./journal.ts";
import {
  initialSnapshot,
  refusal,
  type SessionAction,
  type SessionCommand,
  type SessionEvent,
  type SessionSnapshot,
  stateOf,
  step,
} from "./machine.ts";
import { MergeSteps } from "./merge-steps.ts";
import type { SessionOptions, SessionPorts, SessionSummary } from "./ports.ts";
import { openData, sessionPaths } from "./session-files.ts";

type MergeResult = { readonly state: UploadState; readonly file: MergedFile };
interface MergedFile {
  readonly fileId: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly digests: LocatedFile["digests"];
  readonly copies: number;
  readonly durability: "single-copy" | "complete";
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Idle for this long, a session gives its descriptors back. */
const REST_AFTER_MS = 30_000;
const PROGRESS_EVERY_MS = 500;
/** Telling the catalog how an upload ended is not given up while the session lives. */
const END_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 10_000 };

export class Session {
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly #ports: SessionPorts;
  readonly #options: SessionOptions;
  readonly #self: Self;
  readonly #ledger: ChunkLedger;
  readonly #journal: Journal;
  readonly #intake: ChunkIntake;
  readonly #merge: MergeSteps;
  #snapshot: SessionSnapshot = initialSnapshot();
  #sinceMs: number;
  #merged: MergedFile | undefined;
  readonly #mergeWaiters: Waiter<MergeResult>[] = [];
  readonly #endWaiters: Waiter<{ state: UploadState }>[] = [];
  readonly #pendingTurns = new Set<(error: unknown) => void>();
  #reservedBytes = 0;
  #activeMs: number;
  #progressMs = 0;
  #timer: Timer | undefined;

  private constructor(
    ports: SessionPorts,
    options: SessionOptions,
    self: Self,
    opened: { plan: UploadPlan; owner: string; ledger: ChunkLedger; journal: Journal; commitPlan: CommitPlan | undefined },
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#self = self;
    this.plan = opened.plan;
    this.owner = opened.owner;
    this.#ledger = opened.ledger;
    this.#journal = opened.journal;
    this.#sinceMs = ports.clock.wallMs();
    this.#activeMs = ports.clock.nowMs();
    const folder = ports.node.folderOf(options.uploadId);
    const data = openData(ports.disk, folder);
    this.#intake = new ChunkIntake({
      ports,
      plan: this.plan,
      ledger: this.#ledger,
      journal: this.#journal,
      data,
      turn: (name, work) => this.#turn(name, work),
      apply: (event) => this.#apply(event),
      refuse: (command) => this.#refuse(command),
      reserve: (bytes) => this.#reserve(bytes),
      settle: (bytes) => this.#settle(bytes),
      received: () => this.#received(),
    });
    this.#merge = new MergeSteps({
      ports,
      plan: this.plan,
      owner: this.owner,
      epoch: options.epoch,
      ledger: this.#ledger,
      journal: this.#journal,
      paths: sessionPaths(folder),
      signal: self.signal,
      commitPlan: opened.commitPlan,
    });
    self.signal.addEventListener("abort", () => {
      for (const reject of this.#pendingTurns) reject(new TroupeError("STOPPING"));
    });
  }

  /** From its folder: new ones and those that were there before a restart alike. */
  static async open(ports: SessionPorts, options: SessionOptions, self: Self): Promise<Session> {
    const paths = sessionPaths(ports.node.folderOf(options.uploadId));
    let plan: UploadPlan | undefined;
    let owner = "";
    let ledger: ChunkLedger | undefined;
    let commitPlan: CommitPlan | undefined;
    let isMergeWanted = false;
    const journal = await Journal.open(ports.disk, paths.journal, ports.hasher, ({ entry, offset }) => {
      if (entry.kind === "plan") {
        plan = entry.plan;
        owner = entry.owner;
        ledger = new ChunkLedger(plan);
      } else if (entry.kind === "chunk") ledger?.receive(entry.index, entry.lengthBytes, offset);
      else if (entry.kind === "commit") commitPlan = entry;
      else isMergeWanted = true;
    });
    if (plan === undefined || ledger === undefined) {
      await journal.close();
      throw new TroupeError("DISK_FAILED", `${paths.journal} has no readable beginning.`, { facts: { errno: "NO_PLAN" } });
    }
    const session = new Session(ports, options, self, { plan, owner, ledger, journal, commitPlan });
    session.#begin(commitPlan !== undefined, isMergeWanted);
    return session;
  }

  get activation(): Activation<typeof upload> {
    return { handlers: this.#handlers, stop: () => this.#stop() };
  }

  get summary(): SessionSummary {
    return {
      state: stateOf(this.#snapshot),
      sinceMs: this.#sinceMs,
      receivedCount: this.#ledger.receivedCount,
      chunkCount: this.#ledger.chunkCount,
    };
  }

  storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    this.#touch();
    return this.#intake.store(chunk);
  }

  readonly #handlers: Handlers<typeof upload> = {
    status: () => this.#status(),
    access: () => ({
      access: this.#access(),
      owner: this.owner,
      epoch: this.#options.epoch,
      chunkBytes: this.plan.chunkBytes,
      ...(this.plan.sizeBytes === undefined ? {} : { sizeBytes: this.plan.sizeBytes }),
    }),
    merge: async (input, turn) => await this.#requestMerge(input, turn),
    cancel: (input, turn) => this.#requestCancel(input, turn),
  };

  #begin(isCommitUncertain: boolean, isMergeWanted: boolean): void {
    this.#takeReservation();
    this.#apply({ type: "session.opened", receivedCount: this.#ledger.receivedCount, isCommitUncertain });
    this.#schedule();
    // Nobody may ask again for a merge that was promised, or whose commit may have happened.
    if ((isMergeWanted || isCommitUncertain) && this.#ledger.completeBytes !== undefined)
      this.#self.post("merge.resumed", () => this.#apply({ type: "merge.requested", isComplete: true }));
  }

  async #requestMerge(input: { epoch: number; wait: boolean }, turn: Turn) {
    this.#checkEpoch(input.epoch);
    this.#refuse("merge");
    this.#touch();
    const state = stateOf(this.#snapshot);
    if (state === "merged" && this.#merged !== undefined) return { state, file: this.#merged };
    if (state === "receiving") {
      if (this.#ledger.completeBytes === undefined) throw this.#incomplete();
      // A merge that is not waited for is a promise: it is kept after a restart too.
      if (!input.wait) await this.#journal.append({ kind: "merge" });
      this.#apply({ type: "merge.requested", isComplete: true });
    }
    if (!input.wait) return { state: stateOf(this.#snapshot) };
    return turn.later(waiter(this.#mergeWaiters));
  }

  #requestCancel(input: { epoch: number }, turn: Turn) {
    this.#checkEpoch(input.epoch);
    this.#refuse("cancel");
    const ended = waiter(this.#endWaiters);
    this.#apply({ type: "cancel.requested" });
    return turn.later(ended);
  }

  #incomplete(): TroupeError {
    const { ranges, isTruncated } = this.#ledger.missing(MISSING_RANGES_MAX);
    const facts = { missing: ranges, ...(isTruncated ? { missingTruncated: true } : {}) };
    const inFlight = this.#ledger.inFlightCount;
    return new TroupeError("UPLOAD_INCOMPLETE", inFlight > 0 ? `Chunks are missing; ${inFlight} of them are arriving now.` : undefined, {
      facts,
    });
  }

  /** S1 */
  #apply(event: SessionEvent): void {
    const before = stateOf(this.#snapshot);
    const { snapshot, actions } = step(this.#snapshot, event);
    this.#snapshot = snapshot;
    const after = stateOf(snapshot);
    if (after !== before) this.#entered(after);
    for (const action of actions) this.#perform(action);
  }

  #entered(state: UploadState): void {
    this.#sinceMs = this.#ports.clock.wallMs();
    this.#ports.log.info(
      {
        uploadId: this.plan.uploadId,
        state,
        ...(this.#snapshot.context.lastError === undefined ? {} : { lastError: this.#snapshot.context.lastError }),
      },
      "The upload entered a state.",
    );
    this.#announce("state");
    if (state === "receiving" || state === "failed") this.#answerMerges(this.#snapshot.context.lastError?.code ?? "UPLOAD_BUSY");
    if (state === "cancelled") this.#answerMerges("UPLOAD_CANCELLED");
    if (state === "expired") this.#answerMerges("UPLOAD_EXPIRED");
  }

  #perform(action: SessionAction): void {
    switch (action) {
      case "startVerifying":
        return this.#effect(
          "verify",
          () => this.#merge.verify(),
          (digests) => this.#apply(digests),
        );
      case "startReplicating":
        // One copy: what is synced here is all there is to do.
        return this.#self.post("replicated", () => this.#apply({ type: "file.replicated", copies: 1 }));
      case "startCommitting":
        return this.#effect(
          "commit",
          () => this.#commit(),
          (file) => {
            this.#merged = mergedFile(file, this.#snapshot.context.copies);
            this.#apply({ type: "file.committed" });
          },
        );
      case "stopWriters":
        return this.#intake.stop(new TroupeError(ended(stateOf(this.#snapshot)) ?? "STOPPING"));
      case "endUpload":
        return this.#effect(
          "end",
          () => this.#end(),
          () => this.#finish(),
        );
      case "endMerged":
        return this.#effect(
          "clean",
          () => this.#removeFolder(),
          () => this.#finish(),
        );
    }
  }

  async #commit(): Promise<LocatedFile> {
    const { digests } = this.#snapshot.context;
    if (digests === undefined) throw new Error("a file is committed after it was verified");
    const plan = await this.#merge.prepareCommit(digests);
    await this.#turn("commit.sent", () => this.#apply({ type: "commit.sent" }));
    return await this.#merge.commit(plan);
  }

  /** Runs an effect outside the turn and brings its result back as one. */
  #effect<T>(name: string, work: () => Promise<T>, then: (result: T) => void): void {
    work().then(
      (result) => this.#post(name, () => then(result)),
      (error: unknown) => this.#post(name, () => this.#effectFailed(name, error)),
    );
  }

  #effectFailed(name: string, error: unknown): void {
    if (this.#self.signal.aborted) return;
    if (!(error instanceof TroupeError)) throw error;
    const failure = error;
    if (failure.code === "DISK_FAILED") this.#ports.node.suspect(failure);
    const lastError = {
      code: failure.code,
      detail: failure.detail,
      retryable: failure.retry === "later" && failure.code !== "DISK_FAILED",
    };
    this.#ports.log.warn({ uploadId: this.plan.uploadId, step: name, err: failure }, "A step of the upload did not succeed.");
    // The upload has ended; what could not be removed is removed at the next start.
    if (name === "end" || name === "clean") return this.#finish(failure);
    if (failure.code === "DIGEST_MISMATCH") this.#apply({ type: "digest.mismatched", error: lastError });
    else if (lastError.retryable) this.#apply({ type: "merge.interrupted", error: lastError });
    else this.#apply({ type: "session.broken", error: lastError });
  }

  /** S3 */
  async #end(): Promise<void> {
    await this.#intake.idle();
    await this.#merge.close();
    const state = ended(stateOf(this.#snapshot)) === undefined ? "failed" : (stateOf(this.#snapshot) as Exclude<EndedState, "merged">);
    const { lastError } = this.#snapshot.context;
    await withRetry(
      END_RETRY,
      this.#ports,
      async () => {
        try {
          await this.#ports.catalog.endUpload({
            uploadId: this.plan.uploadId,
            epoch: this.#options.epoch,
            state,
            ...(lastError === undefined ? {} : { lastError }),
          });
        } catch (error) {
          // The catalog knows better how it ended: another host took it over, or its commit had happened after all.
          if (error instanceof TroupeError && ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_MERGED"].includes(error.code)) return;
          throw error;
        }
      },
      undefined,
      this.#self.signal,
    );
    await this.#removeFolder();
  }

  async #removeFolder(): Promise<void> {
    await this.#merge.close();
    await this.#intake.close();
    await this.#journal.close();
    const folder = this.#ports.node.folderOf(this.plan.uploadId);
    await this.#ports.disk.remove(folder);
  }

  #finish(failure?: TroupeError): void {
    this.#settle(this.#reservedBytes);
    const state = stateOf(this.#snapshot);
    if (this.#merged !== undefined) for (const waiting of this.#mergeWaiters.splice(0)) waiting.resolve({ state, file: this.#merged });
    for (const waiting of this.#endWaiters.splice(0)) failure === undefined ? waiting.resolve({ state }) : waiting.reject(failure);
    this.#timer?.cancel();
    this.#ports.node.ended(this.plan.uploadId);
  }

  #answerMerges(code: string): void {
    const { lastError } = this.#snapshot.context;
    const error = new TroupeError(isErrorCode(code) ? code : "INTERNAL", lastError?.detail);
    for (const waiting of this.#mergeWaiters.splice(0)) waiting.reject(error);
  }

  /** A chunk has been counted. */
  #received(): void {
    this.#touch();
    this.#merge.advance(this.#ledger.prefixBytes);
    const nowMs = this.#ports.clock.nowMs();
    if (nowMs - this.#progressMs < PROGRESS_EVERY_MS) return;
    this.#progressMs = nowMs;
    this.#announce("progress");
  }

  #announce(fact: "state" | "progress"): void {
    try {
      this.#ports.bus.publish(eventSubject("upload", this.plan.uploadId, fact), Buffer.from(JSON.stringify(this.#status())));
    } catch (error) {
      // An event is a hint; whoever missed it asks for the status.
      this.#ports.log.debug({ uploadId: this.plan.uploadId, fact, err: error }, "An event could not be published.");
    }
  }

  #status(): UploadStatus {
    const { ranges, isTruncated } = this.#ledger.missing(MISSING_RANGES_MAX);
    const { sizeBytes } = this.plan;
    const { chunkCount } = this.#ledger;
    const { lastError } = this.#snapshot.context;
    return {
      uploadId: this.plan.uploadId,
      fileId: this.plan.fileId,
      owner: this.owner,
      host: this.#ports.node.nodeId,
      epoch: this.#options.epoch,
      name: this.plan.name,
      state: stateOf(this.#snapshot),
      sinceMs: this.#sinceMs,
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      chunkBytes: this.plan.chunkBytes,
      ...(chunkCount === undefined ? {} : { chunkCount }),
      receivedCount: this.#ledger.receivedCount,
      receivedBytes: this.#ledger.receivedBytes,
      inFlightCount: this.#ledger.inFlightCount,
      missing: ranges,
      missingTruncated: isTruncated,
      verifiedBytes: this.#merge.verifiedBytes,
      ...(lastError === undefined ? {} : { lastError }),
    };
  }

  #access(): DataAccess {
    return this.#ports.node.grantWrite(this.plan.uploadId);
  }

  #checkEpoch(epoch: number): void {
    if (epoch !== this.#options.epoch)
      throw new TroupeError("EPOCH_STALE", `This host has epoch ${this.#options.epoch}, the request ${epoch}.`);
  }

  #refuse(command: SessionCommand): void {
    const code = refusal(this.#snapshot, command);
    if (code === undefined) return;
    const { lastError } = this.#snapshot.context;
    // The same merge again gives the same answer: why it failed.
    if (code === "UPLOAD_FAILED" && command === "merge" && lastError !== undefined && isErrorCode(lastError.code))
      throw new TroupeError(lastError.code, lastError.detail);
    throw new TroupeError(code, code === "UPLOAD_FAILED" ? lastError?.detail : undefined);
  }

  #takeReservation(): void {
    if (this.plan.sizeBytes === undefined) return;
    this.#reservedBytes = this.plan.sizeBytes - this.#ledger.receivedBytes;
    this.#ports.node.restoreReservation(this.#reservedBytes);
  }

  /** While the size is unknown, space is reserved chunk by chunk. */
  async #reserve(bytes: number): Promise<void> {
    if (this.plan.sizeBytes !== undefined) return;
    await this.#ports.node.reserve(bytes);
    this.#reservedBytes += bytes;
  }

  #settle(bytes: number): void {
    const settled = Math.min(bytes, this.#reservedBytes);
    this.#reservedBytes -= settled;
    this.#ports.node.settle(settled);
  }

  #touch(): void {
    this.#activeMs = this.#ports.clock.nowMs();
  }

  #schedule(): void {
    if (this.#self.signal.aborted || isEnded(stateOf(this.#snapshot))) return;
    const idleMs = this.#ports.clock.nowMs() - this.#activeMs;
    const untilExpiryMs = Math.max(0, this.#options.idleExpiryMs - idleMs);
    const untilRestMs = REST_AFTER_MS - idleMs;
    this.#timer = this.#ports.clock.setTimer(untilRestMs > 0 ? Math.min(untilRestMs, untilExpiryMs) : untilExpiryMs, () =>
      this.#post("idle", () => this.#idle()),
    );
  }

  async #idle(): Promise<void> {
    const idleMs = this.#ports.clock.nowMs() - this.#activeMs;
    const isReceiving = stateOf(this.#snapshot) === "receiving";
    if (isReceiving && idleMs >= REST_AFTER_MS && this.#ledger.inFlightCount === 0) {
      await this.#intake.rest();
      await this.#journal.rest();
    }
    if (isReceiving && idleMs >= this.#options.idleExpiryMs && this.#ledger.inFlightCount === 0) {
      const isUncertain = this.#snapshot.context.isCommitUncertain;
      this.#touch();
      this.#apply(isUncertain ? { type: "merge.requested", isComplete: true } : { type: "idle.expired" });
    }
    this.#schedule();
  }

  /** S4 */
  async #stop(): Promise<void> {
    this.#timer?.cancel();
    this.#intake.stop(new TroupeError("STOPPING"));
    await this.#intake.idle();
    await this.#merge.close();
    await this.#intake.close();
    await this.#journal.close();
    this.#settle(this.#reservedBytes);
    for (const waiting of [...this.#mergeWaiters.splice(0), ...this.#endWaiters.splice(0)]) waiting.reject(new TroupeError("STOPPING"));
  }

  /** Runs `work` as a turn and gives its result to the effect that asked for it. */
  #turn<T>(name: string, work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#self.signal.aborted) return reject(new TroupeError("STOPPING"));
      this.#pendingTurns.add(reject);
      this.#self.post(name, () => {
        this.#pendingTurns.delete(reject);
        try {
          resolve(work());
        } catch (error) {
          reject(error);
          if (!(error instanceof TroupeError)) throw error;
        }
      });
    });
  }

  #post(name: string, work: () => void | Promise<void>): void {
    if (!this.#self.signal.aborted) this.#self.post(name, work);
  }
}

function waiter<T>(waiters: Waiter<T>[]): Promise<T> {
  return new Promise((resolve, reject) => waiters.push({ resolve, reject }));
}

function mergedFile(file: LocatedFile, copies: number): MergedFile {
  const { fileId, name, sizeBytes, digests } = file;
  return { fileId, name, sizeBytes, digests, copies, durability: copies > 1 ? "complete" : "single-copy" };
}

const ENDED_CODES = { merged: "UPLOAD_MERGED", cancelled: "UPLOAD_CANCELLED", expired: "UPLOAD_EXPIRED", failed: "UPLOAD_FAILED" } as const;

function ended(state: UploadState): (typeof ENDED_CODES)[EndedState] | undefined {
  return (ENDED_STATES as readonly UploadState[]).includes(state) ? ENDED_CODES[state as EndedState] : undefined;
}
