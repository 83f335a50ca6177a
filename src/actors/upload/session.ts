/**
 * One upload in memory, put together: the machine's state, the ledger of chunks, the journal, and what is done as the machine goes on.
 *
 * S2: order for a chunk: data synced → journal record synced → counted → answered.
 * S3: when the session ends without a file, the catalog knows it before anybody is told and before the bytes are removed; whoever asked
 *     for the end is answered after both.
 * S4: nothing of an activation outlives its stop: bodies are let go, effects have ended, the follower and the files are closed, the
 *     reservation is given back.
 */
import type { Activation, Self } from "../../bus/actor.ts";
import { TroupeError } from "../../core/errors.ts";
import type { ByteStream } from "../../core/ports/byte-stream.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { type Challenge, ENDED_CODES, isEnded, type UploadState } from "../../core/shapes.ts";
import { currentTrace } from "../../core/trace.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import { Assembly } from "./assembly.ts";
import { Audience } from "./audience.ts";
import { ChunkIntake } from "./chunk-intake.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import { ChunkReader } from "./chunk-reader.ts";
import type { UploadStatus, upload } from "./contract.ts";
import { Effects } from "./effects.ts";
import { Idleness } from "./idleness.ts";
import type { OwnSession } from "./intake-session.ts";
import type { Journal } from "./journal.ts";
import { LateSize } from "./late-size.ts";
import type { SessionAction } from "./machine.ts";
import { MergePromise } from "./merge-promise.ts";
import { type Committed, MergeSteps } from "./merge-steps.ts";
import type { SessionOptions, SessionPorts, SessionSummary } from "./ports.ts";
import { type KnownCommit, Possession } from "./possession.ts";
import { Reservation } from "./reservation.ts";
import { SessionEnding } from "./session-ending.ts";
import { openData, sessionPaths } from "./session-files.ts";
import { SessionInspection } from "./session-inspection.ts";
import { openSessionJournal, type Recorded } from "./session-journal.ts";
import { SessionMeter } from "./session-meter.ts";
import { SessionRequests } from "./session-requests.ts";
import { SessionState } from "./session-state.ts";
import { SessionFacts, statusOf } from "./session-status.ts";
import { StepFailures } from "./step-failures.ts";
import { Turns } from "./turns.ts";

export class Session {
  readonly plan: UploadPlan;
  readonly #owner: string;
  readonly #ports: SessionPorts;
  readonly #options: SessionOptions;
  readonly #self: Self;
  readonly #ledger: ChunkLedger;
  readonly #journal: Journal;
  readonly #turns: Turns;
  readonly #effects: Effects;
  readonly inspection: SessionInspection;
  readonly #state: SessionState;
  readonly #facts: SessionFacts;
  readonly #audience: Audience;
  readonly #reservation: Reservation;
  readonly #intake: ChunkIntake;
  readonly #lateSize: LateSize;
  /** Of an upload that is put together from others. */
  readonly #assembly: Assembly | undefined;
  readonly #merge: MergeSteps;
  readonly #promise: MergePromise;
  readonly #possession: Possession;
  readonly #idleness: Idleness;
  readonly #ending: SessionEnding;
  readonly #failures: StepFailures;
  readonly #requests: SessionRequests;
  /** Nothing of the upload is left among the blobs that should not be there. */
  #isTidy = true;

