/** An upload that a client asked for, whether or not it was answered. */
import type { EndedState, UploadState } from "../../../src/core/shapes.ts";
import type { Content } from "./content.ts";
import { mayHaveHappened, type Wish } from "./history.ts";

/** `chunks`: to be filled and merged. `whole`: one body, by PUT or as a form; both become a file without a request of their own. */
export type UploadWay = "chunks" | "whole" | "tus";

export interface UploadWish {
  readonly operation: number;
  readonly owner: string;
  readonly app: string;
  readonly user: string;
  readonly name: string;
  readonly content: Content;
  readonly way: UploadWay;
  readonly key: string | undefined;
  /** A digest was claimed that the content does not have: it must never become a file. */
  readonly isFalse: boolean;
  /** With the digest of content that is known, it is a file at once. */
  readonly claimsDigest: boolean;
  /** It is there to become part of others, and never a file itself (tus). */
  readonly isPartial: boolean;
  readonly askedMs: number;
}

export interface KnownChunk {
  /** What was sent for it, acknowledged or not. */
  readonly sent: Content[];
  /** What was acknowledged: stays. */
  acknowledged: Content | undefined;
  acknowledgedMs: number;
}

export class KnownUpload {
  readonly operation: number;
  readonly owner: string;
  readonly app: string;
  readonly user: string;
  readonly name: string;
  readonly content: Content;
  readonly way: UploadWay;
  readonly key: string | undefined;
  readonly isFalse: boolean;
  readonly claimsDigest: boolean;
  readonly isPartial: boolean;
  readonly askedMs: number;
  /** It is made of others' bytes (tus). */
  isPutTogether = false;
  /** Those others, as far as they are known. */
  parts: readonly KnownUpload[] = [];
  /** Absent until an answer told it. */
  uploadId: string | undefined;
  /** Absent until an answer told it. */
  fileId: string | undefined;
  /** Absent until an answer told it. */
  chunkBytes: number | undefined;
  /** By index. */
  readonly chunks = new Map<number, KnownChunk>();
  /** tus: so many bytes from the beginning were acknowledged; and so many were ever sent. */
  offsetBytes = 0;
  sentBytes = 0;
  readonly merges: Wish[] = [];
  readonly cancels: Wish[] = [];
  /** tus: also deletes the file that it has become. */
  readonly terminations: Wish[] = [];
  /** Of a proof of possession that was right: it may become a file by that. */
  isProven = false;
  /** The last state a client saw, and when that question had been asked. */
  lastState: UploadState | undefined;
  lastStateMs = 0;
  /** A final state that was told, and when. */
  end: { readonly state: EndedState; readonly toldMs: number } | undefined;
  /** When the last request was sent that was acknowledged and that the upload was kept alive by. */
  touchedMs: number | undefined;

  constructor(wish: UploadWish) {
    this.operation = wish.operation;
    this.owner = wish.owner;
    this.app = wish.app;
    this.user = wish.user;
    this.name = wish.name;
    this.content = wish.content;
    this.way = wish.way;
    this.key = wish.key;
    this.isFalse = wish.isFalse;
    this.claimsDigest = wish.claimsDigest;
    this.isPartial = wish.isPartial;
    this.askedMs = wish.askedMs;
  }

  get chunkCount(): number {
    return this.chunkBytes === undefined ? 0 : Math.ceil(this.content.sizeBytes / this.chunkBytes);
  }

  /** Bytes a chunk has to have. */
  chunkLength(index: number): number {
    const { chunkBytes = 0, content } = this;
    return Math.max(0, Math.min(chunkBytes, content.sizeBytes - index * chunkBytes));
  }

  chunk(index: number): KnownChunk {
    let chunk = this.chunks.get(index);
    if (chunk === undefined) {
      chunk = { sent: [], acknowledged: undefined, acknowledgedMs: 0 };
      this.chunks.set(index, chunk);
    }
    return chunk;
  }

  /** Acknowledged before then. */
  hasChunk(index: number, beforeMs: number): boolean {
    const chunk = this.chunks.get(index);
    return chunk?.acknowledged !== undefined && chunk.acknowledgedMs < beforeMs;
  }

  hasAllChunks(beforeMs: number): boolean {
    if (this.chunkBytes === undefined) return false;
    for (let index = 0; index < this.chunkCount; index += 1) if (!this.hasChunk(index, beforeMs)) return false;
    return true;
  }

  touched(sentMs: number): void {
    this.touchedMs = Math.max(this.touchedMs ?? 0, sentMs);
  }

  get isCancelAsked(): boolean {
    return this.cancels.some(mayHaveHappened) || this.terminations.some(mayHaveHappened);
  }

  /** A file may have come of it, or may yet: it was asked for in whatever way, and no other end was told. */
  get mayBeFile(): boolean {
    if (this.isFalse || this.isPartial || (this.end !== undefined && this.end.state !== "merged")) return false;
    if (this.way === "whole") return true;
    if (this.way === "tus") return this.sentBytes >= this.content.sizeBytes;
    return (this.claimsDigest && this.uploadId === undefined) || this.isProven || this.merges.some(mayHaveHappened);
  }
}
