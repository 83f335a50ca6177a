/** A file of which a client was told that it is there. */
import { DELETE_VISIBLE_MS_MAX } from "../../../src/core/limits.ts";
import type { Content } from "./content.ts";
import { mayHaveHappened, type Wish } from "./history.ts";
import type { KnownUpload } from "./known-upload.ts";

export interface Rename extends Wish {
  readonly name: string;
}

export class KnownFile {
  readonly fileId: string;
  /** What it came of: owner, labels and first name are there. */
  readonly upload: KnownUpload;
  /** When a client was told first. */
  readonly acknowledgedMs: number;
  readonly renames: Rename[] = [];
  readonly deletes: Wish[] = [];
  /** Absent until an answer told it. */
  tag: string | undefined;

  constructor(fileId: string, upload: KnownUpload, acknowledgedMs: number) {
    this.fileId = fileId;
    this.upload = upload;
    this.acknowledgedMs = acknowledgedMs;
  }

  get owner(): string {
    return this.upload.owner;
  }

  get user(): string {
    return this.upload.user;
  }

  get app(): string {
    return this.upload.app;
  }

  get content(): Content {
    return this.upload.content;
  }

  /** From then on it may be gone. Who terminates an upload of tus that has become a file deletes the file. */
  get isDeleteAsked(): boolean {
    return this.#removals.some(mayHaveHappened);
  }

  /** When a client was told first that it is gone. */
  get deletedMs(): number | undefined {
    return this.#firstDelete()?.endedMs;
  }

  /** Whether a request that was sent then to this life of a gateway must not find it any more. */
  mustBeGone(sentMs: number, gateway: string): boolean {
    return this.#removals.some(
      ({ state, endedMs, gateway: deletedAt }) =>
        state === "acknowledged" && endedMs !== undefined && sentMs > endedMs + (gateway === deletedAt ? 0 : DELETE_VISIBLE_MS_MAX),
    );
  }

  /**
   * The names it may have, or may have had at some moment since `sinceMs`: those of requests that another one, asked for after they had ended,
   * has not put away by then.
   */
  possibleNames(sinceMs: number): Set<string> {
    const renames = this.renames.filter(mayHaveHappened);
    const isPutAway = (endedMs: number | undefined, isEnded: boolean): boolean =>
      isEnded &&
      endedMs !== undefined &&
      renames.some((later) => later.state === "acknowledged" && later.askedMs > endedMs && (later.endedMs ?? sinceMs) < sinceMs);
    const names = new Set<string>();
    if (!isPutAway(this.acknowledgedMs, true)) names.add(this.upload.name);
    for (const { name, state, endedMs } of renames) if (!isPutAway(endedMs, state === "acknowledged")) names.add(name);
    return names;
  }

  get #removals(): readonly Wish[] {
    return this.upload.terminations.length === 0 ? this.deletes : [...this.deletes, ...this.upload.terminations];
  }

  #firstDelete(): Wish | undefined {
    return this.#removals
      .filter(({ state }) => state === "acknowledged")
      .sort((one, other) => (one.endedMs ?? 0) - (other.endedMs ?? 0))[0];
  }
}
