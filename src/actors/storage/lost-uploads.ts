/**
 * Uploads that the catalog has open on this node, and of which the node has nothing: begun when the catalog heard of it too late, or the
 * folder was lost. They are ended; until then whoever asks for one would be told to wait for its host.
 *
 * L1: only the node of that name says so, only while its data directory is the one it began with, and only of uploads younger than that:
 *     another disk may be mounted, or none.
 * L2: a folder is there before the catalog hears of its upload, and until the catalog knows its end. So an upload that is still open when its
 *     folder was found missing is lost.
 * L3: whoever answers for an upload has it. A process that stood still does not know yet that its name is another's, where its uploads go on.
 * L4: one that cannot be looked at keeps no other from being looked at.
 */
import { type CallOptions, type Client, client, isNoResponders } from "../../bus/client.ts";
import type { OutputOf } from "../../bus/contract.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { LOST_UPLOADS_INTERVAL_MS, PAGE_ITEMS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Bus } from "../../core/ports/bus.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import { isEnded } from "../../core/shapes.ts";
import type { catalog } from "../catalog/contract.ts";
import { upload } from "../upload/contract.ts";

interface LostUploadsPorts {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly disk: Pick<Disk, "status">;
  readonly log: Log;
  readonly catalog: Pick<Client<typeof catalog>, "hostedUploads" | "upload" | "claimUpload" | "endUpload">;
}

interface LostUploadsOptions {
  readonly nodeId: string;
  /** Wall time. */
  readonly directoryMadeMs: number;
  readonly folderOf: (uploadId: string) => string;
  readonly isHosted: (uploadId: string) => boolean;
  /** Its creation failed here, and nobody was told of it. */
  readonly isForgotten: (uploadId: string) => boolean;
  /** The data directory is the one the node began with. */
  readonly isDirectoryThere: () => Promise<boolean>;
  /** Trackers know this node as the one of its name (L1). */
  readonly hasName: () => boolean;
}

const GONE_ON: ReadonlySet<ErrorCode> = new Set(["UPLOAD_NOT_FOUND", "UPLOAD_MERGED", "EPOCH_STALE"]);

export class LostUploads {
  readonly #ports: LostUploadsPorts;
  readonly #options: LostUploadsOptions;
  readonly #stopping = new AbortController();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  /** As it was logged last. */
  #olderCount = 0;

  constructor(ports: LostUploadsPorts, options: LostUploadsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Looks now and then, from now on. */
  start(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#ports.clock.setTimer(LOST_UPLOADS_INTERVAL_MS, () => {
      this.#looking = (this.#options.hasName() ? this.look() : Promise.resolve()).then(() => this.start());
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Never rejects. */
  async look(): Promise<void> {
    const { log } = this.#ports;
    try {
      const olderCount = await this.#endLost();
      if (olderCount > 0 && olderCount !== this.#olderCount)
        log.error(
          { uploads: olderCount },
          "The catalog has uploads on this node that are older than its data directory. Is the right disk mounted? They are left as they are.",
        );
      this.#olderCount = olderCount;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      log.warn({ err: error }, "Some uploads whose folders may be gone could not be looked at; they are again in a minute.");
    }
  }

  /** @returns how many may be on another disk (L1). @throws the first error, after all were looked at (L4) */
  async #endLost(): Promise<number> {
    let failure: { readonly error: unknown } | undefined;
    let olderCount = 0;
    for (let cursor: string | undefined, isMore = true; isMore; ) {
      const page: OutputOf<typeof catalog, "hostedUploads"> = await this.#ports.catalog.hostedUploads(
        { host: this.#options.nodeId, limit: PAGE_ITEMS_MAX, ...(cursor === undefined ? {} : { cursor }) },
        this.#call,
      );
      for (const uploadId of page.uploadIds) {
        if (this.#stopping.signal.aborted) return olderCount;
        try {
          if (await this.#isOlder(uploadId)) olderCount += 1;
        } catch (error) {
          failure ??= { error };
        }
      }
      cursor = page.cursor;
      isMore = cursor !== undefined;
    }
    if (failure !== undefined) throw failure.error;
    return olderCount;
  }

  /** One upload is ended if it is lost. @returns whether it may be on another disk (L1) */
  async #isOlder(uploadId: string): Promise<boolean> {
    const { nodeId, directoryMadeMs, isHosted } = this.#options;
    if (isHosted(uploadId) || !(await this.#isFolderGone(uploadId))) return false;
    try {
      // L2: how it is now, not when it was found.
      const { state, host, createdMs, epoch } = await this.#ports.catalog.upload({ uploadId }, this.#call);
      if (isEnded(state) || host !== nodeId || (await this.#isAnsweredFor(uploadId))) return false;
      if (createdMs < directoryMadeMs) return true;
      await this.#end(uploadId, epoch);
    } catch (error) {
      // It ended, or went to another host, at this moment.
      if (!(error instanceof TroupeError && GONE_ON.has(error.code))) throw error;
    }
    return false;
  }

  /** @throws {TroupeError} `DISK_FAILED` where nothing can be said (L1) */
  async #isFolderGone(uploadId: string): Promise<boolean> {
    const { folderOf, isDirectoryThere } = this.#options;
    const isGone = async (): Promise<boolean> => (await this.#ports.disk.status(folderOf(uploadId))) === undefined;
    if (!(await isGone())) return false;
    if (!(await isDirectoryThere())) throw new TroupeError("DISK_FAILED", "The data directory is not there any more. Is its disk mounted?");
    // It may have come back in between.
    return await isGone();
  }

  /** L3 */
  async #isAnsweredFor(uploadId: string): Promise<boolean> {
    try {
      await client(this.#ports.bus, upload, { uploadId }).status({}, this.#call);
      return true;
    } catch (error) {
      return !isNoResponders(error);
    }
  }

  async #end(uploadId: string, after: number): Promise<void> {
    const { catalog, log } = this.#ports;
    const { epoch, state } = await catalog.claimUpload({ uploadId, host: this.#options.nodeId, after }, this.#call);
    if (isEnded(state)) return;
    const lastError = { code: "UPLOAD_NOT_FOUND", detail: "The upload's folder is not on its node any more.", retryable: false };
    // Of a creation that failed nothing stays, so that its key can be used again.
    const end = this.#options.isForgotten(uploadId)
      ? ({ state: "cancelled", isForgotten: true } as const)
      : ({ state: "failed", lastError } as const);
    await catalog.endUpload({ uploadId, epoch, ...end }, this.#call);
    log.warn({ uploadId, state: end.state }, "The catalog had an upload of this node that is not on its disk: it is ended.");
  }

  get #call(): CallOptions {
    return { signal: this.#stopping.signal };
  }
}
