/**
 * What a node does at its start with the folders of uploads that it finds.
 *
 * R1: the catalog decides: what has ended is removed, with what a commit that did not happen left among the blobs; the rest goes on with a
 *     new epoch, also what the catalog has lost: absence is never a delete.
 * R2: what uploads have recorded as their blobs' IDs is known before any upload goes on, so that the node can say so to the allocators: they
 *     give none of them out again, also when their database was lost before the blobs were there.
 * R3: an upload that the catalog does not know is registered with the key it was created with. Whoever asked for it may have asked another
 *     node again meanwhile: of two folders of one operation one goes on.
 */
import type { Client } from "../../bus/client.ts";
import type { OutputOf } from "../../bus/contract.ts";
import type { BlobPlace } from "../../core/blob-path.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { type Counter, SILENT_METRICS } from "../../core/ports/metrics.ts";
import { withRetry } from "../../core/retry.ts";
import { isEnded } from "../../core/shapes.ts";
import type { catalog } from "../catalog/contract.ts";
import type { SessionPorts, UploadCreation } from "../upload/ports.ts";
import type { Layout } from "./layout.ts";

export interface RecordedUpload extends UploadCreation {
  /** Where its blob was to be, once that was decided. */
  readonly commitPlan: BlobPlace | undefined;
  /** Nothing was recorded since it was created: perhaps nobody was told of it. */
  readonly isUntouched: boolean;
}

export interface SessionRecoveryOptions {
  readonly layout: Layout;
  /** What a folder's journal says. @throws {TroupeError} `FORMAT_TOO_NEW`; `DISK_FAILED` when it cannot be read */
  readonly readFolder: (folder: string) => Promise<RecordedUpload>;
}

const RECOVER_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 5_000 };
const RECOVER_AT_ONCE = 8;

export class SessionRecovery {
  readonly #ports: SessionPorts;
  readonly #options: SessionRecoveryOptions;
  readonly #host: (uploadId: string, epoch: number, owner: string) => Promise<void>;
  /** What folders were found to hold at the start, until their uploads are taken up. */
  readonly #recorded = new Map<string, RecordedUpload>();
  /** Blobs that uploads which were taken up again had published, or were about to. */
  readonly #committing = new Set<number>();
  readonly #later = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #recovered: Counter;

  /** @param host opens an upload's session, which goes on from here */
  constructor(
    ports: SessionPorts,
    options: SessionRecoveryOptions,
    host: (uploadId: string, epoch: number, owner: string) => Promise<void>,
  ) {
    this.#ports = ports;
    this.#options = options;
    this.#host = host;
    const { metrics = SILENT_METRICS } = ports;
    this.#recovered = metrics.counter("troupe_uploads_opened_total", { how: "recovered" });
  }

