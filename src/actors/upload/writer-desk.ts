/**
 * What everyone shares who writes a chunk of an upload: the index that is theirs until it is counted or given up, the space, the syncs.
 *
 * D1: an index is given up only when the last write of its writer has returned.
 * D2: after a sync that failed on a full disk, bytes of any body under way may be lost: all of them fail, and the next one is written
 *     through a file that is opened anew.
 * D3: what is reserved and not yet filled is the declared size without what is durable; while the size is unknown, room for each body.
 */
import { isDiskLost } from "../../core/durable.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../core/limits.ts";
import type { LastError } from "../../core/shapes.ts";
import type { ChunkClaim } from "./chunk-ledger.ts";
import type { DigestedChunk } from "./chunk-writer.ts";
import type { IntakeSession } from "./intake-session.ts";

/** A body on its way to the disk. */
export interface ArrivingBody {
  readonly index: number;
  /** Wall time at which it began. */
  readonly sinceMs: number;
  arrivedBytes: number;
}

export interface ChunkWriting {
  readonly body: ArrivingBody;
  /** What became of the chunk, as one turn. Before it, an error gives the index up; after it, nothing does. */
  count(change: () => void): Promise<void>;
  /** Nothing became of it: the index is given up. */
  giveUp(): Promise<void>;
  /** For those who compare their bytes with this writer's. */
  digested(chunk: DigestedChunk): void;
}

export class WriterDesk {
  readonly #session: IntakeSession;
  /** What the writer of an index digested, or `undefined` when it gave up. */
  readonly #writers = new Map<number, { readonly outcome: Promise<DigestedChunk | undefined>; readonly body: ArrivingBody }>();
  /** D2: why the open data file is not to be used again. */
  #spoilt: TroupeError | undefined;

  constructor(session: IntakeSession) {
    this.#session = session;
  }

  /** Inside a turn. @throws {TroupeError} why no body for this index is taken now */
  claim(index: number): ChunkClaim {
    const { ledger, apply, isSealed } = this.#session;
    // D2
    if (this.#spoilt !== undefined) throw this.#spoilt;
    ledger.lengthsOf(index);
    if (isSealed() && !ledger.isReceived(index))
      throw new TroupeError("UPLOAD_COMMITTING", "The file is being committed with the chunks it has; merge again to learn the outcome.");
    const claim = ledger.claim(index);
    if (claim === "write") apply({ type: "chunk.claimed" });
    return claim;
  }

  writerOf(index: number): Promise<DigestedChunk | undefined> | undefined {
    return this.#writers.get(index)?.outcome;
  }

  get bodies(): ArrivingBody[] {
    return [...this.#writers.values()].map(({ body }) => ({ ...body }));
  }

  /** Runs the writer of an index that was claimed. @param roomBytes how many bytes it may write */
  async write<T>(index: number, roomBytes: number, work: (writing: ChunkWriting) => Promise<T>): Promise<T> {
    const { ledger, reservation, ports } = this.#session;
    const outcome = Promise.withResolvers<DigestedChunk | undefined>();
    const body: ArrivingBody = { index, sinceMs: ports.clock.wallMs(), arrivedBytes: 0 };
    this.#writers.set(index, { outcome: outcome.promise, body });
    let reservedBytes = 0;
    let isSettled = false;
    const count = (change: () => void): Promise<void> =>
      this.#session.turn("chunk.counted", () => {
        this.#resize(change);
        isSettled = true;
        reservation.settle(reservedBytes);
        this.#session.received();
      });
    const giveUp = async (): Promise<void> => {
      await this.#giveUp(index, reservedBytes);
      isSettled = true;
    };
    try {
      // D3
      if (ledger.sizeBytes === undefined) {
        await reservation.grow(roomBytes);
        reservedBytes = roomBytes;
      }
      return await work({ body, count, giveUp, digested: outcome.resolve });
    } catch (error) {
      if (isDiskLost(error)) ports.node.suspect(error);
      if (!isSettled) await this.#giveUp(index, reservedBytes, error);
      throw error;
    } finally {
      // A no-op after success; those who wait to compare must never wait for ever.
      outcome.resolve(undefined);
      this.#writers.delete(index);
      await this.#renew();
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#session.data.sync();
    } catch (error) {
      if (error instanceof TroupeError && error.code === "DISK_FULL") this.#spoilt = error;
      throw error;
    }
  }

  /** No more than so many bytes of a chunk's tail count from now on, durably: whole leaves, or nothing. */
  async shortenTail(index: number, lengthBytes: number): Promise<void> {
    const { ledger, journal, turn } = this.#session;
    const { tail } = ledger;
    if (tail?.index !== index || tail.lengthBytes <= lengthBytes) return;
    await journal.append({ kind: "tail", index, lengthBytes, leafDigests: new Uint8Array() });
    const leafDigests = tail.leafDigests.slice(0, (lengthBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES);
    await turn("tail.shortened", () =>
      this.#resize(() => ledger.setTail(lengthBytes === 0 ? undefined : { index, lengthBytes, leafDigests })),
    );
  }

  /** D1: every write has returned by now. */
  async #giveUp(index: number, reservedBytes: number, error?: unknown): Promise<void> {
    const { ledger, reservation, apply, turn } = this.#session;
    await turn("chunk.release", () => {
      ledger.release(index);
      apply({ type: "chunk.released" });
      reservation.settle(reservedBytes);
      if (isDiskLost(error)) apply({ type: "session.broken", error: lastErrorOf(error) });
    });
  }

  /** D3 */
  #resize(change: () => void): void {
    const { ledger, reservation } = this.#session;
    const before = ledger.receivedBytes;
    change();
    if (ledger.sizeBytes === undefined) return;
    const grownBytes = ledger.receivedBytes - before;
    if (grownBytes < 0) reservation.restore(-grownBytes);
    else reservation.settle(grownBytes);
  }

  /** D2 */
  async #renew(): Promise<void> {
    if (this.#spoilt === undefined || this.#writers.size > 0) return;
    await this.#session.data.reopenNext();
    this.#spoilt = undefined;
  }
}

function lastErrorOf(error: unknown): LastError {
  const { code, detail } = toTroupeError(error);
  return { code, detail, retryable: false };
}
