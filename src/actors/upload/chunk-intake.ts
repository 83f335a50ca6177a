/**
 * Bodies of chunks on their way in. The session decides in turns who may write an index; the bytes flow outside of them.
 *
 * I1: an index has one writer; a second body for it is only digested, waits for the first, and is the same or a conflict.
 * I2: a writer gives its index up only when its last write has returned.
 * I3: order: data synced → journal record synced → counted → answered.
 * I4: after a sync that failed on a full disk, bytes of any body under way may be lost: all of them fail, and the next one is written
 *     through a file that is opened anew.
 */
import { abortable } from "../../core/abortable.ts";
import { isDiskLost } from "../../core/durable.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import type { LazyFile } from "../../core/lazy-file.ts";
import { CHUNKS_IN_FLIGHT_PER_SESSION_MAX } from "../../core/limits.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import type { LastError } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkClaim, ChunkLedger } from "./chunk-ledger.ts";
import { type DigestedChunk, receiveChunk } from "./chunk-writer.ts";
import type { Journal } from "./journal.ts";
import type { SessionCommand, SessionEvent } from "./machine.ts";
import type { SessionPorts } from "./ports.ts";

/** What the intake needs of its session; all but `turn` and `reserve` are called inside a turn. */
export interface IntakeSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly data: LazyFile;
  turn<T>(name: string, work: () => T): Promise<T>;
  apply(event: SessionEvent): void;
  /** @throws {TroupeError} when the state does not allow the command */
  refuse(command: SessionCommand): void;
  /** Where the file's bytes go is decided: a chunk that is not there yet cannot become part of it any more. */
  isSealed(): boolean;
  reserve(bytes: number): Promise<void>;
  settle(bytes: number): void;
  received(): void;
}

interface Claimed {
  readonly claim: ChunkClaim;
  readonly offset: number;
  readonly minBytes: number;
  readonly maxBytes: number;
}

const COPIES = 1;

export class ChunkIntake {
  readonly #session: IntakeSession;
  readonly #stopped = new AbortController();
  readonly #bodies = new Set<Promise<unknown>>();
  /** What the writer of an index digested, or `undefined` when it gave up. */
  readonly #writers = new Map<number, Promise<DigestedChunk | undefined>>();
  /** I4: why the open data file is not to be used again. */
  #spoilt: TroupeError | undefined;

  constructor(session: IntakeSession) {
    this.#session = session;
  }

  /** Resolves when the chunk is durable (I3). */
  store(chunk: ChunkBody): Promise<ChunkStored> {
    const stored = this.#store(chunk).finally(() => this.#bodies.delete(stored));
    this.#bodies.add(stored);
    return stored;
  }

  /** No body is read any further; each ends with `reason`. */
  stop(reason: TroupeError): void {
    this.#stopped.abort(reason);
  }

