/**
 * Who is told what of a session: its state, what a command that it does not allow is answered, and those who wait for how it ends.
 *
 * A1: an end without a file is told to nobody before the catalog knows it. What is asked meanwhile waits until then, or is to be asked
 *     again; and when the catalog knows better, everybody hears its word.
 * A2: whoever asked for the end is answered when nothing is left of the upload.
 * A3: nobody waits past the activation: whoever does, or comes later, is told to ask again.
 */
import type { OutputOf } from "../../bus/contract.ts";
import { isErrorCode, TroupeError } from "../../core/errors.ts";
import { ENDED_CODES, isEnded, type LastError, type UploadState } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { upload } from "./contract.ts";
import type { SessionCommand } from "./machine.ts";
import type { SessionPorts } from "./ports.ts";
import type { SessionState } from "./session-state.ts";
import { incompleteError } from "./session-status.ts";
import { Waiters } from "./waiters.ts";

export type MergeAnswer = OutputOf<typeof upload, "merge">;
type EndAnswer = OutputOf<typeof upload, "cancel">;

interface ToldAbout {
  readonly ports: Pick<SessionPorts, "clock" | "log">;
  readonly plan: Pick<UploadPlan, "uploadId">;
  readonly ledger: ChunkLedger;
  readonly state: Pick<SessionState, "word" | "context" | "refusal">;
  /** The state as it is told now is to be a fact on the bus. */
  announce(): void;
}

export class Audience {
  readonly #session: ToldAbout;
  /** The machine's state, but an end without a file only when the catalog knows it (A1). */
  #told: UploadState = "init";
  #sinceMs: number;
  /** Why the end that the machine has come to is none: the catalog knows better. */
  #otherwise: TroupeError | undefined;
  #merged: MergeAnswer | undefined;
  /** The session has ended, and what follows from that is done. */
  #isFinished = false;
  readonly #mergeWaiters = new Waiters<MergeAnswer>();
  readonly #endWaiters = new Waiters<EndAnswer>();
  /** What is asked while the upload comes to an end that is not known yet: there is no good answer, but a definite one. */
  readonly #knownWaiters = new Waiters<never>();

  constructor(session: ToldAbout) {
    this.#session = session;
    this.#sinceMs = session.ports.clock.wallMs();
  }

  get told(): UploadState {
    return this.#told;
  }

  /** Wall time at which that was told first. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** What a merge is answered once there is a file. */
  get merged(): MergeAnswer | undefined {
    return this.#merged;
  }

  /** The machine has ended without a file, and nobody knows yet. */
  get isEnding(): boolean {
    return isEnded(this.#session.state.word) && !isEnded(this.#told) && this.#otherwise === undefined;
  }

  /** @throws {TroupeError} when the state does not allow the command */
  refuse(command: SessionCommand): void {
    const { state } = this.#session;
    const code = state.refusal(command);
    if (code === undefined) return;
    // A1
    if (this.#otherwise !== undefined) throw this.#otherwise;
    if (this.isEnding) throw new TroupeError("UPLOAD_BUSY", "The upload is coming to its end; ask again.");
    const { lastError } = state.context;
    // The same merge again gives the same answer: why it failed.
    if (code === "UPLOAD_FAILED" && command === "merge" && lastError !== undefined) throw this.#mergeError(lastError);
    throw new TroupeError(code, code === "UPLOAD_FAILED" ? lastError?.detail : undefined, {
      facts: lastError === undefined ? {} : { lastError },
    });
  }

  untilMerged(): Promise<MergeAnswer> {
    return this.#mergeWaiters.wait();
  }

  /** While {@link isEnding}. Rejects with how it ended. */
  untilKnown(): Promise<never> {
    return this.#knownWaiters.wait();
  }

  /** A2. @throws {TroupeError} what the catalog knows better */
  untilEnded(): EndAnswer | Promise<EndAnswer> {
    if (!this.#isFinished) return this.#endWaiters.wait();
    if (this.#otherwise !== undefined) throw this.#otherwise;
    return { state: this.#session.state.word };
  }

  tell(state: UploadState): void {
    const { ports, plan, state: machine, announce } = this.#session;
    const { lastError } = machine.context;
    this.#told = state;
    this.#sinceMs = ports.clock.wallMs();
    ports.log.debug({ uploadId: plan.uploadId, state, ...(lastError === undefined ? {} : { lastError }) }, "The upload entered a state.");
    announce();
  }

  /** There is a file; whoever waits for it hears so by {@link answerMerge}. */
  committed(answer: MergeAnswer): void {
    this.#merged = answer;
  }

  answerMerge(): void {
    if (this.#merged !== undefined) this.#mergeWaiters.resolve(this.#merged);
  }

  /** The upload has gone back to its chunks. */
  mergeInterrupted(why: LastError | TroupeError): void {
    this.#mergeWaiters.reject(why instanceof TroupeError ? why : this.#mergeError(why));
  }

  /**
   * A1: the catalog knows the end, or knows better.
   * @returns what everybody else who is at the upload is to be told
   */
  endKnown(otherwise: TroupeError | undefined): TroupeError {
    const { word, context } = this.#session.state;
    if (!isEnded(word)) throw new Error("only an end is told to the catalog");
    const { lastError } = context;
    this.#otherwise = otherwise;
    if (otherwise === undefined) this.tell(word);
    const ended = otherwise ?? new TroupeError(ENDED_CODES[word], lastError?.detail);
    this.#mergeWaiters.reject(lastError === undefined || word !== "failed" ? ended : this.#mergeError(lastError));
    this.#knownWaiters.reject(ended);
    return ended;
  }

  /** A2. @param failure what of the end did not succeed */
  finished(failure: TroupeError | undefined = this.#otherwise): void {
    this.#isFinished = true;
    if (this.#merged !== undefined) this.answerMerge();
    else if (failure !== undefined) for (const waiters of [this.#mergeWaiters, this.#knownWaiters]) waiters.reject(failure);
    if (failure === undefined) this.#endWaiters.resolve({ state: this.#session.state.word });
    else this.#endWaiters.reject(failure);
  }

  /** A3 */
  stop(reason: TroupeError): void {
    for (const waiters of [this.#mergeWaiters, this.#endWaiters, this.#knownWaiters]) waiters.close(reason);
  }

  /** Why a merge did not come about, and whether asking again may help. */
  #mergeError(lastError: LastError): TroupeError {
    const { code, detail } = lastError;
    const missing = code === "UPLOAD_INCOMPLETE" ? incompleteError(this.#session.ledger).facts : {};
    return new TroupeError(isErrorCode(code) ? code : "INTERNAL", detail, { facts: { ...missing, lastError } });
  }
}
