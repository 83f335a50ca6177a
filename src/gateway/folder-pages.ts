/** What lies in a folder, or who has files, one page after the other as the catalog gives them. */
import { catalog, type FolderEntry } from "../actors/catalog/contract.ts";
import { client } from "../bus/client.ts";
import { PAGE_ITEMS_MAX } from "../core/limits.ts";
import { callOptions, type Exchange } from "./exchange.ts";
import type { Gateway } from "./gateway-parts.ts";

/** A folder that can be listed. Without a user it is the one above all: users are its folders. */
export interface Folder {
  readonly user?: string;
  /** Empty, or the beginning of names, with the slash it ends in. */
  readonly path: string;
}

export type FileEntry = Extract<FolderEntry, { kind: "file" }>;

export interface FolderPage {
  readonly entries: readonly FolderEntry[];
  readonly cursor?: string | undefined;
}

export interface PageWish {
  readonly cursor?: string | undefined;
  readonly limit?: number | undefined;
}

export type ReadPage = (wish: PageWish) => Promise<FolderPage>;

/** On behalf of whoever asks in this exchange. The reader throws `BAD_CURSOR`, and what the bus throws. */
export function folderReader(gateway: Gateway, exchange: Exchange, { user, path }: Folder): ReadPage {
  const files = client(gateway.ports.bus, catalog);
  const options = callOptions(exchange);
  if (user !== undefined) return (wish) => files.folder({ user, path, ...wish }, options);
  return async (wish) => {
    const { users, cursor } = await files.users(wish, options);
    return { entries: users.map((name) => ({ kind: "folder", name })), cursor };
  };
}

/** The pages that follow one, as large as they may be. */
export async function* pagesAfter(read: ReadPage, page: FolderPage): AsyncGenerator<FolderPage, void, void> {
  for (let { cursor } = page; cursor !== undefined; ) {
    const next = await read({ cursor, limit: PAGE_ITEMS_MAX });
    yield next;
    cursor = next.cursor;
  }
}
