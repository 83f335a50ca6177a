/**
 * What is made of an owner's secret: its digest, which a secret that is sent is compared with, and the keys that sign in the owner's name.
 *
 * K1: links and cookies are signed with keys of their own, so that one is never taken for the other; every gateway with the same tokens
 *     makes the same keys, and a changed secret ends what was signed with it.
 * K2: a link is given to strangers, who could try secrets on its signature for as long as they like. So the keys are slow to make, once
 *     at start, and each guess costs as much.
 */
import { createHash, createHmac, scryptSync, timingSafeEqual } from "node:crypto";

/** A secret, and whose requests those are that carry it. */
export interface Token {
  readonly owner: string;
  readonly secret: string;
}

export interface OwnerKey {
  readonly owner: string;
  readonly secretDigest: Uint8Array;
  readonly links: Uint8Array;
  readonly sessions: Uint8Array;
}

/** Some milliseconds and 4 MiB for each. */
const SCRYPT = { N: 4096, r: 8, p: 1 } as const;
const KEY_BYTES = 32;

export function ownerKeys(tokens: readonly Token[]): readonly OwnerKey[] {
  return tokens.map(({ owner, secret }) => {
    const root = scryptSync(secret, `troupe:${owner}`, KEY_BYTES, SCRYPT);
    const keyOf = (label: string): Uint8Array => createHmac("sha256", root).update(label).digest();
    return { owner, secretDigest: secretDigest(secret), links: keyOf("troupe link 1"), sessions: keyOf("troupe session 1") };
  });
}

export function secretDigest(secret: string): Uint8Array {
  return createHash("sha256").update(secret).digest();
}

/** In base64url: 43 characters. */
export function signature(key: Uint8Array, words: readonly string[]): string {
  return createHmac("sha256", key).update(words.join("\n")).digest("base64url");
}

/** The owner whose key made the signature. Every key is tried, so that the time tells nothing about which came close. */
export function signer(
  keys: readonly OwnerKey[],
  use: "links" | "sessions",
  words: (owner: string) => readonly string[],
  claimed: string,
): OwnerKey | undefined {
  const given = secretDigest(claimed);
  let found: OwnerKey | undefined;
  for (const key of keys) {
    const isEqual = timingSafeEqual(secretDigest(signature(key[use], words(key.owner))), given);
    if (isEqual) found ??= key;
  }
  return found;
}
