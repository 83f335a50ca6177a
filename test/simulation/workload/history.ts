/**
 * What clients asked of the cluster and what they were told. From it follows what must be, what must not be, and what may be: a request without
 * an answer may have been carried out, once, or not at all.
 *
 * H1: it knows only what clients know. What an actor did is not here.
 * H2: a wish is written down before it is sent; its end when the answer has come, or nobody waits for it any more.
 */
import type { ErrorCode } from "../../../src/core/errors.ts";
import type { KnownFile } from "./known-file.ts";
import type { KnownUpload } from "./known-upload.ts";

/** How an operation of the plan ended, as its client saw it. */
export type Outcome =
  | { readonly kind: "done" }
  /** Definite: sending the same again would not help. Otherwise it may have happened, or may yet. */
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly isDefinite: boolean }
  /** The client gave up waiting, or died. */
  | { readonly kind: "unknown" };

export interface OperationRecord {
  /** Its place in the plan. */
  readonly id: number;
  readonly client: string;
  readonly kind: string;
  readonly beganMs: number;
  endedMs: number | undefined;
  outcome: Outcome | undefined;
}

/** A request that changes something. */
export interface Wish {
  /** The operation that it belongs to. */
  readonly operation: number;
  /** Name and life of the gateway that was asked: `gateway1#2`. */
  gateway: string;
  readonly askedMs: number;
  endedMs: number | undefined;
  /** `open`: no answer yet. Then, and when its outcome is unknown, it may have happened and may yet happen. */
  state: "open" | "acknowledged" | "refused" | "unknown";
}

export class History {
  /** By their place in the plan. */
  readonly operations = new Map<number, OperationRecord>();
  /** In the order in which they were asked for. */
  readonly uploads: KnownUpload[] = [];
  /** Those that were acknowledged, by ID, in that order. */
  readonly files = new Map<string, KnownFile>();
  readonly #uploadsById = new Map<string, KnownUpload>();
  readonly #uploadsByKey = new Map<string, KnownUpload>();

  addUpload(upload: KnownUpload): void {
    this.uploads.push(upload);
    if (upload.key !== undefined) this.#uploadsByKey.set(`${upload.owner} ${upload.key}`, upload);
  }

  /** The upload that was asked for with this idempotency key. */
  uploadOfKey(owner: string, key: string): KnownUpload | undefined {
    return this.#uploadsByKey.get(`${owner} ${key}`);
  }

  /** The upload has an address now. */
  named(upload: KnownUpload, uploadId: string): void {
    upload.uploadId = uploadId;
    this.#uploadsById.set(uploadId, upload);
  }

  upload(uploadId: string): KnownUpload | undefined {
    return this.#uploadsById.get(uploadId);
  }

  addFile(file: KnownFile): void {
    this.files.set(file.fileId, file);
  }

  /** Of one owner, in the order in which they were acknowledged, without those whose deletion was asked for. */
  filesOf(owner: string): KnownFile[] {
    return [...this.files.values()].filter((file) => file.owner === owner && !file.isDeleteAsked);
  }

  /** Uploads of which a file may have come that nobody was told of: each at most one. */
  get uploadsInDoubt(): KnownUpload[] {
    return this.uploads.filter((upload) => upload.fileId === undefined && upload.mayBeFile);
  }
}

/** A wish that is about to be sent. */
export function openWish(operation: number, gateway: string, askedMs: number): Wish {
  return { operation, gateway, askedMs, endedMs: undefined, state: "open" };
}

/** @param gateway that knows it from now on, if it is not the one that was asked */
export function endWish(wish: Wish, state: "acknowledged" | "refused" | "unknown", endedMs: number, gateway = wish.gateway): void {
  wish.gateway = gateway;
  wish.state = state;
  wish.endedMs = endedMs;
}

/** It may have happened by now. */
export const mayHaveHappened = (wish: Wish): boolean => wish.state !== "refused";
