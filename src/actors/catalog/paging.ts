/**
 * Pages of a listing, newest first. A cursor names the last item given, by time and ID; so a page neither repeats nor skips what was
 * there before, whatever is inserted meanwhile.
 */
import { TroupeError } from "../../core/errors.ts";
import { REPLY_BYTES_MAX } from "../../core/limits.ts";

/** Where an item stands: by time, then by ID, both descending. */
export interface Position {
  readonly timeMs: number;
  readonly id: string;
}

export interface Page<Item> {
  readonly items: Item[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

/** What a page may weigh as JSON, so that it fits into one reply whatever the names in it. */
const PAGE_BYTES_MAX = REPLY_BYTES_MAX / 2;

export function encodeCursor(position: Position): string {
  return Buffer.from(`${position.timeMs}:${position.id}`).toString("base64url");
}

/** @throws {TroupeError} `BAD_CURSOR` for anything {@link encodeCursor} did not make */
export function decodeCursor(cursor: string): Position {
  const match = /^(\d{1,16}):([A-Za-z0-9_-]{1,64})$/.exec(Buffer.from(cursor, "base64url").toString("latin1"));
  const position = match === null ? undefined : { timeMs: Number(match[1]), id: match[2] as string };
  if (position === undefined || !Number.isSafeInteger(position.timeMs) || encodeCursor(position) !== cursor)
    throw new TroupeError("BAD_CURSOR");
  return position;
}

/** Newest first. IDs are ASCII, so that their order is that of their bytes. */
export function byNewest(a: Position, b: Position): number {
  return b.timeMs - a.timeMs || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}

/** As many of the items, from the first on, as fit into one reply. */
export function fitting<Item>(items: readonly Item[], limit: number): Item[] {
  let bytes = 0;
  const kept: Item[] = [];
  for (const item of items.slice(0, limit)) {
    bytes += Buffer.byteLength(JSON.stringify(item));
    // One item always fits: every field of it is bounded.
    if (bytes > PAGE_BYTES_MAX && kept.length > 0) break;
    kept.push(item);
  }
  return kept;
}

/** @param items in order, one more than `limit` when there are as many */
export function pageOf<Item>(items: readonly Item[], limit: number, positionOf: (item: Item) => Position): Page<Item> {
  const kept = fitting(items, limit);
  const last = kept.at(-1);
  return last === undefined || kept.length === items.length ? { items: kept } : { items: kept, cursor: encodeCursor(positionOf(last)) };
}
