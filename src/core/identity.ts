/** Identities of nodes, uploads, groups and roles: what may stand as one token of a subject or as one path segment. */
import { TroupeError } from "./errors.ts";

export const IDENTITY_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

export function isIdentity(text: unknown): text is string {
  return typeof text === "string" && IDENTITY_PATTERN.test(text);
}

/** @throws {TroupeError} `BAD_IDENTITY`, naming `what` but never echoing a long value. */
export function checkIdentity(text: unknown, what: string): string {
  if (isIdentity(text)) return text;
  const shown = typeof text === "string" ? JSON.stringify(text.slice(0, 40)) : typeof text;
  throw new TroupeError("BAD_IDENTITY", `${what} ${shown} is not an identity: 1 to 64 letters, digits, '-' or '_'.`);
}