  /** Resolves when no body is on its way (I2). */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#bodies);
  }

  rest(): Promise<void> {
    return this.#session.data.rest();
  }

  close(): Promise<void> {
    return this.#session.data.close();
  }

  async #store(chunk: ChunkBody): Promise<ChunkStored> {
    const { turn } = this.#session;
    const claimed = await turn("chunk.claim", () => this.#claim(chunk));
    if (claimed.claim === "write") return await this.#write(chunk, claimed);
    return await this.#compare(chunk, claimed);
  }

  #claim(chunk: ChunkBody): Claimed {
    const { ledger, apply, refuse, isSealed } = this.#session;
    refuse("storeChunk");
    this.#stopped.signal.throwIfAborted();
    if (this.#bodies.size > CHUNKS_IN_FLIGHT_PER_SESSION_MAX)
      throw new TroupeError("TOO_MANY", `${CHUNKS_IN_FLIGHT_PER_SESSION_MAX} chunks of this upload are arriving already.`);
    // I4
    if (this.#spoilt !== undefined) throw this.#spoilt;
    const lengths = ledger.lengthsOf(chunk.index);
    if (isSealed() && !ledger.isReceived(chunk.index))
      throw new TroupeError("UPLOAD_COMMITTING", "The file is being committed with the chunks it has; merge again to learn the outcome.");
    const claim = ledger.claim(chunk.index);
    if (claim === "write") apply({ type: "chunk.claimed" });
    return { claim, offset: ledger.offsetOf(chunk.index), ...lengths };
  }

  async #write(chunk: ChunkBody, claimed: Claimed): Promise<ChunkStored> {
    const outcome = Promise.withResolvers<DigestedChunk | undefined>();
    this.#writers.set(chunk.index, outcome.promise);
    try {
      return await this.#receive(chunk, claimed, outcome.resolve);
    } finally {
      // A no-op after success; those who wait to compare must never wait for ever.
      outcome.resolve(undefined);
      this.#writers.delete(chunk.index);
      await this.#renew();
    }
  }

  /** I4 */
  async #renew(): Promise<void> {
    if (this.#spoilt === undefined || this.#writers.size > 0) return;
    await this.#session.data.reopenNext();
    this.#spoilt = undefined;
  }

  async #receive(chunk: ChunkBody, claimed: Claimed, digestedBy: (digested: DigestedChunk) => void): Promise<ChunkStored> {
    const { turn, ledger, data, journal, apply, reserve, settle, ports, plan } = this.#session;
    const { index } = chunk;
    let reservedBytes = 0;
    try {
      if (plan.sizeBytes === undefined) {
        await reserve(claimed.maxBytes);
        reservedBytes = claimed.maxBytes;
      }
      const digested = await receiveChunk(this.#interruptible(chunk), { file: data, sync: () => this.#sync(), ...claimed }, ports.hasher);
      await turn("chunk.seal", () => ledger.seal(index, digested.lengthBytes));
      await this.#sync();
      const journalOffset = await journal.append({ kind: "chunk", index, ...digested });
      const receivedCount = await turn("chunk.received", () => {
        ledger.receive(index, digested.lengthBytes, journalOffset);
        apply({ type: "chunk.received" });
        settle(plan.sizeBytes === undefined ? reservedBytes : digested.lengthBytes);
        this.#session.received();
        return ledger.receivedCount;
      });
      digestedBy(digested);
      return { index, copies: COPIES, receivedCount, isNew: true };
    } catch (error) {
      if (isDiskLost(error)) ports.node.suspect(error);
      // I2: every write has returned by now.
      if (!ledger.isReceived(index)) {
        await turn("chunk.release", () => {
          ledger.release(index);
          apply({ type: "chunk.released" });
          if (reservedBytes > 0) settle(reservedBytes);
          if (isDiskLost(error)) apply({ type: "session.broken", error: lastErrorOf(error) });
        });
      }
      throw error;
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#session.data.sync();
    } catch (error) {
      if (error instanceof TroupeError && error.code === "DISK_FULL") this.#spoilt = error;
      throw error;
    }
  }

  /** I1 */
  async #compare(chunk: ChunkBody, claimed: Claimed): Promise<ChunkStored> {
    const { ledger, ports } = this.#session;
    const writer = this.#writers.get(chunk.index);
    const second = await receiveChunk(this.#interruptible(chunk), { file: undefined, sync: undefined, ...claimed }, ports.hasher);
    const first = claimed.claim === "compare-in-flight" ? await writer : await this.#recorded(chunk.index);
    if (first === undefined)
      throw new TroupeError("UPLOAD_BUSY", `Another body for chunk ${chunk.index} was arriving and did not end well; send it again.`);
    // Leaf digests cover lengths too: a leaf of another length has another digest.
    if (!Buffer.from(first.leafDigests).equals(second.leafDigests))
      throw new TroupeError("CHUNK_CONFLICT", `Chunk ${chunk.index} was already stored with other bytes; the first stay.`);
    return { index: chunk.index, copies: COPIES, receivedCount: ledger.receivedCount, isNew: false };
  }

  async #recorded(index: number): Promise<Pick<DigestedChunk, "leafDigests">> {
    const { ledger, journal } = this.#session;
    return { leafDigests: await journal.readLeafDigests(ledger.journalOffsetOf(index)) };
  }

  #interruptible(chunk: ChunkBody): ChunkBody {
    const signal = AbortSignal.any([chunk.signal, this.#stopped.signal]);
    return { ...chunk, signal, bytes: abortable(chunk.bytes, signal) };
  }
}

function lastErrorOf(error: unknown): LastError {
  const { code, detail } = toTroupeError(error);
  return { code, detail, retryable: false };
}
