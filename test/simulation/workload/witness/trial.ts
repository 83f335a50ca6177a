/** One exchange under the eyes of the witness: what is known before, and what its answer says about it. */
import type { TroupeError } from "../../../../src/core/errors.ts";
import type { HttpHeaders } from "../../../../src/core/ports/http-exchange.ts";
import { ENDED_CODES, type EndedState } from "../../../../src/core/shapes.ts";
import { SETTINGS } from "../../cluster.ts";
import type { World } from "../../world.ts";
import type { Content } from "../content.ts";
import { endWish, type History, openWish, type Wish } from "../history.ts";
import type { KnownUpload } from "../known-upload.ts";
import { type Disks, isExplained } from "./excuses.ts";

/** What whoever sends a request knows about it, and the request does not say. */
export interface Intent {
  readonly operation: number;
  readonly owner: string;
  /** Of what is sent. */
  readonly content?: Content | undefined;
  /** A proof or a checksum is wrong on purpose. */
  readonly lies?: boolean | undefined;
}

/** A request, sent. */
export interface Asked extends Intent {
  readonly world: World;
  readonly history: History;
  /** Name and life of the gateway. */
  readonly gateway: string;
  readonly disks: Disks;
  readonly sentMs: number;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: HttpHeaders;
  /** Of a body that is no stream. */
  readonly text: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly text: string;
}

export interface Trial {
  /** All of the answer has come, and it is no error. */
  answered(answer: Answer): void;
  /** An error that asking again would not change. @returns what is wrong with it, `undefined` when it is as it should be */
  refused(error: TroupeError): string | undefined;
  /** No answer, or one that leaves it open. */
  lost(): void;
  /** The answer has begun. */
  opened?(answer: Omit<Answer, "text">): void;
  /** Bytes of a file. @returns false when nobody should get to see them */
  block?(bytes: Uint8Array): void;
}

export const NO_LOSS = (): void => undefined;

/** A rule is broken. */
export function violate({ world, method, path, gateway }: Asked, rule: string, sentence: string): void {
  world.violate(rule, `${method} ${path} at ${gateway}: ${sentence}`);
}

/** No gateway has this name. */
const NOWHERE = "";

/** The wish of this request, open until the answer: see the four ends. */
export function wished(asked: Asked, list: Wish[]): Wish {
  const wish = openWish(asked.operation, asked.gateway, asked.sentMs);
  list.push(wish);
  return wish;
}

export const granted = ({ world }: Asked, wish: Wish): void => endWish(wish, "acknowledged", world.nowMs);
export const denied = ({ world }: Asked, wish: Wish): void => endWish(wish, "refused", world.nowMs);
/**
 * Whoever wants it away is told that it is not there. A request that was heard twice may have brought that about itself; so from then on it
 * must be gone, for whichever process asks.
 */
export const toldGone = ({ world }: Asked, wish: Wish): void => endWish(wish, "acknowledged", world.nowMs, NOWHERE);
export const forgotten = ({ world }: Asked, wish: Wish): void => endWish(wish, "unknown", world.nowMs);

/** Whatever keeps an upload alive does so from a moment on that is not before the request was sent. */
const mayHaveExpired = ({ world }: Asked, { touchedMs = 0 }: KnownUpload): boolean => world.nowMs - touchedMs >= SETTINGS.idleExpiryMs;

/** It was asked for twice, because nobody answered, and the parts were the other's, whose end took them along. */
const mayLackParts = ({ history }: Asked, upload: KnownUpload): boolean =>
  upload.isPutTogether &&
  history.uploads.some(
    (other) => other !== upload && other.uploadId === undefined && other.isPutTogether && other.operation === upload.operation,
  );

/** A body that is a whole file takes its upload along when it fails; so does the first of tus, as long as nobody knows the upload by then. */
const mayGoWithItsBody = ({ way, uploadId }: KnownUpload): boolean => way === "whole" || (way === "tus" && uploadId === undefined);

/** It goes when what was made of it is a file. */
const isPart = ({ history }: Asked, upload: KnownUpload): boolean => history.uploads.some(({ parts }) => parts.includes(upload));

/** Why this cannot be how the upload has ended. */
export function whyNotEnded(asked: Asked, upload: KnownUpload, state: EndedState): string | undefined {
  if (upload.end !== undefined && upload.end.state !== state && upload.end.toldMs < asked.sentMs)
    return `upload ${upload.uploadId} is ${state}, and was ${upload.end.state} before`;
  switch (state) {
    case "merged":
      return upload.mayBeFile ? undefined : `upload ${upload.uploadId} is merged, and nobody asked for that`;
    case "cancelled":
      return upload.isCancelAsked || mayGoWithItsBody(upload) || isPart(asked, upload)
        ? undefined
        : `upload ${upload.uploadId} is cancelled, and nobody asked for that`;
    case "expired":
      return mayHaveExpired(asked, upload) ? undefined : `upload ${upload.uploadId} has expired too early`;
    case "failed":
      return upload.isFalse || isExplained(asked, "UPLOAD_FAILED", upload) || mayLackParts(asked, upload)
        ? undefined
        : `upload ${upload.uploadId} failed for good, and nothing explains it`;
  }
}

/** The upload has ended: at most once, and with a reason. */
export function ended(asked: Asked, upload: KnownUpload, state: EndedState): void {
  const why = whyNotEnded(asked, upload, state);
  if (why !== undefined) violate(asked, upload.end === undefined ? "upload-ended-without-reason" : "upload-left-its-end", why);
  upload.end ??= { state, toldMs: asked.world.nowMs };
}

const STATES_BY_CODE: Readonly<Record<string, EndedState>> = Object.fromEntries(
  Object.entries(ENDED_CODES).map(([state, code]) => [code, state as EndedState]),
);

/** What is wrong with a refusal that any request to an upload may get; `unexplained` when it is none of those. */
export function refusalOfUpload(asked: Asked, upload: KnownUpload | undefined, { code }: TroupeError): string | undefined | "unexplained" {
  if (code === "UPLOAD_NOT_FOUND") {
    if (upload === undefined || upload.owner !== asked.owner) return undefined;
    return `upload ${upload.uploadId} is known and was not found`;
  }
  const state = STATES_BY_CODE[code];
  if (upload === undefined || state === undefined) return "unexplained";
  const why = whyNotEnded(asked, upload, state);
  if (why === undefined) upload.end ??= { state, toldMs: asked.world.nowMs };
  return why;
}
