/** The Random port: the only source of randomness. Adapters for production are cryptographically strong. */
export interface Random {
  bytes(count: number): Uint8Array;
  /** A uniform whole number, 0 ≤ n < limit, limit ≤ 2^31. */
  integer(limit: number): number;
}

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/** `length` characters of 6 random bits each: an identity nobody can guess when it is 22 long or more. */
export function randomIdentity(random: Random, length = 22): string {
  let text = "";
  for (const byte of random.bytes(length)) text += ALPHABET[byte & 63];
  // An identity that begins with '-' reads like a command-line flag.
  return text.startsWith("-") ? `_${text.slice(1)}` : text;
}