  private constructor(ports: SessionPorts, options: SessionOptions, self: Self, recorded: Recorded & { readonly journal: Journal }) {
    const { plan, owner, ledger, journal, commitPlan, promisedBytes, idleMs, received } = recorded;
    const { uploadId, epoch } = options;
    this.#ports = ports;
    this.#options = options;
    this.#self = self;
    this.plan = plan;
    this.#owner = owner;
    this.#ledger = ledger;
    this.#journal = journal;
    const turns = new Turns(self);
    const effects = new Effects(ports.clock);
    const inspection = new SessionInspection(ports.clock, { effects: () => [...effects.list()], bodies: () => intake.bodies });
    const meter = new SessionMeter(ports);
    const state = new SessionState({
      entered: (entered, before) => {
        meter.entered(entered, before);
        this.#entered(entered, before);
      },
      perform: (action) => this.#perform(action),
      stepped: (step) => {
        inspection.stepped(step);
        ports.feeds?.changed(uploadId);
        ports.onStep?.(uploadId, step);
      },
    });
    const status = (): UploadStatus => this.#status();
    const facts = new SessionFacts(ports, status);
    const audience = new Audience({ ports, plan, ledger, state, announce: () => facts.state() });
    const reservation = new Reservation(ports.node);
    const folder = ports.node.folderOf(uploadId);
    const data = openData(ports.disk, folder);
    const reader = new ChunkReader({ hasher: ports.hasher, plan, ledger, journal, data });
    const paths = sessionPaths(folder);
    const merge = new MergeSteps({ ports, plan, owner, epoch, ledger, journal, reader, paths, commitPlan, doubtful: received });
    const own: OwnSession = {
      ports,
      plan,
      ledger,
      journal,
      data,
      turn: (name, work) => turns.run(name, work),
      apply: (event) => state.apply(event),
      refuse: (command) => audience.refuse(command),
      isSealed: () => merge.isSealed,
      reservation,
      received: () => this.#received(),
    };
    const intake = new ChunkIntake(own);
    const lateSize = new LateSize(own);
    const partIds = plan.tus?.parts;
    const store = (chunk: ChunkBody): Promise<ChunkStored> => intake.store(chunk);
    const assembly = partIds === undefined ? undefined : new Assembly({ ports, plan, partIds, owner, ledger, store });
    // What is put together from parts becomes a file without being asked.
    const sizePromised = partIds === undefined ? promisedBytes : plan.sizeBytes;
    const promise = new MergePromise({ ports, journal, merge, state, turns }, sizePromised);
    const possession = new Possession({
      ports,
      plan,
      epoch,
      status,
      effect: (name, work, then) => this.#effect(name, work, then),
      proven: (blobId) => state.apply({ type: "possession.proven", blobId }),
      isCommitting: () => state.isInstant,
    });
    const idle = { ports, uploadId, state, ledger, journal, intake, promise, turns };
    const idleness = new Idleness(idle, options.idleExpiryMs, idleMs);
    const finish = (failure: TroupeError): void => this.#finish(failure);
    this.#requests = new SessionRequests({
      node: ports.node,
      plan,
      owner,
      epoch,
      turns,
      state,
      audience,
      ledger,
      intake,
      reader,
      lateSize,
      merge,
      assembly,
      possession,
      promise,
      idleness,
      looked: () => {
        ports.feeds?.looked(uploadId);
        return inspection.told();
      },
      status,
    });
    this.#ending = new SessionEnding({ ports, plan, owner, epoch, journal, intake, merge });
    this.#failures = new StepFailures({ ports, plan, state, ledger, journal, reservation, finish });
    this.#turns = turns;
    this.#effects = effects;
    this.inspection = inspection;
    this.#state = state;
    this.#facts = facts;
    this.#audience = audience;
    this.#reservation = reservation;
    this.#intake = intake;
    this.#lateSize = lateSize;
    this.#assembly = assembly;
    this.#merge = merge;
    this.#promise = promise;
    this.#possession = possession;
    this.#idleness = idleness;
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
    return { handlers: this.#requests.handlers, stop: () => this.#stop() };
  }

  get summary(): SessionSummary {
    const { receivedCount, chunkCount } = this.#ledger;
    const { told, sinceMs } = this.#audience;
    return { state: told, sinceMs, receivedCount, chunkCount };
  }

  get challenge(): Challenge | undefined {
    return this.#possession.challenge;
  }

  storeChunk(chunk: ChunkBody): Promise<ChunkStored> {
    return this.#requests.storeChunk(chunk);
  }

  read(offset: number, lengthBytes: number): Promise<ByteStream> {
    return this.#requests.read(offset, lengthBytes);
  }

  /** The process is stopping: whoever waits is told so now, and asks again later. */
  refuseWaiters(): void {
    const stopping = new TroupeError("STOPPING");
    this.#turns.refuse(stopping);
    this.#audience.stop(stopping);
    this.#possession.refuse(stopping);
  }

  #begin({ commitPlan }: Recorded): void {
    const { sizeBytes, receivedBytes, receivedCount } = this.#ledger;
    if (sizeBytes !== undefined) this.#reservation.restore(sizeBytes - receivedBytes);
    this.#state.apply({ type: "session.opened", receivedCount, isCommitUncertain: commitPlan !== undefined });
    this.#idleness.begin();
    this.#self.post("tail.sealed", () => this.#lateSize.sealEarlierTail());
    this.#self.post("merge.resumed", () => this.#promise.keep());
  }

  #entered(state: UploadState, before: UploadState): void {
    // S3
    if (isEnded(state) && state !== "merged") return;
    const { lastError } = this.#state.context;
    if (state === "receiving" && before !== "init") {
      this.#idleness.touch();
      this.#promise.keepLater();
    }
    if (state === "receiving") this.#assemble();
    this.#audience.tell(state);
    if (state === "receiving" && lastError !== undefined) this.#audience.mergeInterrupted(lastError);
  }

  #perform(action: SessionAction): void {
    switch (action) {
      case "startVerifying":
        return this.#effect(
          "verify",
          (signal) => this.#merge.verify(signal),
          (digests) => this.#state.apply({ type: "file.verified", digests }),
        );
      case "startReplicating":
        // One copy: what is synced here is all there is to do.
        return this.#self.post("replicated", () => this.#state.apply({ type: "file.replicated", copies: 1 }));
      case "startCommitting":
        return this.#effect(
          "commit",
          (signal) => this.#commit(signal),
          (committed) => this.#committed(committed),
        );
      case "startKnownCommit": {
        const { knownBlobId } = this.#state.context;
        if (knownBlobId === undefined) throw new Error("known content is committed after it was proven");
        return this.#effect(
          "commit.known",
          (signal) => this.#commitKnown(knownBlobId, signal),
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
          () => this.#ending.endMerged(this.#isTidy, () => this.#audience.answerMerge()),
          () => this.#finish(),
        );
    }
  }

  /** What is missing is copied from the parts, if it has any. */
  #assemble(): void {
    const assembly = this.#assembly;
    if (assembly === undefined || this.#merge.completeBytes !== undefined) return;
    this.#effect(
      "assemble",
      (signal) => assembly.run(signal),
      () => this.#promise.keep(),
    );
  }

  async #commit(signal: AbortSignal): Promise<Committed> {
    const { digests } = this.#state.context;
    if (digests === undefined) throw new Error("a file is committed after it was verified");
    const plan = await this.#merge.prepareCommit(digests, signal);
    await this.#turns.run("commit.sent", () => this.#state.apply({ type: "commit.sent" }));
    return await this.#merge.commit(plan, signal);
  }

  #committed({ file, isTidy }: Committed, copies = this.#state.context.copies): void {
    const { fileId, name, sizeBytes, digests } = file;
    const durability = copies > 1 ? "complete" : "single-copy";
    this.#audience.committed({ state: "merged", file: { fileId, name, sizeBytes, digests, copies, durability } });
    this.#isTidy = isTidy;
    this.#state.apply({ type: "file.committed" });
  }

  async #commitKnown(blobId: number, signal: AbortSignal): Promise<KnownCommit & { readonly isTidy: boolean }> {
    const commit = await this.#possession.commit(blobId, signal);
    // A merge that broke off before may have left something.
    return { ...commit, isTidy: commit.kind !== "committed" || (await this.#merge.tidyUnused()) };
  }

  #knownCommitted(commit: KnownCommit & { readonly isTidy: boolean }): void {
    if (commit.kind === "committed") return this.#committed(commit, commit.file.blob.nodeIds.length);
    if (commit.kind === "gone") {
      this.#state.apply({ type: "possession.lost" });
      this.#possession.settle();
      this.#audience.mergeInterrupted(
        new TroupeError("UPLOAD_BUSY", "The content that was there has gone; the upload goes on with its own chunks."),
      );
    } else {
      const { code, detail } = commit.error;
      this.#state.apply({ type: "possession.refused", error: { code, detail, retryable: false } });
    }
  }

  /** S3. What was under way for a merge is told to stop, and has stopped before its bytes go. */
  #endUpload(): void {
    const stopped = this.#effects.stop(new TroupeError("STOPPING", "The upload has ended."));
    const known = (otherwise: TroupeError | undefined): Promise<void> => this.#turns.run("end.known", () => this.#endKnown(otherwise));
    const { lastError } = this.#state.context;
    this.#effect(
      "end",
      (signal) => this.#ending.end({ state: this.#state.word, lastError, known, stopped }, signal),
      () => this.#finish(),
    );
  }

  /** S3: the catalog knows the end, or knows better. */
  #endKnown(otherwise: TroupeError | undefined): void {
    const ended = this.#audience.endKnown(otherwise);
    this.#possession.refuse(ended);
    this.#intake.stop(ended);
  }

  /** @param failure what of the end did not succeed */
  #finish(failure?: TroupeError): void {
    this.#ending.tell(this.#state.word, this.#state.context.lastError, this.#audience.merged?.file?.sizeBytes);
    this.#reservation.settleAll();
    this.#audience.finished(failure);
    this.#possession.end();
    this.#idleness.stop();
    this.#promise.stop();
    this.inspection.end();
    this.#ports.node.ended(this.plan.uploadId);
  }

  /** Runs an effect outside the turn and brings its result back as one. */
  #effect<T>(name: string, work: (signal: AbortSignal) => Promise<T>, then: (result: T) => void): void {
    const { spans } = this.#ports;
    const { uploadId } = this.plan;
    const span = { kind: "effect", actor: "upload", name: `upload~${name}`, parent: currentTrace(), uploadId } as const;
    this.#effects.run(
      name,
      spans === undefined ? work : (signal) => spans.run(span, () => work(signal)),
      (result) => this.#turns.post(name, () => then(result)),
      (error) => this.#turns.post(name, () => this.#failures.take(name, error)),
    );
  }

  /** A chunk has been counted. */
  #received(): void {
    // The journal says so by the chunk's own entry.
    this.#idleness.touch("recorded");
    // A part has no digest of its own.
    if (this.plan.tus?.isPartial !== true) this.#merge.advance(this.#ledger.prefixBytes);
    this.#facts.progress();
  }

  #status(): UploadStatus {
    const { told, sinceMs, merged } = this.#audience;
    return statusOf({
      plan: this.plan,
      owner: this.#owner,
      host: this.#ports.node.nodeId,
      epoch: this.#options.epoch,
      state: told,
      sinceMs,
      ledger: this.#ledger,
      followedBytes: this.#merge.followedBytes,
      expiresMs: this.#idleness.expiresMs,
      lastActivityMs: this.#idleness.lastActivityMs,
      lastError: this.#state.context.lastError,
      file: merged?.file,
    });
  }

  /** S4 */
  async #stop(): Promise<void> {
    this.#idleness.stop();
    this.#promise.stop();
    const stopping = new TroupeError("STOPPING");
    this.#intake.stop(stopping);
    this.refuseWaiters();
    await this.#merge.close();
    await this.#effects.stop(stopping);
    await this.#intake.idle();
    await this.#merge.close();
    await this.#intake.close();
    const idleMs = this.#idleness.recordableMs;
    await this.#journal
      .close(idleMs === undefined ? undefined : { kind: "idle", idleMs })
      .catch((error: unknown) =>
        this.#ports.log.debug({ uploadId: this.plan.uploadId, err: error }, "An upload's journal could not be closed well."),
      );
    this.#reservation.settleAll();
  }
}
