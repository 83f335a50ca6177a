/** A range as people write it, `0-499`, `500-` or `-500` (the last 500 bytes): both ends inclusive, as HTTP has it. */
import { TroupeError } from "../core/errors.ts";

export type WantedRange =
  | { readonly kind: "from"; readonly first: number; readonly last: number | undefined }
  | { readonly kind: "suffix"; readonly bytes: number };

/** @throws {TroupeError} `BAD_REQUEST` */
export function parseWantedRange(text: string): WantedRange {
  const [, first, last] = /^(\d{0,16})-(\d{0,16})$/.exec(text) ?? [];
  const start = Number(first || Number.NaN);
  const end = Number(last || Number.NaN);
  if (first !== "" && Number.isSafeInteger(start) && (last === "" || (Number.isSafeInteger(end) && start <= end))) {
    return { kind: "from", first: start, last: last === "" ? undefined : end };
  }
  if (first === "" && Number.isSafeInteger(end)) return { kind: "suffix", bytes: end };
  throw new TroupeError("BAD_REQUEST", "A range is FIRST-LAST, FIRST- or -COUNT, in bytes, both ends included: 0-499 are the first 500.");
}

/**
 * @returns offset and end (exclusive) within a file of this size; an end past the file is the file's end
 * @throws {TroupeError} `RANGE_NOT_SATISFIABLE` when no byte of the file is in the range
 */
export function spanOf(wanted: WantedRange, sizeBytes: number): { readonly offset: number; readonly end: number } {
  const offset = wanted.kind === "from" ? wanted.first : Math.max(0, sizeBytes - wanted.bytes);
  const end = wanted.kind === "from" && wanted.last !== undefined ? Math.min(sizeBytes, wanted.last + 1) : sizeBytes;
  if (offset >= end) throw new TroupeError("RANGE_NOT_SATISFIABLE", `The file has ${sizeBytes} bytes, and none of them is in the range.`);
  return { offset, end };
}
