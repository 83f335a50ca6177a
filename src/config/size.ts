/**
 * Sizes as people write them: `1048576`, `100MB` (powers of 1000), `5TiB` or `8M` (powers of 1024).
 */
import { TroupeError } from "../core/errors.ts";

const PREFIXES = ["", "K", "M", "G", "T", "P"] as const;

/**
 * @returns whole bytes
 * @throws {TroupeError} `SETTING_INVALID`
 */
export function parseSize(text: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,9})?)\s?([KMGTP]?)(i?B)?$/i.exec(text);
  const [, amount, prefix, suffix] = match ?? [];
  const power = PREFIXES.findIndex((candidate) => candidate === (prefix ?? "").toUpperCase());
  const isBinary = suffix?.toLowerCase() !== "b";
  // "5iB" has a binary mark and nothing it could belong to.
  if (amount === undefined || (power === 0 && suffix?.length === 2)) {
    throw new TroupeError("SETTING_INVALID", "a size is a number of bytes or has a unit, such as 1048576, 100MB or 5TiB");
  }
  const bytes = Math.round(Number(amount) * (isBinary ? 1024 : 1000) ** power);
  if (!Number.isSafeInteger(bytes)) throw new TroupeError("SETTING_INVALID", "this size is too large");
  return bytes;
}

/** The shortest text that {@link parseSize} reads back as the same size: `5TiB`, `1000`. */
export function sizeText(bytes: number): string {
  if (bytes === 0) return "0";
  let power = 0;
  while (power < PREFIXES.length - 1 && bytes % 1024 ** (power + 1) === 0) power += 1;
  return power === 0 ? String(bytes) : `${bytes / 1024 ** power}${PREFIXES[power]}iB`;
}

/** For people to glance at, about three figures: `999 B`, `1.46 KiB`, `12.5 MiB`, `500 GiB`. */
export function approximateSize(bytes: number): string {
  let power = 0;
  // 1023.6 KiB would be shown as "1024 KiB".
  while (power < PREFIXES.length - 1 && bytes / 1024 ** power >= 1023.5) power += 1;
  if (power === 0) return `${Math.round(bytes)} B`;
  const amount = bytes / 1024 ** power;
  return `${amount.toFixed(amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0)} ${PREFIXES[power]}iB`;
}
