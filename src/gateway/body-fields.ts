/** Header fields that say something about a request's body or its repetition, read the same way on every route. */
import { TroupeError } from "../core/errors.ts";
import type { HttpRequest } from "../core/ports/http-exchange.ts";
import { idempotencyKey } from "../core/shapes.ts";

/** `Idempotency-Key`, with or without the quotes of a structured field. @throws {TroupeError} `BAD_REQUEST` */
export function idempotencyKeyOf(request: HttpRequest): string | undefined {
  const field = request.headers["idempotency-key"];
  if (field === undefined) return undefined;
  const key = idempotencyKey.safeParse(field.replace(/^"(.*)"$/, "$1"));
  if (!key.success) throw new TroupeError("BAD_REQUEST", "Idempotency-Key is 1 to 128 characters of visible ASCII.");
  return key.data;
}

/**
 * Bytes are stored as they come, so a coding of them would have to be remembered and undone.
 * @throws {TroupeError} `UNSUPPORTED_TYPE`
 */
export function refuseEncodedBody(request: HttpRequest): void {
  const coding = request.headers["content-encoding"]?.trim().toLowerCase();
  if (coding === undefined || coding === "" || coding === "identity") return;
  throw new TroupeError("UNSUPPORTED_TYPE", "Send the bytes themselves, without Content-Encoding.");
}
