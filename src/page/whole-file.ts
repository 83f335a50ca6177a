/**
 * A small file goes as one request. The key stays the same until it is stored, so whatever happens to an answer, it becomes one file; and
 * by the key an upload can be found that broke off before it told its ID.
 */
import type { OpenUpload, StoredFile } from "./answers.ts";
import { sendPatiently } from "./chunks.ts";
import type { Patience } from "./patience.ts";
import { type Creation, cancelUpload } from "./possession.ts";
import { ask } from "./server.ts";

/** The server verifies the digest before there is a file. */
export async function sendWhole(
  file: Blob,
  creation: Creation,
  patience: Patience & { readonly onSent: (bytes: number) => void },
): Promise<StoredFile> {
  const { name, user, contentType = "", digest, idempotencyKey } = creation;
  const headers = {
    "Idempotency-Key": idempotencyKey,
    ...(digest === undefined ? {} : { "Content-Digest": `blake3=:${base64(digest.value)}:` }),
  };
  // Without the type that the browser believes in: the server knows types by their names.
  const bytes = file.slice(0, file.size, contentType);
  const answer = await sendPatiently("POST", `/api/v1/files?${new URLSearchParams({ name, user })}`, { ...patience, bytes, headers });
  return JSON.parse(answer) as StoredFile;
}

/** Frees what the server may have of it. Throws what {@link ask} throws. */
export async function cancelWhole(creation: Creation): Promise<void> {
  const { value } = await ask<OpenUpload>("POST", "/api/v1/uploads", { json: creation });
  await cancelUpload(value.uploadId);
}

const base64 = (hex: string): string =>
  btoa((hex.match(/../g) ?? []).map((pair) => String.fromCharCode(Number.parseInt(pair, 16))).join(""));
