/**
 * What becomes of an upload when a step of it did not succeed: it goes back to its chunks with the reason, or fails with it.
 *
 * K1: once the catalog may know of the file, only the catalog's definite word ends the upload otherwise.
 * K2: a chunk whose bytes are damaged is missing again; what else there is stays.
 */
import { isDiskLost } from "../../core/durable.ts";
import { TroupeError } from "../../core/errors.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { Journal } from "./journal.ts";
import { DamagedChunks } from "./merge-steps.ts";
import type { SessionPorts } from "./ports.ts";
import type { Reservation } from "./reservation.ts";
import type { SessionState } from "./session-state.ts";

interface FailingSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly state: SessionState;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly reservation: Reservation;
  /** The upload has ended; what could not be removed is removed at the next start. */
  finish(failure: TroupeError): void;
}

/** The catalog's definite word that there is no file. */
const COMMIT_REFUSED = ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "BAD_REQUEST"];
/** What is done after the end. */
const LAST_STEPS = ["end", "clean"];

export class StepFailures {
  readonly #session: FailingSession;

  constructor(session: FailingSession) {
    this.#session = session;
  }

  /** Inside a turn. @throws what is no {@link TroupeError} */
  take(step: string, error: unknown): void | Promise<void> {
    const { ports, plan, state, finish } = this.#session;
    if (error instanceof DamagedChunks) return this.#loseChunks(error.indexes);
    if (!(error instanceof TroupeError)) throw error;
    ports.log.warn({ uploadId: plan.uploadId, step, err: error }, "A step of the upload did not succeed.");
    const isLost: boolean = isDiskLost(error);
    if (isLost) ports.node.suspect(error);
    if (LAST_STEPS.includes(step)) return finish(error);
    // K1
    const isFinal = state.context.isCommitUncertain ? COMMIT_REFUSED.includes(error.code) : isLost || error.retry !== "later";
    const lastError = { code: error.code, detail: error.detail, retryable: !isFinal };
    if (error.code === "DIGEST_MISMATCH") state.apply({ type: "digest.mismatched", error: lastError });
    else state.apply({ type: isFinal ? "session.broken" : "merge.interrupted", error: lastError });
  }

  /** K2 */
  async #loseChunks(indexes: readonly number[]): Promise<void> {
    const { ports, plan, state, ledger, journal, reservation } = this.#session;
    const { uploadId } = plan;
    for (const index of indexes) {
      // Not recorded, it is found again by the next start.
      await journal
        .append({ kind: "lost", index })
        .catch((error: unknown) => ports.log.warn({ uploadId, index, err: error }, "A loss could not be recorded."));
      const lengthBytes = ledger.lengthOf(index);
      ledger.lose(index);
      if (ledger.sizeBytes !== undefined) reservation.restore(lengthBytes);
    }
    const detail = `${indexes.length} chunks were damaged on the disk; send those that are missing again.`;
    ports.log.error({ uploadId, indexes: indexes.slice(0, 10) }, "Chunks of an upload are damaged on the disk.");
    state.apply({ type: "merge.interrupted", error: { code: "UPLOAD_INCOMPLETE", detail, retryable: true } });
  }
}
