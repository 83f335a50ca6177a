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
  const begin = async (json: Creation): Promise<OpenUpload | StoredFile> =>
    (await ask<OpenUpload | StoredFile>("POST", "/api/v1/uploads", { json, signal })).value;
  if (digest === undefined || !mayAsk()) return await begin(creation);
  try {
    return await begin({ ...creation, digest });
  } catch (error) {
    if (!isAskedTooOften(error)) throw error;
    return await begin({ ...creation, idempotencyKey: newKey() });
  }
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
  let opened: OpenUpload | StoredFile;
  try {
    opened = (await ask<OpenUpload | StoredFile>("POST", "/api/v1/uploads", { json: creation, signal })).value;
  } catch (error) {
    isAskedTooOften(error);
    return undefined;
  }
  if ("fileId" in opened) return { ...opened, instant: true };
  const { uploadId, challenge } = opened;
  rememberQuestion(uploadId);
  const stored = challenge === undefined ? undefined : await prove(uploadId, file, challenge, signal);
  if (stored === undefined) await cancelQuestion(uploadId).catch(() => undefined);
  else forgetQuestion(uploadId);
  return stored;
}

/** What asked when the page was left. */
export async function cancelOldQuestions(): Promise<void> {
  for (const uploadId of openQuestions()) await cancelQuestion(uploadId);
}

async function cancelQuestion(uploadId: string): Promise<void> {
  await cancelUpload(uploadId);
  forgetQuestion(uploadId);
}

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
