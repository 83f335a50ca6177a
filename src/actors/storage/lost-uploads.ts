/**
 * Uploads that the catalog has open on this node, and of which the node has nothing: begun when the catalog heard of it too late, or the
 * folder was lost. They are ended as failed; until then whoever asks for one would be told to wait for its host.
 *
 * L1: only the node of that name says so, and only of uploads younger than its data directory: another disk may be mounted.
 * L2: a folder is there before the catalog hears of its upload, and until the catalog knows its end. So an upload that is still open when its
 *     folder was found missing is lost.
 */
import type { CallOptions, Client } from "../../bus/client.ts";
import type { OutputOf } from "../../bus/contract.ts";
import { type ErrorCode, TroupeError } from "../../core/errors.ts";
import { LOST_UPLOADS_INTERVAL_MS } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Disk } from "../../core/ports/disk.ts";
import { isEnded } from "../../core/shapes.ts";
import type { catalog } from "../catalog/contract.ts";

interface LostUploadsPorts {
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
      log.warn({ err: error }, "Uploads whose folders are gone could not be looked for; they are, a minute later.");
    }
  }

  /** @returns how many may be on another disk (L1) */
  async #endLost(): Promise<number> {
    const { nodeId } = this.#options;
    let olderCount = 0;
    for (let cursor: string | undefined, isMore = true; isMore; ) {
      const page: OutputOf<typeof catalog, "hostedUploads"> = await this.#ports.catalog.hostedUploads(
        { host: nodeId, ...(cursor === undefined ? {} : { cursor }) },
        this.#call,
      );
      for (const uploadId of page.uploadIds) if (await this.#isOlder(uploadId)) olderCount += 1;
      cursor = page.cursor;
      isMore = cursor !== undefined;
    }
    return olderCount;
  }

  /** One upload is ended if it is lost. @returns whether it may be on another disk (L1) */
  async #isOlder(uploadId: string): Promise<boolean> {
    const { directoryMadeMs, folderOf, isHosted } = this.#options;
    if (isHosted(uploadId) || (await this.#ports.disk.status(folderOf(uploadId))) !== undefined) return false;
    try {
      // L2: how it is now, not when it was found.
      const { state, createdMs, epoch } = await this.#ports.catalog.upload({ uploadId }, this.#call);
      if (!isEnded(state) && createdMs < directoryMadeMs) return true;
      if (!isEnded(state)) await this.#end(uploadId, epoch);
    } catch (error) {
      // It ended, or went to another host, at this moment.
      if (!(error instanceof TroupeError && GONE_ON.has(error.code))) throw error;
    }
    return false;
  }

  async #end(uploadId: string, after: number): Promise<void> {
    const { catalog, log } = this.#ports;
    const { epoch } = await catalog.claimUpload({ uploadId, host: this.#options.nodeId, after }, this.#call);
    const lastError = { code: "UPLOAD_NOT_FOUND", detail: "The upload's folder is not on its node any more.", retryable: false };
    await catalog.endUpload({ uploadId, epoch, state: "failed", lastError }, this.#call);
    log.warn({ uploadId }, "An upload of this node had no folder: it has failed.");
  }

  get #call(): CallOptions {
    return { signal: this.#stopping.signal };
  }
}
