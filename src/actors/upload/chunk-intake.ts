/**
 * Bodies of chunks on their way in. The session decides in turns who may write an index; the bytes flow outside of them.
 *
 * I1: an index has one writer; a second body for it is only digested, waits for the first, and is the same or a conflict.
 * I2: a writer gives its index up only when its last write has returned.
 * I3: order: data synced → journal record synced → counted → answered.
 * I4: a whole body for a chunk that has a tail takes the tail's place: the tail does not count any more before a byte of it is written.
 */
import { abortable } from "../../core/abortable.ts";
import { TroupeError } from "../../core/errors.ts";
import { CHUNKS_IN_FLIGHT_PER_SESSION_MAX } from "../../core/limits.ts";
import type { ChunkBody, ChunkStored } from "../../core/ports/data-plane.ts";
import { type Counter, type Histogram, SILENT_METRICS } from "../../core/ports/metrics.ts";
import type { ChunkClaim } from "./chunk-ledger.ts";
import { type DigestedChunk, receiveChunk } from "./chunk-writer.ts";
import { ContinuedBodies } from "./continued-bodies.ts";
import { COPIES, type IntakeSession, type OwnSession } from "./intake-session.ts";
import { type ArrivingBody, WriterDesk } from "./writer-desk.ts";

interface Claimed {
  readonly claim: ChunkClaim;
  readonly offset: number;
  readonly minBytes: number;
  readonly maxBytes: number;
}

/** Series that all bodies of a node add to. */
interface ChunkMeter {
  readonly seconds: Histogram;
  readonly bytes: Counter;
  readonly stored: Counter;
  readonly same: Counter;
  readonly failed: Counter;
}

export class ChunkIntake {
  readonly #session: IntakeSession;
  readonly #meter: ChunkMeter;
  readonly #stopped = new AbortController();
  readonly #bodies = new Set<Promise<unknown>>();
  readonly #desk: WriterDesk;
  readonly #continued: ContinuedBodies;

  constructor(session: OwnSession) {
    this.#session = {
      ...session,
      admit: () => this.#admit(),
      interruptible: (chunk, also) => {
        const signal = AbortSignal.any([chunk.signal, this.#stopped.signal, ...(also === undefined ? [] : [also])]);
        return { ...chunk, signal, bytes: abortable(chunk.bytes, signal) };
      },
    };
    const { metrics = SILENT_METRICS } = session.ports;
    this.#meter = {
      seconds: metrics.histogram("troupe_chunk_seconds", {}),
      bytes: metrics.counter("troupe_chunk_bytes_total", {}),
      stored: metrics.counter("troupe_chunks_total", { outcome: "stored" }),
      same: metrics.counter("troupe_chunks_total", { outcome: "same" }),
      failed: metrics.counter("troupe_chunks_total", { outcome: "failed" }),
    };
    this.#desk = new WriterDesk(this.#session);
    this.#continued = new ContinuedBodies(this.#session, this.#desk);
  }

  /** Resolves when the chunk, or what has come of one that goes on, is durable (I3). */
  store(chunk: ChunkBody): Promise<ChunkStored> {
    const { fromBytes } = chunk;
    const storing = fromBytes === undefined ? this.#store(chunk) : this.#continued.store(chunk, fromBytes);
    const stored = this.#measured(storing, fromBytes ?? 0).finally(() => this.#bodies.delete(stored));
    this.#bodies.add(stored);
    return stored;
  }

  async #measured(storing: Promise<ChunkStored>, fromBytes: number): Promise<ChunkStored> {
    const { seconds, bytes, stored, same, failed } = this.#meter;
    const { clock } = this.#session.ports;
    const startMs = clock.nowMs();
    let result: ChunkStored;
    try {
      result = await storing;
    } catch (error) {
      failed.add();
      throw error;
    }
    if (result.isNew) {
      stored.add();
      bytes.add(result.lengthBytes - fromBytes);
      seconds.observe((clock.nowMs() - startMs) / 1_000);
    } else same.add();
    return result;
  }

  /** Bodies that are being written. */
  get bodies(): ArrivingBody[] {
    return this.#desk.bodies;
  }

  /** Ends the bodies that go on within a chunk; resolves when what has come of them is durable. */
  settle(): Promise<void> {
    return this.#continued.settle();
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

  #admit(): void {
    this.#session.refuse("storeChunk");
    this.#stopped.signal.throwIfAborted();
    if (this.#bodies.size > CHUNKS_IN_FLIGHT_PER_SESSION_MAX)
      throw new TroupeError("TOO_MANY", `${CHUNKS_IN_FLIGHT_PER_SESSION_MAX} chunks of this upload are arriving already.`);
  }

  async #store(chunk: ChunkBody): Promise<ChunkStored> {
    const { turn, ledger } = this.#session;
    const claimed = await turn("chunk.claim", () => {
      this.#admit();
      const claim = this.#desk.claim(chunk.index);
      return { claim, offset: ledger.offsetOf(chunk.index), ...ledger.lengthsOf(chunk.index) };
    });
    return claimed.claim === "write" ? await this.#write(chunk, claimed) : await this.#compare(chunk, claimed);
  }

  async #write(chunk: ChunkBody, claimed: Claimed): Promise<ChunkStored> {
    const { turn, ledger, data, journal, apply, ports, interruptible } = this.#session;
    const { index } = chunk;
    return await this.#desk.write(index, claimed.maxBytes, async (writing) => {
      // I4
      await this.#desk.shortenTail(index, 0);
      const target = { file: data, sync: () => this.#desk.sync(), body: writing.body, ...claimed };
      const { lengthBytes, leafDigests } = await receiveChunk(interruptible(chunk), target, ports);
      await turn("chunk.seal", () => ledger.seal(index, lengthBytes));
      await this.#desk.sync();
      const journalOffset = await journal.append({ kind: "chunk", index, lengthBytes, leafDigests });
      await writing.count(() => {
        ledger.receive(index, lengthBytes, journalOffset);
        apply({ type: "chunk.received" });
      });
      writing.digested({ lengthBytes, leafDigests });
      return { index, copies: COPIES, receivedCount: ledger.receivedCount, lengthBytes, isNew: true };
    });
  }

  /** I1 */
  async #compare(chunk: ChunkBody, claimed: Claimed): Promise<ChunkStored> {
    const { ledger, ports, interruptible } = this.#session;
    const { index } = chunk;
    const writer = this.#desk.writerOf(index);
    const second = await receiveChunk(interruptible(chunk), { file: undefined, sync: undefined, ...claimed }, ports);
    const first = claimed.claim === "compare-in-flight" ? await writer : await this.#recorded(index);
    if (first === undefined)
      throw new TroupeError("UPLOAD_BUSY", `Another body for chunk ${index} was arriving and did not end well; send it again.`);
    // Leaf digests cover lengths too: a leaf of another length has another digest.
    if (!Buffer.from(first.leafDigests).equals(second.leafDigests))
      throw new TroupeError("CHUNK_CONFLICT", `Chunk ${index} was already stored with other bytes; the first stay.`);
    return { index, copies: COPIES, receivedCount: ledger.receivedCount, lengthBytes: second.lengthBytes, isNew: false };
  }

  async #recorded(index: number): Promise<Pick<DigestedChunk, "leafDigests">> {
    const { ledger, journal } = this.#session;
    return { leafDigests: await journal.readLeafDigests(ledger.journalOffsetOf(index)) };
  }
}
