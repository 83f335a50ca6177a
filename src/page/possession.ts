/**
 * Whether the server has the content already: by its digest, and where it asks for it by a proof that the bytes are here.
 *
 * Whatever goes wrong with the question is no reason to stop: then the bytes are sent.
 */
import type { Challenge, OpenUpload, StoredFile } from "./answers.ts";
import { digests } from "./digests.ts";
import { forgetQuestion, openQuestions, rememberQuestion } from "./fingerprints.ts";
import { ask, Refusal } from "./server.ts";

/** There is nothing left to cancel. */
const OVER = new Set(["UPLOAD_NOT_FOUND", "UPLOAD_CANCELLED", "UPLOAD_EXPIRED", "UPLOAD_FAILED", "UPLOAD_MERGED"]);

export interface Creation {
  readonly name: string;
  readonly user: string;
  readonly size: number;
  readonly contentType?: string | undefined;
  readonly chunkBytes?: number | undefined;
  readonly digest?: { readonly algorithm: "blake3"; readonly value: string } | undefined;
  readonly idempotencyKey: string;
}

/** The server answers only so many such questions a minute; until then they are not asked. */
const QUIET_MS = 60_000;
let quietUntilMs = 0;

/** A file when the content was this owner's already. Throws what {@link ask} throws. */
export async function createUpload({ digest, ...creation }: Creation, signal: AbortSignal): Promise<OpenUpload | StoredFile> {
  if (digest === undefined || !mayAsk()) return await begin(creation, signal);
  try {
    return await begin({ ...creation, digest }, signal);
  } catch (error) {
    if (!isAskedTooOften(error)) throw error;
    return await begin({ ...creation, idempotencyKey: newKey() }, signal);
  }
}

async function begin(json: Creation, signal?: AbortSignal): Promise<OpenUpload | StoredFile> {
  return (await ask<OpenUpload | StoredFile>("POST", "/api/v1/uploads", { json, ...(signal === undefined ? {} : { signal }) })).value;
}

const mayAsk = (): boolean => performance.now() >= quietUntilMs;

function isAskedTooOften(error: unknown): boolean {
  if (!(error instanceof Refusal) || error.status !== 429) return false;
  quietUntilMs = performance.now() + (error.retryAfterMs ?? QUIET_MS);
  return true;
}

/** Answers the challenge of an upload; the file, or `undefined` when the bytes have to be sent. */
export async function prove(uploadId: string, file: Blob, challenge: Challenge, signal: AbortSignal): Promise<StoredFile | undefined> {
  try {
    const hmac = await digests.proofOf(file, challenge, signal);
    const { status, value } = await ask<StoredFile>("POST", `/api/v1/uploads/${uploadId}/proof`, { json: { hmac }, signal });
    return status === 200 ? { ...value, instant: true } : undefined;
  } catch {
    return undefined;
  }
}

/** Asks by an upload of its own, while another one of the same file goes on; nothing of it stays unless it became the file. */
export async function contentAtServer(creation: Creation, file: Blob, signal: AbortSignal): Promise<StoredFile | undefined> {
  if (!mayAsk()) return undefined;
  rememberQuestion(creation);
  let opened: OpenUpload | StoredFile;
  try {
    opened = await begin(creation, signal);
  } catch (error) {
    isAskedTooOften(error);
    if (isDefinite(error)) forgetQuestion(creation);
    return undefined;
  }
  if ("fileId" in opened) {
    forgetQuestion(creation);
    return { ...opened, instant: true };
  }
  const { uploadId, challenge } = opened;
  const stored = challenge === undefined ? undefined : await prove(uploadId, file, challenge, signal);
  try {
    if (stored === undefined) await cancelUpload(uploadId);
    forgetQuestion(creation);
  } catch {
    // It is cancelled when the page is opened next.
  }
  return stored;
}

/** What asked when the page was left. */
export async function cancelOldQuestions(): Promise<void> {
  for (const question of openQuestions()) {
    try {
      // The same key again is the same upload, also where its answer never came.
      const opened = await begin(question);
      if (!("fileId" in opened)) await cancelUpload(opened.uploadId);
    } catch (error) {
      // Nor does it say what came of it before, that it may not be asked now.
      if (!isDefinite(error) || isNotNow(error)) throw error;
    }
    forgetQuestion(question);
  }
}

const isNotNow = (error: unknown): boolean => error instanceof Refusal && (error.status === 401 || error.status === 429);

/** Nothing came of it. */
const isDefinite = (error: unknown): boolean => error instanceof Refusal && error.status < 500;

/** The same again is fine, and so is one that has ended. */
export async function cancelUpload(uploadId: string): Promise<void> {
  try {
    await ask("DELETE", `/api/v1/uploads/${uploadId}`);
  } catch (error) {
    if (!(error instanceof Refusal) || !OVER.has(error.code)) throw error;
  }
}

/** `crypto.randomUUID` is not there over plain HTTP; this is. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
