/**
 * Where a blob lies below a node's root: `AAA/BBB/CCC/<HEX TIME>_DDD`, the four base-512 digits of its allocated ID as three
 * hex digits each (the layout of the streaming server document), so that no directory grows past 512 entries.
 */
import assert from "node:assert/strict";
import { TroupeError } from "./errors.ts";
import { BLOB_ID_LIMIT } from "./limits.ts";

/** A blob's ID with the path it was given: where it lies on each of its nodes. */
export interface BlobPlace {
  readonly blobId: number;
  readonly path: string;
}

const BASE = 512;
const PATTERN = /^([01][0-9A-F]{2})\/([01][0-9A-F]{2})\/([01][0-9A-F]{2})\/([0-9A-F]{8,16})_([01][0-9A-F]{2})$/;

const digit = (value: number): string => value.toString(16).toUpperCase().padStart(3, "0");

/**
 * @param blobId an allocated ID, 0 ≤ blobId < 512⁴
 * @param seconds when it was allocated, in seconds since 1970
 * @throws {TroupeError} `ID_SPACE_EXHAUSTED` for an ID past the last path
 */
export function blobPath(blobId: number, seconds: number): string {
  assert(Number.isSafeInteger(blobId) && blobId >= 0, "a blob ID is a whole number");
  if (blobId >= BLOB_ID_LIMIT) throw new TroupeError("ID_SPACE_EXHAUSTED");
  const d = blobId % BASE;
  const c = Math.floor(blobId / BASE) % BASE;
  const b = Math.floor(blobId / BASE ** 2) % BASE;
  const a = Math.floor(blobId / BASE ** 3);
  const time = Math.floor(seconds).toString(16).toUpperCase().padStart(8, "0");
  return `${digit(a)}/${digit(b)}/${digit(c)}/${time}_${digit(d)}`;
}

/** The ID a blob path was made from, or `undefined` when the text is not one: the guard before a path reaches the disk. */
export function blobIdOfPath(path: string): number | undefined {
  const match = PATTERN.exec(path);
  if (match === null) return undefined;
  const [, a, b, c, , d] = match;
  return [a, b, c, d].reduce((sum, text) => sum * BASE + Number.parseInt(text as string, 16), 0);
}
