/**
 * The size of an upload that was begun without one: said later, or what there is when it is merged. Either may make the last chunk of what
 * was a tail.
 *
 * L1: the size is in the journal before it is answered, and so is the chunk that a tail becomes.
 */
import { TroupeError } from "../../core/errors.ts";
import type { IntakeSession } from "./intake-session.ts";

export class LateSize {
  readonly #session: Pick<IntakeSession, "ledger" | "journal" | "reservation" | "apply" | "refuse" | "isSealed">;

  constructor(session: Pick<IntakeSession, "ledger" | "journal" | "reservation" | "apply" | "refuse" | "isSealed">) {
    this.#session = session;
  }

  /**
   * Inside a turn, after what went on has ended. The same again is fine.
   * @throws {TroupeError} `UPLOAD_SIZE_FIXED`, `TOO_LARGE`, `UPLOAD_BUSY` (chunks are arriving), `DISK_FULL`
   */
  async declare(sizeBytes: number): Promise<void> {
    const { ledger, journal, reservation, refuse, isSealed } = this.#session;
    if (ledger.sizeBytes === sizeBytes) return;
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
    if (tail !== undefined && ledger.sizeBytes !== undefined && tail.lengthBytes === ledger.wholeBytesOf(tail.index)) await this.sealTail();
  }

  /** Inside a turn: the tail, if there is one, is the last chunk. */
  async sealTail(): Promise<void> {
    const { ledger, journal, apply } = this.#session;
    const { tail } = ledger;
    if (tail === undefined) return;
    const journalOffset = await journal.append({ kind: "chunk", ...tail });
    ledger.receive(tail.index, tail.lengthBytes, journalOffset);
    apply({ type: "chunk.claimed" });
    apply({ type: "chunk.received" });
  }
}
