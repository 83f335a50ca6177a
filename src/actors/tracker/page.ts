/** One page of a sorted list. The cursor is the key of the last item given, so a page is right whatever was added or removed since. */
import { TroupeError } from "../../core/errors.ts";
import { isIdentity } from "../../core/identity.ts";

export interface PageRequest {
  readonly cursor?: string | undefined;
  readonly limit: number;
}

export interface Page<Item> {
  readonly items: Item[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

const SEPARATOR = ".";

/**
 * @param items sorted by their keys, part by part
 * @param keyOf a key of `partCount` identities
 * @throws {TroupeError} `BAD_CURSOR`
 */
export function pageOf<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => readonly string[],
  partCount: number,
  request: PageRequest,
): Page<Item> {
  const after = request.cursor?.split(SEPARATOR);
  if (after !== undefined && !(after.length === partCount && after.every(isIdentity))) throw new TroupeError("BAD_CURSOR");
  const from = after === undefined ? 0 : items.findIndex((item) => isAfter(keyOf(item), after));
  if (from === -1) return { items: [] };
  const page = items.slice(from, from + request.limit);
  const last = page.at(-1);
  if (last === undefined || from + request.limit >= items.length) return { items: page };
  return { items: page, cursor: keyOf(last).join(SEPARATOR) };
}

function isAfter(key: readonly string[], other: readonly string[]): boolean {
  for (const [index, part] of key.entries()) {
    const otherPart = other[index] as string;
    if (part !== otherPart) return part > otherPart;
  }
  return false;
}
