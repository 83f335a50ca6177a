/**
 * The end of an upload: what the catalog, the disk and the log get to know of it.
 *
 * Z1: when it ends without a file, the catalog knows it before anybody else is told, and before the bytes are removed: a process that dies
 *     in between has told nobody of an end that did not come about.
 * Z2: the folder goes last: while anything is left to tidy, the next start finds it by the folder.
 */
import { TroupeError } from "../../core/errors.ts";
import { withRetry } from "../../core/retry.ts";
import { isEnded, type LastError, type UploadState } from "../../core/shapes.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkIntake } from "./chunk-intake.ts";
import type { Journal } from "./journal.ts";
import type { MergeSteps } from "./merge-steps.ts";
import { endParts } from "./parts.ts";
import type { SessionPorts } from "./ports.ts";

interface EndingSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly epoch: number;
  readonly journal: Journal;
  readonly intake: ChunkIntake;
  readonly merge: MergeSteps;
}

interface End {
  readonly state: UploadState;
  readonly lastError: LastError | undefined;
  /** What the catalog knows now: this end, or, with its word for it, that the upload had ended otherwise or is another host's. */
  readonly known: (otherwise: TroupeError | undefined) => Promise<void>;
  /** Nothing else is done for the upload any more. */
  readonly stopped: Promise<void>;
}

/** Telling the catalog how an upload ended is not given up while the session lives. */
const END_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 10_000 };
/** The catalog knows better how the upload ended: another host took it over, or it became a file after all. */
const ENDED_OTHERWISE = ["UPLOAD_NOT_FOUND", "EPOCH_STALE", "UPLOAD_MERGED"];

export class SessionEnding {
  readonly #session: EndingSession;

  constructor(session: EndingSession) {
    this.#session = session;
  }

  /** Z1. Without a file. */
  async end({ state, lastError, known, stopped }: End, signal: AbortSignal): Promise<void> {
    const { ports, plan, epoch, merge } = this.#session;
    if (!isEnded(state) || state === "merged") throw new Error("only an upload without a file ends here");
    const ending = { uploadId: plan.uploadId, epoch, state, ...(lastError === undefined ? {} : { lastError }) };
    await known(await withRetry(END_RETRY, ports, () => this.#tellCatalog(ending), undefined, signal));
    // The rest of a long file is not hashed for nobody.
    await merge.close();
    await stopped;
    await merge.takeBack();
    await this.close(true);
  }

  /**
   * With a file: the parts it was put together from are not needed any more.
   * @param closed the upload itself is done with; its parts may take longer
   */
  async endMerged(isTidy: boolean, closed: () => void): Promise<void> {
    const { ports, plan } = this.#session;
    await this.close(isTidy);
    closed();
    const failed = (uploadId: string, error: unknown): void =>
      ports.log.warn({ uploadId, err: error }, "A part of a finished upload could not be ended; it expires.");
    await endParts(ports, plan.tus?.parts ?? [], failed);
  }

  /** Nothing of the upload is open any more. @param isTidy nothing but its folder is left, which goes, too (Z2) */
  async close(isTidy: boolean): Promise<void> {
    const { ports, plan, intake, merge, journal } = this.#session;
    await intake.idle();
    await merge.close();
    await intake.close();
    await journal.close();
    if (isTidy) await ports.disk.remove(ports.node.folderOf(plan.uploadId));
  }

  /** One line an upload: what the log of a busy server is read for. @param sizeBytes of the file it became */
  tell(state: UploadState, lastError: LastError | undefined, sizeBytes: number | undefined): void {
    const { ports, plan, owner } = this.#session;
    const { uploadId, fileId, name, createdMs } = plan;
    const facts = { uploadId, name, owner, tookMs: ports.clock.wallMs() - createdMs };
    if (state === "merged") ports.log.info({ ...facts, fileId, sizeBytes }, "An upload became a file.");
    else ports.log.info({ ...facts, state, ...(lastError === undefined ? {} : { lastError }) }, "An upload ended without a file.");
  }

  async #tellCatalog(ending: {
    uploadId: string;
    epoch: number;
    state: "cancelled" | "expired" | "failed";
  }): Promise<TroupeError | undefined> {
    const { catalog, log } = this.#session.ports;
    try {
      await catalog.endUpload(ending);
      return undefined;
    } catch (error) {
      if (!(error instanceof TroupeError) || !ENDED_OTHERWISE.includes(error.code)) throw error;
      log.warn({ uploadId: ending.uploadId, err: error }, "The upload had ended otherwise, as the catalog knows.");
      return error;
    }
  }
}
