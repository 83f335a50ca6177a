/** What a session tells of itself: to whoever asks, and as facts on the bus. */
import { eventSubject } from "../../bus/contract.ts";
import { TroupeError } from "../../core/errors.ts";
import { MISSING_RANGES_MAX } from "../../core/limits.ts";
import type { LastError, UploadState } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { MergedFile, UploadStatus } from "./contract.ts";
import type { SessionPorts } from "./ports.ts";

export interface ToldSession {
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly host: string;
  readonly epoch: number;
  readonly state: UploadState;
  readonly sinceMs: number;
  readonly ledger: ChunkLedger;
  readonly followedBytes: number;
  readonly expiresMs: number | undefined;
  readonly lastActivityMs: number | undefined;
  readonly lastError: LastError | undefined;
  readonly file: MergedFile | undefined;
}

export function statusOf({ plan, ledger, expiresMs, lastActivityMs, lastError, file, ...told }: ToldSession): UploadStatus {
  const { ranges, isTruncated } = ledger.missing(MISSING_RANGES_MAX);
  const { uploadId, fileId, name, chunkBytes, tus } = plan;
  const { sizeBytes, chunkCount, receivedCount, receivedBytes, inFlightCount, offsetBytes } = ledger;
  return {
    ...told,
    uploadId,
    fileId,
    name,
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    chunkBytes,
    ...(chunkCount === undefined ? {} : { chunkCount }),
    receivedCount,
    receivedBytes,
    inFlightCount,
    missing: ranges,
    missingTruncated: isTruncated,
    offsetBytes,
    ...(expiresMs === undefined ? {} : { expiresMs }),
    ...(lastActivityMs === undefined ? {} : { lastActivityMs }),
    ...(lastError === undefined ? {} : { lastError }),
    ...(file === undefined ? {} : { file }),
    ...(tus === undefined ? {} : { tus }),
  };
}

/** Why an upload that lacks chunks is not merged. */
export function incompleteError(ledger: ChunkLedger): TroupeError {
  const { ranges, isTruncated } = ledger.missing(MISSING_RANGES_MAX);
  const facts = { missing: ranges, ...(isTruncated ? { missingTruncated: true } : {}) };
  const inFlight = ledger.inFlightCount;
  return new TroupeError("UPLOAD_INCOMPLETE", inFlight > 0 ? `Chunks are missing; ${inFlight} of them are arriving now.` : undefined, {
    facts,
  });
}

const PROGRESS_EVERY_MS = 500;

/** Publishes a session's facts. */
export class SessionFacts {
  readonly #ports: Pick<SessionPorts, "bus" | "clock" | "log">;
  readonly #status: () => UploadStatus;
  #progressMs = 0;

  constructor(ports: Pick<SessionPorts, "bus" | "clock" | "log">, status: () => UploadStatus) {
    this.#ports = ports;
    this.#status = status;
  }

  state(): void {
    this.#announce("state");
  }

  /** Now and then. */
  progress(): void {
    const nowMs = this.#ports.clock.nowMs();
    if (nowMs - this.#progressMs < PROGRESS_EVERY_MS) return;
    this.#progressMs = nowMs;
    this.#announce("progress");
  }

  #announce(fact: "state" | "progress"): void {
    // What it was begun with is long, and nobody's news.
    const { tus: _, ...status } = this.#status();
    const { uploadId } = status;
    try {
      this.#ports.bus.publish(eventSubject("upload", uploadId, fact), Buffer.from(JSON.stringify(status)));
    } catch (error) {
      // An event is a hint; whoever missed it asks for the status.
      this.#ports.log.debug({ uploadId, fact, err: error }, "An event could not be published.");
    }
  }
}