  /**
   * Reads what there is to recover, before anything of it goes on (R2). What cannot be read is told of when it is taken up.
   * @returns the highest blob ID that an upload has recorded for its commit
   */
  async readRecorded(): Promise<number | undefined> {
    const { disk, node } = this.#ports;
    let highest: number | undefined;
    await this.#ofEach(await disk.readDirectory(this.#options.layout.uploads), async (uploadId) => {
      const recorded = await this.#options.readFolder(node.folderOf(uploadId)).catch(() => undefined);
      if (recorded === undefined) return;
      const { plan, owner, operation, commitPlan, isUntouched } = recorded;
      this.#recorded.set(uploadId, { plan, owner, operation, commitPlan, isUntouched });
      if (commitPlan !== undefined) highest = Math.max(commitPlan.blobId, highest ?? 0);
    });
    return highest;
  }

  /**
   * Resolves when every upload in the data directory is hosted again or gone (R1).
   * @returns blobs whose commit may not have happened when the node ended
   */
  async recover(): Promise<ReadonlySet<number>> {
    const { disk, log } = this.#ports;
    const entries = await disk.readDirectory(this.#options.layout.uploads);
    for (const { name } of entries)
      if (!isIdentity(name)) log.warn({ name }, "The uploads folder holds something that is no upload; it is left alone.");
    let recovered = 0;
    await this.#ofEach(entries, async (uploadId) => {
      if (await this.#recover(uploadId)) recovered += 1;
    });
    if (recovered > 0) log.info({ recovered }, "Uploads go on after a restart.");
    return this.#committing;
  }

  /** Nothing is taken up any more once it resolves. */
  async stop(): Promise<void> {
    this.#stopping.abort(new TroupeError("STOPPING"));
    await Promise.allSettled(this.#later);
  }

  /** Some at a time. */
  async #ofEach(entries: readonly { readonly name: string }[], work: (uploadId: string) => Promise<void>): Promise<void> {
    const names = entries.map(({ name }) => name).filter(isIdentity);
    const next = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) await work(name);
    };
    await Promise.all(Array.from({ length: RECOVER_AT_ONCE }, next));
  }

  /** Once, at the start; what the catalog cannot answer now is found out later, and the node serves meanwhile. */
  async #recover(uploadId: string): Promise<boolean> {
    try {
      return await this.#takeUp(uploadId);
    } catch (error) {
      if (error instanceof TroupeError && error.code === "FORMAT_TOO_NEW") throw error;
      if (isRetryable(error) && !isUnreadable(error)) this.#takeUpLater(uploadId, error);
      else
        this.#ports.log.error(
          { uploadId, err: error },
          "An upload cannot be taken up again; its folder is left as it is, and everything else goes on.",
        );
      return false;
    }
  }

  #takeUpLater(uploadId: string, reason: unknown): void {
    this.#ports.log.warn({ uploadId, err: reason }, "An upload cannot be taken up yet; it is tried again.");
    const later = withRetry(RECOVER_RETRY, this.#ports, () => this.#takeUp(uploadId), isRetryable, this.#stopping.signal)
      .then(() => undefined)
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#ports.log.error({ uploadId, err: error }, "An upload cannot be taken up again; its folder is left as it is.");
      })
      .finally(() => this.#later.delete(later));
    this.#later.add(later);
  }

  /** R1. @returns whether the upload goes on */
  async #takeUp(uploadId: string): Promise<boolean> {
    const { disk, log, node } = this.#ports;
    const folder = node.folderOf(uploadId);
    let isEmpty = false;
    const read = this.#recorded.get(uploadId);
    this.#recorded.delete(uploadId);
    const recorded =
      read ??
      (await this.#options.readFolder(folder).catch((error: unknown) => {
        if (!isUnreadable(error)) throw error;
        isEmpty = isWithoutEntries(error);
        return undefined;
      }));
    if (recorded?.commitPlan !== undefined) this.#committing.add(recorded.commitPlan.blobId);
    const claimed = await this.#claim(uploadId);
    if (claimed !== undefined && isEnded(claimed.state)) {
      if (recorded?.commitPlan !== undefined) await node.discardUnlessKnown(recorded.commitPlan);
      await disk.remove(folder);
      return false;
    }
    if (recorded === undefined && claimed === undefined && isEmpty) {
      // Its creation was cut off before anybody heard of it, and nothing can have been sent to it.
      await disk.remove(folder);
      return false;
    }
    if (recorded === undefined) {
      // Its journal is gone, and with it what it had received.
      const detail = "The upload's journal on its node can no longer be read.";
      log.error({ uploadId }, "An upload cannot go on: it has no journal that can be read.");
      if (claimed !== undefined) {
        await this.#catalog.endUpload({
          uploadId,
          epoch: claimed.epoch,
          state: "failed",
          lastError: { code: "DISK_FAILED", detail, retryable: false },
        });
        await disk.remove(folder);
      }
      return false;
    }
    const epoch = claimed?.epoch ?? (await this.#registerAgain(recorded));
    if (epoch === undefined) {
      log.info({ uploadId }, "An upload of which nobody was told was begun again elsewhere; its folder is removed.");
      await disk.remove(folder);
      return false;
    }
    await this.#host(uploadId, epoch, recorded.owner);
    this.#recovered.add();
    return true;
  }

  /**
   * If it was never answered for, it expires like any other.
   * @returns its epoch; `undefined` when its key stands for something else by now (R3). Not where something was received: absence in the
   * catalog is no reason to lose it (R1), and it goes on without its key.
   */
  async #registerAgain({ plan, owner, operation, isUntouched }: RecordedUpload): Promise<number | undefined> {
    const { node, log } = this.#ports;
    const registration = { ...plan, host: node.nodeId, group: node.group };
    const options = { principal: { owner } };
    log.warn({ uploadId: plan.uploadId }, "The catalog does not know an upload that is on this disk; it is registered again.");
    if (operation !== undefined) {
      try {
        const { uploadId, epoch } = await this.#catalog.registerUpload({ ...registration, operation }, options);
        if (uploadId === plan.uploadId) return epoch;
      } catch (error) {
        if (!(error instanceof TroupeError) || error.code !== "IDEMPOTENCY_CONFLICT") throw error;
      }
      if (isUntouched) return undefined;
    }
    return (await this.#catalog.registerUpload(registration, options)).epoch;
  }

  async #claim(uploadId: string): Promise<OutputOf<typeof catalog, "claimUpload"> | undefined> {
    try {
      const { epoch: after } = await this.#catalog.upload({ uploadId });
      return await this.#catalog.claimUpload({ uploadId, host: this.#ports.node.nodeId, after });
    } catch (error) {
      if (error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND") return undefined;
      throw error;
    }
  }

  get #catalog(): Client<typeof catalog> {
    return this.#ports.catalog;
  }
}

/** There is no journal, or nothing in it: chunks are recorded after it was begun, and only by what was begun. */
function isWithoutEntries(error: unknown): boolean {
  return error instanceof TroupeError && ["NO_ENTRIES", "ENOENT"].includes(String(error.facts["errno"]));
}

/** A folder without a journal, or with one that says nothing. A disk that cannot read says nothing of the kind: it is asked again. */
function isUnreadable(error: unknown): boolean {
  return error instanceof TroupeError && ["NO_PLAN", "NO_ENTRIES", "ENOENT", "EISDIR", "ENOTDIR"].includes(String(error.facts["errno"]));
}
