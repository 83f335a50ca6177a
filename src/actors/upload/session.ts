/**
 * One upload in memory: the machine's snapshot, the ledger of chunks, the journal, and what follows from each transition.
 *
 * S1: the snapshot changes only in a turn, and only through the machine.
 * S2: order for a chunk: data synced → journal record synced → counted → answered.
 * S3: when the session ends without a file, the catalog knows it before the bytes are removed, and the answer comes after both.
 * S4: nothing of an activation outlives its stop: bodies are let go, effects have ended, the follower and the files are closed, the
 *     reservation is given back.
 * S5: once the catalog may know of the file, only the catalog's definite word ends the upload otherwise.
 */
import type { Activation, Handlers, Self, Turn } from "../../bus/actor.ts";
import { eventSubject, type OutputOf } from "../../bus/contract.ts";
import { isDiskLost } from "../../core/durable.ts";
import { isErrorCode, TroupeError } from "../../core/errors.ts";
import { MISSING_RANGES_MAX } from "../../core/limits.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { withRetry } from "../../core/retry.ts";
import { ENDED_CODES, isEnded, type UploadState } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import { ChunkIntake } from "./chunk-intake.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { UploadStatus, upload } from "./contract.ts";
import { Effects } from "./effects.ts";
import { IdleWatch } from "./idle-watch.ts";
import type { Journal } from "./journal.ts";
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
import { type Committed, DamagedChunks, MergeSteps } from "./merge-steps.ts";
import type { SessionOptions, SessionPorts, SessionSummary } from "./ports.ts";
import { openData, sessionPaths } from "./session-files.ts";
import { openSessionJournal, type Recorded } from "./session-journal.ts";
import { Turns } from "./turns.ts";
import { Waiters } from "./waiters.ts";

type MergeAnswer = OutputOf<typeof upload, "merge">;

const PROGRESS_EVERY_MS = 500;
/** Telling the catalog how an upload ended is not given up while the session lives. */
const END_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 10_000 };
/** The catalog knows better how the upload ended: another host took it over, or it became a file after all. */
const ENDED_OTHERWISE = ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_MERGED"];
/** The catalog's definite word that there is no file. */
const COMMIT_REFUSED = ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "BAD_REQUEST"];

export class Session {
  readonly plan: UploadPlan;
  readonly #owner: string;
  readonly #ports: SessionPorts;
  readonly #options: SessionOptions;
  readonly #self: Self;
  readonly #ledger: ChunkLedger;
  readonly #journal: Journal;
  readonly #intake: ChunkIntake;
  readonly #merge: MergeSteps;
  #snapshot: SessionSnapshot = initialSnapshot();
  #sinceMs: number;
  #merged: MergeAnswer | undefined;
  /** Nothing of the upload is left among the blobs that should not be there. */
  #isTidy = true;
  /** The session has ended, and what follows from that is done. */
  #isFinished = false;
  readonly #mergeWaiters = new Waiters<MergeAnswer>();
  readonly #endWaiters = new Waiters<{ state: UploadState }>();
  readonly #effects = new Effects();
  readonly #turns: Turns;
  readonly #idle: IdleWatch;
  #reservedBytes = 0;
  #progressMs = 0;

