/**
 * One upload in memory: the machine's snapshot, the ledger of chunks, the journal, and what follows from each transition.
 *
 * S1: the snapshot changes only in a turn, and only through the machine.
 * S2: order for a chunk: data synced → journal record synced → counted → answered.
 * S3: when the session ends without a file, the catalog knows it before anybody is told and before the bytes are removed; whoever asked
 *     for the end is answered after both.
 * S4: nothing of an activation outlives its stop: bodies are let go, effects have ended, the follower and the files are closed, the
 *     reservation is given back.
 * S5: once the catalog may know of the file, only the catalog's definite word ends the upload otherwise.
 */
import type { Activation, Handlers, Self, Turn } from "../../bus/actor.ts";
import type { OutputOf } from "../../bus/contract.ts";
import { isDiskLost } from "../../core/durable.ts";
import { isErrorCode, TroupeError } from "../../core/errors.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { type Challenge, ENDED_CODES, isEnded, type LastError, type UploadState } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import { Assembly } from "./assembly.ts";
import { ChunkIntake } from "./chunk-intake.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import { ChunkReader } from "./chunk-reader.ts";
import type { UploadStatus, upload } from "./contract.ts";
import { Effects } from "./effects.ts";
import { IdleWatch } from "./idle-watch.ts";
import type { OwnSession } from "./intake-session.ts";
import type { Journal } from "./journal.ts";
import { LateSize } from "./late-size.ts";
import {
  initialSnapshot,
  isInstant,
  refusal,
  type SessionAction,
  type SessionCommand,
  type SessionEvent,
  type SessionSnapshot,
  stateOf,
  step,
} from "./machine.ts";
import { MergePromise } from "./merge-promise.ts";
import { type Committed, DamagedChunks, MergeSteps } from "./merge-steps.ts";
import type { SessionOptions, SessionPorts, SessionSummary } from "./ports.ts";
import { type KnownCommit, Possession } from "./possession.ts";
import { Reservation } from "./reservation.ts";
import { SessionEnding } from "./session-ending.ts";
import { openData, sessionPaths } from "./session-files.ts";
import { openSessionJournal, type Recorded } from "./session-journal.ts";
import { incompleteError, SessionFacts, statusOf } from "./session-status.ts";
import { Turns } from "./turns.ts";
import { Waiters } from "./waiters.ts";

