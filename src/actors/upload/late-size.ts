/**
 * The size of an upload that was begun without one: said later, or what there is when it is merged. Either may make the last chunk of what
 * was a tail.
 *
 * L1: the size is in the journal before it is answered, and so is the chunk that a tail becomes.
 * L2: a tail that the disk did not let become a chunk does so later: when the size is said again, at a merge, at the next start.
 */
import { TroupeError } from "../../core/errors.ts";
import type { OwnSession } from "./intake-session.ts";

export class LateSize {
  readonly #session: OwnSession;

  constructor(session: OwnSession) {
    this.#session = session;
  }

  /**
   * Inside a turn, after what went on has ended. The same again is fine.
   * @throws {TroupeError} `UPLOAD_SIZE_FIXED`, `TOO_LARGE`, `UPLOAD_BUSY` (chunks are arriving), `DISK_FULL`
   */
  async declare(sizeBytes: number): Promise<void> {
    const { ledger, journal, reservation, refuse, isSealed } = this.#session;
    // L2
    if (ledger.sizeBytes === sizeBytes) return await this.sealWholeTail();
    refuse("storeChunk");
    if (isSealed()) throw new TroupeError("UPLOAD_COMMITTING");
    if (!ledger.mayDeclare(sizeBytes)) return;
    if (ledger.inFlightCount > 0) throw new TroupeError("UPLOAD_BUSY", "Chunks are arriving; say the size when they are there.");
    const absentBytes = sizeBytes - ledger.receivedBytes;
    await reservation.grow(absentBytes);
    try {
      await journal.append({ kind: "size", sizeBytes });
    } catch (error) {
      reservation.settle(absentBytes);
      throw error;
    }
    ledger.declare(sizeBytes);
    await this.sealWholeTail();
  }

  /** Inside a turn: a tail that lacks nothing, as the size is known now, is a chunk. */
  async sealWholeTail(): Promise<void> {
    const { ledger } = this.#session;
    const { tail } = ledger;
    if (tail === undefined || ledger.sizeBytes === undefined || ledger.isInFlight(tail.index)) return;
    if (tail.lengthBytes === ledger.wholeBytesOf(tail.index)) await this.sealTail();
  }

  /** L2. Inside the first turn: of a tail that was left before a restart. */
  async sealEarlierTail(): Promise<void> {
    const { ports, plan } = this.#session;
    try {
      await this.sealWholeTail();
    } catch (error) {
      if (!(error instanceof TroupeError)) throw error;
      ports.log.warn({ uploadId: plan.uploadId, err: error }, "The last chunk of an upload could not be recorded; a merge tries again.");
    }
  }

  /** Inside a turn: the tail, if there is one, is the last chunk. */
  async sealTail(): Promise<void> {
    const { ledger, journal, apply, isSealed } = this.#session;
    const { tail } = ledger;
    if (tail === undefined || isSealed()) return;
    const journalOffset = await journal.append({ kind: "chunk", ...tail });
    ledger.receive(tail.index, tail.lengthBytes, journalOffset);
    apply({ type: "chunk.claimed" });
    apply({ type: "chunk.received" });
  }
}
