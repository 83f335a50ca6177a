/** `?cursor=…&limit=…` of every listing. */
import { TroupeError } from "../core/errors.ts";
import { PAGE_ITEMS_MAX } from "../core/limits.ts";
import { cursor as cursorShape } from "../core/shapes.ts";

/** @throws {TroupeError} `BAD_REQUEST`, `BAD_CURSOR` */
export function pageQuery(query: ReadonlyMap<string, string>): { readonly cursor?: string; readonly limit?: number } {
  const limit = query.get("limit");
  const cursor = query.get("cursor");
  if (limit !== undefined && (!/^[1-9]\d{0,5}$/.test(limit) || Number(limit) > PAGE_ITEMS_MAX)) {
    throw new TroupeError("BAD_REQUEST", `limit is a whole number from 1 to ${PAGE_ITEMS_MAX}.`);
  }
  if (cursor !== undefined && !cursorShape.safeParse(cursor).success) throw new TroupeError("BAD_CURSOR");
  return { ...(limit === undefined ? {} : { limit: Number(limit) }), ...(cursor === undefined ? {} : { cursor }) };
}
