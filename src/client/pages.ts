/** A listing page by page, up to its end. */
import { CursorWatch } from "../core/cursor-watch.ts";
import { TroupeError } from "../core/errors.ts";

/**
 * The items of each page, one page held at a time.
 * @throws {TroupeError} what asking throws; `NOT_IMPLEMENTED` for a listing that would have no end
 */
export async function* pagesOf<Item>(
  ask: (cursor: string | undefined) => Promise<{ readonly items: readonly Item[]; readonly cursor?: string | undefined }>,
): AsyncGenerator<readonly Item[]> {
  const watch = new CursorWatch();
  let cursor: string | undefined;
  do {
    const { items, cursor: next } = await ask(cursor);
    yield items;
    const fault = next === undefined ? undefined : watch.fault(next, items.length);
    if (fault !== undefined) throw new TroupeError("NOT_IMPLEMENTED", `The server's listing has no end: ${fault}.`);
    cursor = next;
  } while (cursor !== undefined);
}
