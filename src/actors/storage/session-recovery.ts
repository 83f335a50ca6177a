/**
 * What a node does at its start with the folders of uploads that it finds.
 *
 * R1: the catalog decides: what has ended is removed, with what a commit that did not happen left among the blobs; the rest goes on with a
 *     new epoch, also what the catalog has lost: absence is never a delete.
 * R2: what uploads have recorded as their blobs' IDs is known before any upload goes on, so that the node can say so to the allocators: they
 *     give none of them out again, also when their database was lost before the blobs were there.
 * R3: an upload that the catalog does not know is registered with the key it was created with, as long as keys are kept. Whoever asked for
 *     it may have asked another node again meanwhile: then it goes, unless something was received, with which it goes on without its key.
 * R4: what the former life of the node has said of an upload may still be on its way. So one that is registered again is claimed, too, before
 *     anything is received: what is late names an epoch that is over.
 */
import type { CallOptions, Client } from "../../bus/client.ts";
import type { OutputOf } from "../../bus/contract.ts";
import type { BlobPlace } from "../../core/blob-path.ts";
import { isRetryable, TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";
import { OPERATION_KEPT_MS } from "../../core/limits.ts";
import { type Counter, SILENT_METRICS } from "../../core/ports/metrics.ts";
import { withRetry } from "../../core/retry.ts";
import { isEnded, type Operation } from "../../core/shapes.ts";
import type { catalog } from "../catalog/contract.ts";
import type { SessionPorts, UploadCreation } from "../upload/ports.ts";
import type { Layout } from "./layout.ts";
import type { Sessions } from "./sessions.ts";

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
  /** Makes whole and durable what a creation that was cut off has left behind its journal. */
  readonly finishFolder: (folder: string, creation: UploadCreation) => Promise<void>;
}

type Claimed = OutputOf<typeof catalog, "claimUpload">;

const RECOVER_RETRY = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 100, pauseMaxMs: 5_000 };
const RECOVER_AT_ONCE = 8;

export class SessionRecovery {
  readonly #ports: SessionPorts;
  readonly #options: SessionRecoveryOptions;
  readonly #sessions: Pick<Sessions, "host" | "forgotten">;
  /** What folders were found to hold at the start, until their uploads are taken up. */
  readonly #recorded = new Map<string, RecordedUpload>();
  /** Blobs that uploads which were taken up again had published, or were about to. */
  readonly #committing = new Set<number>();
  readonly #later = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #recovered: Counter;

  constructor(ports: SessionPorts, options: SessionRecoveryOptions, sessions: Pick<Sessions, "host" | "forgotten">) {
    this.#ports = ports;
    this.#options = options;
    this.#sessions = sessions;
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

  /** Some at a time. When one fails no other is begun, and none goes on when this rejects. */
  async #ofEach(entries: readonly { readonly name: string }[], work: (uploadId: string) => Promise<void>): Promise<void> {
    const names = entries.map(({ name }) => name).filter(isIdentity);
    const next = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) await work(name);
    };
    const ends = await Promise.allSettled(
      Array.from({ length: RECOVER_AT_ONCE }, () =>
        next().catch((error: unknown) => {
          names.length = 0;
          throw error;
        }),
      ),
    );
    for (const end of ends) if (end.status === "rejected") throw end.reason;
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
    const { disk, node } = this.#ports;
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
    if (recorded === undefined) {
      await this.#endWithoutJournal(uploadId, isEmpty);
      return false;
    }
    const { owner, commitPlan } = recorded;
    if (commitPlan !== undefined) this.#committing.add(commitPlan.blobId);
    const claimed = (await this.#claim(uploadId)) ?? (await this.#registerAgain(recorded));
    if (claimed !== undefined && !isEnded(claimed.state)) {
      await this.#sessions.host(uploadId, claimed.epoch, owner);
      this.#recovered.add();
      return true;
    }
    if (claimed === undefined) this.#sessions.forgotten(uploadId);
    else if (commitPlan !== undefined) await node.discardUnlessKnown(commitPlan);
    await disk.remove(folder);
    return false;
  }

  async #endWithoutJournal(uploadId: string, isEmpty: boolean): Promise<void> {
    const { disk, log, node } = this.#ports;
    const claimed = await this.#claim(uploadId);
    // What is empty and unknown was cut off before anybody heard of it, and nothing can have been sent to it.
    const isOver = claimed === undefined ? isEmpty : isEnded(claimed.state);
    if (!isOver) {
      log.error({ uploadId }, "An upload cannot go on: it has no journal that can be read.");
      if (claimed === undefined) return;
      // With its journal what it had received is gone.
      const detail = "The upload's journal on its node can no longer be read.";
      const lastError = { code: "DISK_FAILED", detail, retryable: false };
      await this.#catalog.endUpload({ uploadId, epoch: claimed.epoch, state: "failed", lastError }, this.#call);
    }
    await disk.remove(node.folderOf(uploadId));
  }

  /**
   * If it was never answered for, it expires like any other.
   * @returns absent when its key stands for something else by now, and nothing was received (R3)
   */
  async #registerAgain(recorded: RecordedUpload): Promise<Claimed | undefined> {
    const { plan, operation, isUntouched } = recorded;
    const { uploadId } = plan;
    const { clock, log, node } = this.#ports;
    // As in a creation: the folder is durable before the catalog hears of it.
    if (isUntouched) await this.#options.finishFolder(node.folderOf(uploadId), recorded);
    const isKeyKept = clock.wallMs() < plan.createdMs + OPERATION_KEPT_MS;
    if (!(await this.#register(recorded, isKeyKept ? operation : undefined))) {
      if (isUntouched) {
        log.info({ uploadId }, "Nothing was sent to an upload whose key stands for something else by now; its folder is removed.");
        return undefined;
      }
      await this.#register(recorded, undefined);
    }
    log.warn({ uploadId }, "The catalog did not know an upload that is on this disk; it is registered again.");
    // R4
    const claimed = await this.#claim(uploadId);
    if (claimed === undefined) throw new TroupeError("HOST_UNAVAILABLE", "A word that came late made the catalog forget the upload again.");
    return claimed;
  }

  /** @returns false when the key stands for something else */
  async #register({ plan, owner }: RecordedUpload, operation: Operation | undefined): Promise<boolean> {
    const { nodeId, group } = this.#ports.node;
    const registration = { ...plan, host: nodeId, group, ...(operation === undefined ? {} : { operation }) };
    try {
      const { uploadId } = await this.#catalog.registerUpload(registration, { ...this.#call, principal: { owner } });
      return uploadId === plan.uploadId;
    } catch (error) {
      if (operation !== undefined && error instanceof TroupeError && error.code === "IDEMPOTENCY_CONFLICT") return false;
      throw error;
    }
  }

  async #claim(uploadId: string): Promise<Claimed | undefined> {
    try {
      const { epoch: after } = await this.#catalog.upload({ uploadId }, this.#call);
      return await this.#catalog.claimUpload({ uploadId, host: this.#ports.node.nodeId, after }, this.#call);
    } catch (error) {
      if (error instanceof TroupeError && error.code === "UPLOAD_NOT_FOUND") return undefined;
      throw error;
    }
  }

  /** Who stops waits for no answer. */
  get #call(): CallOptions {
    return { signal: this.#stopping.signal };
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
