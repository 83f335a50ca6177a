/**
 * The media files of a folder as a playlist for any player, in the order in which a person would count them. Its addresses are absolute and play
 * without a token: they are signed where one would be needed.
 */
import type { FolderEntry } from "../actors/catalog/contract.ts";
import { LINK_SECONDS_DEFAULT, PLAYLIST_ENTRIES_MAX } from "../core/limits.ts";
import type { Exchange } from "./exchange.ts";
import { fileUrl } from "./file-url.ts";
import { type FileEntry, type Folder, type FolderPage, pagesAfter, type ReadPage } from "./folder-pages.ts";
import type { Gateway } from "./gateway-parts.ts";

export const PLAYLIST_TYPE = "audio/x-mpegurl; charset=utf-8";

export async function playlist(gateway: Gateway, exchange: Exchange, { path }: Folder, first: FolderPage, read: ReadPage): Promise<string> {
  const media = first.entries.filter(isMedia);
  for await (const { entries } of pagesAfter(read, first)) {
    media.push(...entries.filter(isMedia));
    if (media.length > PLAYLIST_ENTRIES_MAX) break;
  }
  const order = new Intl.Collator("en", { numeric: true });
  media.sort((a, b) => order.compare(a.name, b.name));
  const lines = media.slice(0, PLAYLIST_ENTRIES_MAX).map(({ fileId, name }) => {
    const { query } = gateway.admission.links.sign(exchange.principal, fileId, LINK_SECONDS_DEFAULT);
    return `#EXTINF:-1,${name}\n${fileUrl(exchange.baseUrl, fileId, `${path}${name}`)}${query}\n`;
  });
  const more = media.length > PLAYLIST_ENTRIES_MAX ? `# There is more: a playlist has at most ${PLAYLIST_ENTRIES_MAX} files.\n` : "";
  return `#EXTM3U\n${lines.join("")}${more}`;
}

/** What plays by itself; a list of what plays does not. */
export function isMedia(entry: FolderEntry): entry is FileEntry {
  return entry.kind === "file" && /^(video|audio)\//.test(entry.contentType) && !/mpegurl|scpls/.test(entry.contentType);
}