type MergeAnswer = OutputOf<typeof upload, "merge">;

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
  readonly #reader: ChunkReader;
  readonly #merge: MergeSteps;
  readonly #lateSize: LateSize;
  /** Of an upload that is put together from others. */
  readonly #assembly: Assembly | undefined;
  #snapshot: SessionSnapshot = initialSnapshot();
  /** What others are told: the machine's state, but an end without a file only when the catalog knows it (S3). */
  #told: UploadState = "init";
  #sinceMs: number;
  /** Why the end that the machine has come to is none: the catalog knows better. */
  #otherwise: TroupeError | undefined;
  #merged: MergeAnswer | undefined;
  /** Nothing of the upload is left among the blobs that should not be there. */
  #isTidy = true;
  /** The session has ended, and what follows from that is done. */
  #isFinished = false;
  readonly #mergeWaiters = new Waiters<MergeAnswer>();
  readonly #endWaiters = new Waiters<{ state: UploadState }>();
  /** What is asked while the upload comes to an end that is not known yet: there is no good answer, but a definite one. */
  readonly #knownWaiters = new Waiters<never>();
  readonly #effects = new Effects();
  readonly #turns: Turns;
  readonly #idle: IdleWatch;
  readonly #promise: MergePromise;
  readonly #reservation: Reservation;
  readonly #facts: SessionFacts;
  readonly #ending: SessionEnding;
  readonly #possession: Possession;

  private constructor(ports: SessionPorts, options: SessionOptions, self: Self, recorded: Recorded & { readonly journal: Journal }) {
    const { plan, owner, ledger, journal, commitPlan, promisedBytes, idleMs, received } = recorded;
    this.#ports = ports;
    this.#options = options;
    this.#self = self;
    this.plan = plan;
    this.#owner = owner;
    this.#ledger = ledger;
    this.#journal = journal;
    this.#sinceMs = ports.clock.wallMs();
    this.#turns = new Turns(self);
    this.#idle = new IdleWatch(ports.clock, options.idleExpiryMs, idleMs, () => this.#turns.post("idle", () => this.#lookIfIdle()));
    // What is put together from parts becomes a file without being asked.
    const sizePromised = plan.tus?.parts === undefined ? promisedBytes : plan.sizeBytes;
    this.#promise = new MergePromise(ports, sizePromised, () => this.#turns.post("merge.resumed", () => this.#keepPromise()));
    this.#reservation = new Reservation(ports.node);
    this.#facts = new SessionFacts(ports, () => this.#status());
    const folder = ports.node.folderOf(options.uploadId);
    const data = openData(ports.disk, folder);
    const paths = sessionPaths(folder);
    this.#reader = new ChunkReader({ hasher: ports.hasher, plan, ledger, journal, data });
    this.#merge = new MergeSteps({
      ports,
      plan,
      owner,
      epoch: options.epoch,
      ledger,
      journal,
      reader: this.#reader,
      paths,
      commitPlan,
      doubtful: received,
    });
    const own: OwnSession = {
      ports,
      plan,
      ledger,
      journal,
      data,
      turn: (name, work) => this.#turns.run(name, work),
      apply: (event) => this.#apply(event),
      refuse: (command) => this.#refuse(command),
      isSealed: () => this.#merge.isSealed,
      reservation: this.#reservation,
      received: () => this.#received(),
    };
    this.#intake = new ChunkIntake(own);
    this.#lateSize = new LateSize(own);
    const partIds = plan.tus?.parts;
    if (partIds !== undefined)
      this.#assembly = new Assembly({ ports, plan, partIds, owner, ledger, store: (chunk) => this.#intake.store(chunk) });
    this.#ending = new SessionEnding({ ports, plan, owner, epoch: options.epoch, journal, intake: this.#intake, merge: this.#merge });
    this.#possession = new Possession({
      ports,
      plan,
      epoch: options.epoch,
      status: () => this.#status(),
      effect: (name, work, then) => this.#effect(name, work, then),
      proven: (blobId) => this.#apply({ type: "possession.proven", blobId }),
      isCommitting: () => isInstant(this.#snapshot),
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
    return { state: this.#told, sinceMs: this.#sinceMs, receivedCount, chunkCount };
  }

  get challenge(): Challenge | undefined {
    return this.#possession.challenge;
  }

  async storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    if (this.#assembly !== undefined) throw new TroupeError("UPLOAD_FINAL");
    if (this.#isEnding) return await this.#knownWaiters.wait();
    this.#idle.touch();
    // However it ends: the upload was not idle while it came.
    return await this.#intake.store(chunk).finally(() => this.#idle.touch());
  }

  async read(offset: number, lengthBytes: number): Promise<ByteStream> {
    if (this.#isEnding) return await this.#knownWaiters.wait();
    this.#refuse("storeChunk");
    this.#idle.touch();
    return await this.#reader.read(offset, lengthBytes);
  }

  /** The process is stopping: whoever waits is told so now, and asks again later. */
  refuseWaiters(): void {
    const stopping = new TroupeError("STOPPING");
    this.#turns.refuse(stopping);
    for (const waiters of [this.#mergeWaiters, this.#endWaiters, this.#knownWaiters]) waiters.reject(stopping);
    this.#possession.refuse(stopping);
  }

  readonly #handlers: Handlers<typeof upload> = {
    status: () => this.#status(),
    access: () => ({
      access: this.#ports.node.grantWrite(this.plan.uploadId),
      owner: this.#owner,
      epoch: this.#options.epoch,
      chunkBytes: this.plan.chunkBytes,
      ...(this.#ledger.sizeBytes === undefined ? {} : { sizeBytes: this.#ledger.sizeBytes }),
      ...(this.challenge === undefined ? {} : { challenge: this.challenge }),
    }),
    settle: ({ epoch }, turn) => {
      this.#checkEpoch(epoch);
      return turn.later(this.#intake.settle().then(() => this.#status()));
    },
    declareSize: ({ epoch, sizeBytes }, turn) => {
      this.#checkEpoch(epoch);
      if (this.#assembly !== undefined) throw new TroupeError("UPLOAD_FINAL");
      this.#idle.touch();
      return turn.later(this.#declareSize(sizeBytes));
    },
    merge: (input, turn) => this.#requestMerge(input, turn),
    prove: (input, turn) => this.#requestProof(input, turn),
    cancel: (input, turn) => this.#requestCancel(input, turn),
  };

  #begin({ commitPlan }: Recorded): void {
    const { sizeBytes, receivedBytes } = this.#ledger;
    if (sizeBytes !== undefined) this.#reservation.restore(sizeBytes - receivedBytes);
    const isCommitUncertain = commitPlan !== undefined;
    this.#apply({ type: "session.opened", receivedCount: this.#ledger.receivedCount, isCommitUncertain });
    this.#idle.watch();
    this.#self.post("tail.sealed", () => this.#lateSize.sealWholeTail());
    this.#self.post("merge.resumed", () => this.#keepPromise());
  }

  async #declareSize(sizeBytes: number): Promise<UploadStatus> {
    await this.#intake.settle();
    if (this.#isEnding) return await this.#knownWaiters.wait();
    await this.#turns.run("size.declared", () => this.#lateSize.declare(sizeBytes));
    return this.#status();
  }

  get #isPromised(): boolean {
    return this.#promise.holds(this.#ledger.completeBytes, this.#snapshot.context.isCommitUncertain);
  }

  #keepPromise(): void {
    if (stateOf(this.#snapshot) === "receiving" && this.#isPromised) this.#apply({ type: "merge.requested", isComplete: true });
  }

  async #requestMerge({ epoch, wait }: { epoch: number; wait: boolean }, turn: Turn) {
    this.#checkEpoch(epoch);
    if (this.#isEnding) return turn.later(this.#knownWaiters.wait());
    this.#refuse("merge");
    this.#idle.touch();
    if (this.#merged !== undefined) return this.#merged;
    if (this.plan.tus?.isPartial === true) throw new TroupeError("UPLOAD_PARTIAL");
    const { completeBytes } = this.#ledger;
    // What becomes a file of known content lacks chunks, and needs none.
    if (isInstant(this.#snapshot)) return wait ? turn.later(this.#mergeWaiters.wait()) : { state: stateOf(this.#snapshot) };
    if (completeBytes === undefined && this.#assembly !== undefined)
      return wait ? turn.later(this.#mergeWaiters.wait()) : { state: stateOf(this.#snapshot) };
    if (completeBytes === undefined) throw incompleteError(this.#ledger);
    await this.#lateSize.sealTail();
    // A merge that is not waited for is a promise: it is kept after a restart too.
    if (!wait && !this.#isPromised) await this.#promiseMerge(completeBytes);
    if (stateOf(this.#snapshot) === "receiving") this.#apply({ type: "merge.requested", isComplete: true });
    if (!wait) return { state: stateOf(this.#snapshot) };
    return turn.later(this.#mergeWaiters.wait());
  }

  async #promiseMerge(sizeBytes: number): Promise<void> {
    await this.#journal.append({ kind: "merge", sizeBytes });
    this.#promise.make(sizeBytes);
  }

  #requestProof({ epoch, hmac }: { epoch: number; hmac: string }, turn: Turn) {
    this.#checkEpoch(epoch);
    if (this.#isEnding) return turn.later(this.#knownWaiters.wait());
    this.#refuse("prove");
    this.#idle.touch();
    const answer = this.#possession.request(hmac);
    return answer instanceof Promise ? turn.later(answer) : answer;
  }

  #requestCancel({ epoch }: { epoch: number }, turn: Turn) {
    this.#checkEpoch(epoch);
    this.#refuse("cancel");
    this.#apply({ type: "cancel.requested" });
    if (this.#isFinished) return { state: stateOf(this.#snapshot) };
    return turn.later(this.#endWaiters.wait());
  }

  /** S1 */
  #apply(event: SessionEvent): void {
    const before = stateOf(this.#snapshot);
    const { snapshot, actions } = step(this.#snapshot, event);
    this.#snapshot = snapshot;
    const after = stateOf(snapshot);
    if (after !== before) this.#entered(after, before);
    for (const action of actions) this.#perform(action);
  }

  #entered(state: UploadState, before: UploadState): void {
    // S3
    if (isEnded(state) && state !== "merged") return;
    const { lastError } = this.#snapshot.context;
    if (state === "receiving" && before !== "init") {
      this.#idle.touch();
      if (this.#isPromised) this.#promise.goOnLater();
    }
    if (state === "receiving") this.#assemble();
    this.#tell(state);
    if (state === "receiving" && lastError !== undefined) this.#mergeWaiters.reject(this.#mergeError(lastError));
  }

  #tell(state: UploadState): void {
    const { lastError } = this.#snapshot.context;
    this.#told = state;
    this.#sinceMs = this.#ports.clock.wallMs();
    this.#ports.log.debug(
      { uploadId: this.plan.uploadId, state, ...(lastError === undefined ? {} : { lastError }) },
      "The upload entered a state.",
    );
    this.#facts.state();
  }

  /** The machine has ended without a file, and nobody knows yet. */
  get #isEnding(): boolean {
    return isEnded(stateOf(this.#snapshot)) && !isEnded(this.#told) && this.#otherwise === undefined;
  }

  /** S3: the catalog knows the end, or knows better. */
  #endKnown(otherwise: TroupeError | undefined): void {
    const state = stateOf(this.#snapshot);
    if (!isEnded(state)) throw new Error("only an end is told to the catalog");
    const { lastError } = this.#snapshot.context;
    this.#otherwise = otherwise;
    if (otherwise === undefined) this.#tell(state);
    const ended = otherwise ?? new TroupeError(ENDED_CODES[state], lastError?.detail);
    this.#mergeWaiters.reject(lastError === undefined || state !== "failed" ? ended : this.#mergeError(lastError));
    this.#knownWaiters.reject(ended);
    this.#possession.refuse(ended);
    this.#intake.stop(ended);
  }

  /** What is missing is copied from the parts, if it has any. */
  #assemble(): void {
    const assembly = this.#assembly;
    if (assembly === undefined || this.#ledger.completeBytes !== undefined) return;
    this.#effect(
      "assemble",
      (signal) => assembly.run(signal),
      () => this.#keepPromise(),
    );
  }

  /** Why a merge did not come about, and whether asking again may help. */
  #mergeError(lastError: LastError): TroupeError {
    const { code, detail } = lastError;
    const missing = code === "UPLOAD_INCOMPLETE" ? incompleteError(this.#ledger).facts : {};
    return new TroupeError(isErrorCode(code) ? code : "INTERNAL", detail, { facts: { ...missing, lastError } });
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
      case "startKnownCommit": {
        const { knownBlobId } = this.#snapshot.context;
        if (knownBlobId === undefined) throw new Error("known content is committed after it was proven");
        return this.#effect(
          "commit.known",
          (signal) => this.#possession.commit(knownBlobId, signal),
          (commit) => this.#knownCommitted(commit),
        );
      }
      case "stopWriters":
        return this.#intake.stop(new TroupeError(ENDED_CODES.merged));
      case "endUpload":
        return this.#endUpload();
      case "endMerged":
        return this.#effect(
          "clean",
          () => this.#ending.endMerged(this.#isTidy, () => this.#answerMerge()),
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

  #committed({ file, isTidy }: Committed, copies = this.#snapshot.context.copies): void {
    const { fileId, name, sizeBytes, digests } = file;
    this.#merged = {
      state: "merged",
      file: { fileId, name, sizeBytes, digests, copies, durability: copies > 1 ? "complete" : "single-copy" },
    };
    this.#isTidy = isTidy;
    this.#apply({ type: "file.committed" });
  }

  #knownCommitted(commit: KnownCommit): void {
    if (commit.kind === "committed") return this.#committed({ file: commit.file, isTidy: true }, commit.file.blob.nodeIds.length);
    if (commit.kind === "gone") {
      this.#apply({ type: "possession.lost" });
      this.#possession.settle();
      this.#mergeWaiters.reject(
        new TroupeError("UPLOAD_BUSY", "The content that was there has gone; the upload goes on with its own chunks."),
      );
    } else {
      const { code, detail } = commit.error;
      this.#apply({ type: "possession.refused", error: { code, detail, retryable: false } });
    }
  }

  /** S3. What was under way for a merge is told to stop, and has stopped before its bytes go. */
  #endUpload(): void {
    const stopped = this.#effects.stop(new TroupeError("STOPPING", "The upload has ended."));
    const known = (otherwise: TroupeError | undefined): Promise<void> => this.#turns.run("end.known", () => this.#endKnown(otherwise));
    const { lastError } = this.#snapshot.context;
    this.#effect(
      "end",
      (signal) => this.#ending.end({ state: stateOf(this.#snapshot), lastError, known, stopped }, signal),
      () => this.#finish(),
    );
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
      // Not recorded, it is found again by the next start.
      await this.#journal
        .append({ kind: "lost", index })
        .catch((error: unknown) =>
          this.#ports.log.warn({ uploadId: this.plan.uploadId, index, err: error }, "A loss could not be recorded."),
        );
      const lengthBytes = this.#ledger.lengthOf(index);
      this.#ledger.lose(index);
      if (this.#ledger.sizeBytes !== undefined) this.#reservation.restore(lengthBytes);
    }
    const detail = `${indexes.length} chunks were damaged on the disk; send those that are missing again.`;
    this.#ports.log.error({ uploadId: this.plan.uploadId, indexes: indexes.slice(0, 10) }, "Chunks of an upload are damaged on the disk.");
    this.#apply({ type: "merge.interrupted", error: { code: "UPLOAD_INCOMPLETE", detail, retryable: true } });
  }

  #answerMerge(): void {
    if (this.#merged !== undefined) this.#mergeWaiters.resolve(this.#merged);
  }

  #finish(failure: TroupeError | undefined = this.#otherwise): void {
    this.#isFinished = true;
    this.#ending.tell(stateOf(this.#snapshot), this.#snapshot.context.lastError, this.#merged?.file?.sizeBytes);
    this.#reservation.settleAll();
    if (this.#merged !== undefined) this.#answerMerge();
    else if (failure !== undefined) for (const waiters of [this.#mergeWaiters, this.#knownWaiters]) waiters.reject(failure);
    this.#possession.end();
    if (failure === undefined) this.#endWaiters.resolve({ state: stateOf(this.#snapshot) });
    else this.#endWaiters.reject(failure);
    this.#idle.stop();
    this.#promise.stop();
    this.#ports.node.ended(this.plan.uploadId);
  }

  /** A chunk has been counted. */
  #received(): void {
    // The journal says so by the chunk's own entry.
    this.#idle.touch("recorded");
    // A part has no digest of its own.
    if (this.plan.tus?.isPartial !== true) this.#merge.advance(this.#ledger.prefixBytes);
    this.#facts.progress();
  }

  #status(): UploadStatus {
    return statusOf({
      plan: this.plan,
      owner: this.#owner,
      host: this.#ports.node.nodeId,
      epoch: this.#options.epoch,
      state: this.#told,
      sinceMs: this.#sinceMs,
      ledger: this.#ledger,
      followedBytes: this.#merge.followedBytes,
      expiresMs: stateOf(this.#snapshot) === "receiving" && !this.#isPromised ? this.#idle.expiresMs : undefined,
      lastError: this.#snapshot.context.lastError,
      file: this.#merged?.file,
    });
  }

  #checkEpoch(epoch: number): void {
    if (epoch !== this.#options.epoch)
      throw new TroupeError("EPOCH_STALE", `This host has epoch ${this.#options.epoch}, the request ${epoch}.`);
  }

  #refuse(command: SessionCommand): void {
    const code = refusal(this.#snapshot, command);
    if (code === undefined) return;
    // S3
    if (this.#otherwise !== undefined) throw this.#otherwise;
    if (this.#isEnding) throw new TroupeError("UPLOAD_BUSY", "The upload is coming to its end; ask again.");
    const { lastError } = this.#snapshot.context;
    // The same merge again gives the same answer: why it failed.
    if (code === "UPLOAD_FAILED" && command === "merge" && lastError !== undefined) throw this.#mergeError(lastError);
    throw new TroupeError(code, code === "UPLOAD_FAILED" ? lastError?.detail : undefined, {
      facts: lastError === undefined ? {} : { lastError },
    });
  }

  async #lookIfIdle(): Promise<void> {
    const state = stateOf(this.#snapshot);
    if (isEnded(state)) return;
    const isQuiet = state === "receiving" && this.#ledger.inFlightCount === 0;
    if (isQuiet && this.#idle.isExpired && !this.#isPromised) return this.#apply({ type: "idle.expired" });
    const record = isQuiet ? this.#idle.takeRecord() : undefined;
    // Set before anything is waited for: a slow disk makes no upload outlive its time.
    this.#idle.watch();
    if (record !== undefined) await this.#recordIdle(record);
    if (isQuiet && this.#idle.isResting) {
      await this.#intake.rest();
      await this.#journal.rest();
    }
  }

  async #recordIdle(idleMs: number): Promise<void> {
    try {
      await this.#journal.append({ kind: "idle", idleMs });
    } catch (error) {
      // Nobody waits for it: the upload expires the later for it, at worst.
      this.#ports.log.debug({ uploadId: this.plan.uploadId, err: error }, "How long an upload has been idle could not be recorded.");
    }
  }

  /** S4 */
  async #stop(): Promise<void> {
    this.#idle.stop();
    this.#promise.stop();
    const stopping = new TroupeError("STOPPING");
    this.#intake.stop(stopping);
    this.refuseWaiters();
    await this.#merge.close();
    await this.#effects.stop(stopping);
    await this.#intake.idle();
    await this.#merge.close();
    await this.#intake.close();
    const isIdle = stateOf(this.#snapshot) === "receiving";
    await this.#journal
      .close(isIdle ? { kind: "idle", idleMs: this.#idle.idleMs } : undefined)
      .catch((error: unknown) =>
        this.#ports.log.debug({ uploadId: this.plan.uploadId, err: error }, "An upload's journal could not be closed well."),
      );
    this.#reservation.settleAll();
  }
}