  private constructor(ports: SessionPorts, options: SessionOptions, self: Self, recorded: Recorded & { readonly journal: Journal }) {
    const { plan, owner, ledger, journal, commitPlan, received } = recorded;
    this.#ports = ports;
    this.#options = options;
    this.#self = self;
    this.plan = plan;
    this.#owner = owner;
    this.#ledger = ledger;
    this.#journal = journal;
    this.#sinceMs = ports.clock.wallMs();
    this.#turns = new Turns(self);
    this.#idle = new IdleWatch(ports.clock, options.idleExpiryMs, () => this.#turns.post("idle", () => this.#lookIfIdle()));
    const folder = ports.node.folderOf(options.uploadId);
    const data = openData(ports.disk, folder);
    const paths = sessionPaths(folder);
    this.#merge = new MergeSteps({
      ports,
      plan,
      owner,
      epoch: options.epoch,
      ledger,
      journal,
      data,
      paths,
      commitPlan,
      doubtful: received,
    });
    this.#intake = new ChunkIntake({
      ports,
      plan,
      ledger,
      journal,
      data,
      turn: (name, work) => this.#turns.run(name, work),
      apply: (event) => this.#apply(event),
      refuse: (command) => this.#refuse(command),
      isSealed: () => this.#merge.isSealed,
      reserve: (bytes) => this.#reserve(bytes),
      settle: (bytes) => this.#settle(bytes),
      received: () => this.#received(),
    });
    self.signal.addEventListener("abort", () => this.refuseWaiters());
  }

  /** From its folder: new ones and those that were there before a restart alike. */
  static async open(ports: SessionPorts, options: SessionOptions, self: Self): Promise<Session> {
    const recorded = await openSessionJournal(ports.disk, ports.hasher, ports.node.folderOf(options.uploadId), options.fileBytesMax);
    const session = new Session(ports, options, self, recorded);
    session.#begin(recorded);
    return session;
  }

  get activation(): Activation<typeof upload> {
    return { handlers: this.#handlers, stop: () => this.#stop() };
  }

  get summary(): SessionSummary {
    const { receivedCount, chunkCount } = this.#ledger;
    return { state: stateOf(this.#snapshot), sinceMs: this.#sinceMs, receivedCount, chunkCount };
  }

  storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    this.#idle.touch();
    return this.#intake.store(chunk);
  }

  /** The process is stopping: whoever waits is told so now, and asks again later. */
  refuseWaiters(): void {
    const stopping = new TroupeError("STOPPING");
    this.#turns.refuse(stopping);
    this.#mergeWaiters.reject(stopping);
    this.#endWaiters.reject(stopping);
  }

  readonly #handlers: Handlers<typeof upload> = {
    status: () => this.#status(),
    access: () => ({
      access: this.#ports.node.grantWrite(this.plan.uploadId),
      owner: this.#owner,
      epoch: this.#options.epoch,
      chunkBytes: this.plan.chunkBytes,
      ...(this.plan.sizeBytes === undefined ? {} : { sizeBytes: this.plan.sizeBytes }),
    }),
    merge: (input, turn) => this.#requestMerge(input, turn),
    cancel: (input, turn) => this.#requestCancel(input, turn),
  };

  #begin({ commitPlan, promisedBytes }: Recorded): void {
    if (this.plan.sizeBytes !== undefined) {
      this.#reservedBytes = this.plan.sizeBytes - this.#ledger.receivedBytes;
      this.#ports.node.restoreReservation(this.#reservedBytes);
    }
    const isCommitUncertain = commitPlan !== undefined;
    this.#apply({ type: "session.opened", receivedCount: this.#ledger.receivedCount, isCommitUncertain });
    this.#idle.watch();
    // Nobody may ask again for a merge that was promised, or whose commit may have happened.
    const { completeBytes } = this.#ledger;
    if (completeBytes !== undefined && (isCommitUncertain || promisedBytes === completeBytes)) {
      this.#self.post("merge.resumed", () => this.#apply({ type: "merge.requested", isComplete: true }));
    }
  }

  async #requestMerge({ epoch, wait }: { epoch: number; wait: boolean }, turn: Turn) {
    this.#checkEpoch(epoch);
    this.#refuse("merge");
    this.#idle.touch();
    if (this.#merged !== undefined) return this.#merged;
    if (stateOf(this.#snapshot) === "receiving") {
      const { completeBytes } = this.#ledger;
      if (completeBytes === undefined) throw this.#incomplete();
      // A merge that is not waited for is a promise: it is kept after a restart too.
      if (!wait) await this.#journal.append({ kind: "merge", sizeBytes: completeBytes });
      this.#apply({ type: "merge.requested", isComplete: true });
    }
    if (!wait) return { state: stateOf(this.#snapshot) };
    return turn.later(this.#mergeWaiters.wait());
  }

  #requestCancel({ epoch }: { epoch: number }, turn: Turn) {
    this.#checkEpoch(epoch);
    this.#refuse("cancel");
    this.#apply({ type: "cancel.requested" });
    if (this.#isFinished) return { state: stateOf(this.#snapshot) };
    return turn.later(this.#endWaiters.wait());
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
    const { lastError } = this.#snapshot.context;
    this.#sinceMs = this.#ports.clock.wallMs();
    this.#ports.log.debug(
      { uploadId: this.plan.uploadId, state, ...(lastError === undefined ? {} : { lastError }) },
      "The upload entered a state.",
    );
    this.#announce("state");
    const code = lastError?.code ?? "UPLOAD_BUSY";
    if (state === "receiving" || state === "failed")
      this.#mergeWaiters.reject(new TroupeError(isErrorCode(code) ? code : "INTERNAL", lastError?.detail));
    if (state === "cancelled" || state === "expired") this.#mergeWaiters.reject(new TroupeError(ENDED_CODES[state]));
  }

  #perform(action: SessionAction): void {
    switch (action) {
      case "startVerifying":
        return this.#effect(
          "verify",
          (signal) => this.#merge.verify(signal),
          (digests) => this.#apply({ type: "file.verified", digests }),
        );
      case "startReplicating":
        // One copy: what is synced here is all there is to do.
        return this.#self.post("replicated", () => this.#apply({ type: "file.replicated", copies: 1 }));
      case "startCommitting":
        return this.#effect(
          "commit",
          (signal) => this.#commit(signal),
          (committed) => this.#committed(committed),
        );
      case "stopWriters": {
        const state = stateOf(this.#snapshot);
        return this.#intake.stop(new TroupeError(isEnded(state) ? ENDED_CODES[state] : "STOPPING"));
      }
      case "endUpload":
        return this.#endUpload();
      case "endMerged":
        return this.#effect(
          "clean",
          () => this.#removeFolder(),
          () => this.#finish(),
        );
    }
  }

  async #commit(signal: AbortSignal): Promise<Committed> {
    const { digests } = this.#snapshot.context;
    if (digests === undefined) throw new Error("a file is committed after it was verified");
    const plan = await this.#merge.prepareCommit(digests, signal);
    await this.#turns.run("commit.sent", () => this.#apply({ type: "commit.sent" }));
    return await this.#merge.commit(plan, signal);
  }

  #committed({ file, isTidy }: Committed): void {
    const { copies } = this.#snapshot.context;
    const { fileId, name, sizeBytes, digests } = file;
    this.#merged = {
      state: "merged",
      file: { fileId, name, sizeBytes, digests, copies, durability: copies > 1 ? "complete" : "single-copy" },
    };
    this.#isTidy = isTidy;
    this.#apply({ type: "file.committed" });
  }

  /** S3. What was under way for a merge ends first. */
  #endUpload(): void {
    const ended = new TroupeError("STOPPING", "The upload has ended.");
    void this.#effects.stop(ended).then(() => {
      if (!this.#self.signal.aborted)
        this.#effect(
          "end",
          (signal) => this.#end(signal),
          () => this.#finish(),
        );
    });
  }

  /** Runs an effect outside the turn and brings its result back as one. */
  #effect<T>(name: string, work: (signal: AbortSignal) => Promise<T>, then: (result: T) => void): void {
    this.#effects.run(
      work,
      (result) => this.#turns.post(name, () => then(result)),
      (error) => this.#turns.post(name, () => this.#effectFailed(name, error)),
    );
  }

  #effectFailed(name: string, error: unknown): void | Promise<void> {
    if (error instanceof DamagedChunks) return this.#loseChunks(error.indexes);
    if (!(error instanceof TroupeError)) throw error;
    this.#ports.log.warn({ uploadId: this.plan.uploadId, step: name, err: error }, "A step of the upload did not succeed.");
    const isLost: boolean = isDiskLost(error);
    if (isLost) this.#ports.node.suspect(error);
    // The upload has ended; what could not be removed is removed at the next start.
    if (name === "end" || name === "clean") return this.#finish(error);
    const isUncertain = this.#snapshot.context.isCommitUncertain;
    // S5
    const isFinal = isUncertain ? COMMIT_REFUSED.includes(error.code) : isLost || error.retry !== "later";
    const lastError = { code: error.code, detail: error.detail, retryable: !isFinal };
    if (error.code === "DIGEST_MISMATCH") this.#apply({ type: "digest.mismatched", error: lastError });
    else this.#apply({ type: isFinal ? "session.broken" : "merge.interrupted", error: lastError });
  }

  /** Bytes on the disk are not those that were acknowledged: the chunks are missing again. */
  async #loseChunks(indexes: readonly number[]): Promise<void> {
    for (const index of indexes) {
      await this.#journal.append({ kind: "lost", index });
      const lengthBytes = this.#ledger.lengthOf(index);
      this.#ledger.lose(index);
      if (this.plan.sizeBytes !== undefined) {
        this.#reservedBytes += lengthBytes;
        this.#ports.node.restoreReservation(lengthBytes);
      }
    }
    const detail = `${indexes.length} chunks were damaged on the disk; send those that are missing again.`;
    this.#ports.log.error({ uploadId: this.plan.uploadId, indexes: indexes.slice(0, 10) }, "Chunks of an upload are damaged on the disk.");
    this.#apply({ type: "merge.interrupted", error: { code: "UPLOAD_INCOMPLETE", detail, retryable: true } });
  }

  async #end(signal: AbortSignal): Promise<void> {
    await this.#intake.idle();
    await this.#merge.close();
    const state = stateOf(this.#snapshot);
    if (!isEnded(state) || state === "merged") throw new Error("only an upload without a file ends here");
    const { lastError } = this.#snapshot.context;
    const ending = { uploadId: this.plan.uploadId, epoch: this.#options.epoch, state, ...(lastError === undefined ? {} : { lastError }) };
    await withRetry(END_RETRY, this.#ports, () => this.#tellEnding(ending), undefined, signal);
    await this.#merge.takeBack();
    await this.#removeFolder();
  }

  async #tellEnding(ending: { uploadId: string; epoch: number; state: "cancelled" | "expired" | "failed" }): Promise<void> {
    try {
      await this.#ports.catalog.endUpload(ending);
    } catch (error) {
      if (!(error instanceof TroupeError) || !ENDED_OTHERWISE.includes(error.code)) throw error;
      this.#ports.log.warn({ uploadId: ending.uploadId, err: error }, "The upload had ended otherwise, as the catalog knows.");
    }
  }

  async #removeFolder(): Promise<void> {
    await this.#intake.idle();
    await this.#merge.close();
    await this.#intake.close();
    await this.#journal.close();
    // What is left to tidy is found by it at the next start.
    if (this.#isTidy) await this.#ports.disk.remove(this.#ports.node.folderOf(this.plan.uploadId));
  }

  #finish(failure?: TroupeError): void {
    this.#isFinished = true;
    this.#tellEnd();
    this.#settle(this.#reservedBytes);
    if (this.#merged !== undefined) this.#mergeWaiters.resolve(this.#merged);
    if (failure === undefined) this.#endWaiters.resolve({ state: stateOf(this.#snapshot) });
    else this.#endWaiters.reject(failure);
    this.#idle.stop();
    this.#ports.node.ended(this.plan.uploadId);
  }

  /** One line an upload: what the log of a busy server is read for. */
  #tellEnd(): void {
    const { uploadId, fileId, name, createdMs } = this.plan;
    const state = stateOf(this.#snapshot);
    const { lastError } = this.#snapshot.context;
    const facts = { uploadId, name, owner: this.#owner, tookMs: this.#ports.clock.wallMs() - createdMs };
    if (this.#merged !== undefined)
      this.#ports.log.info({ ...facts, fileId, sizeBytes: this.#merged.file?.sizeBytes }, "An upload became a file.");
    else this.#ports.log.info({ ...facts, state, ...(lastError === undefined ? {} : { lastError }) }, "An upload ended without a file.");
  }

  /** A chunk has been counted. */
  #received(): void {
    this.#idle.touch();
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
    const { uploadId, fileId, name, sizeBytes, chunkBytes } = this.plan;
    const { chunkCount, receivedCount, receivedBytes, inFlightCount } = this.#ledger;
    const { lastError } = this.#snapshot.context;
    return {
      uploadId,
      fileId,
      owner: this.#owner,
      host: this.#ports.node.nodeId,
      epoch: this.#options.epoch,
      name,
      state: stateOf(this.#snapshot),
      sinceMs: this.#sinceMs,
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
      chunkBytes,
      ...(chunkCount === undefined ? {} : { chunkCount }),
      receivedCount,
      receivedBytes,
      inFlightCount,
      missing: ranges,
      missingTruncated: isTruncated,
      followedBytes: this.#merge.followedBytes,
      ...(lastError === undefined ? {} : { lastError }),
    };
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
    if (code === "UPLOAD_FAILED" && command === "merge" && lastError !== undefined && isErrorCode(lastError.code)) {
      throw new TroupeError(lastError.code, lastError.detail);
    }
    throw new TroupeError(code, code === "UPLOAD_FAILED" ? lastError?.detail : undefined);
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

  async #lookIfIdle(): Promise<void> {
    if (stateOf(this.#snapshot) === "receiving" && this.#ledger.inFlightCount === 0) {
      if (this.#idle.isResting) {
        await this.#intake.rest();
        await this.#journal.rest();
      }
      if (this.#idle.isExpired) {
        this.#idle.touch();
        this.#apply(this.#snapshot.context.isCommitUncertain ? { type: "merge.requested", isComplete: true } : { type: "idle.expired" });
      }
    }
    if (!isEnded(stateOf(this.#snapshot))) this.#idle.watch();
  }

  /** S4 */
  async #stop(): Promise<void> {
    this.#idle.stop();
    const stopping = new TroupeError("STOPPING");
    this.#intake.stop(stopping);
    this.refuseWaiters();
    await this.#merge.close();
    await this.#effects.stop(stopping);
    await this.#intake.idle();
    await this.#merge.close();
    await this.#intake.close();
    await this.#journal.close();
    this.#settle(this.#reservedBytes);
  }
}
