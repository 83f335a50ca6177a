/**
 * A folder as plain HTML that people read and programs walk (rclone's http remote, `wget -r`): links are relative, folders end in a slash,
 * nothing runs.
 *
 * L1: one page of the catalog at a time is in memory, and the next is asked for when the client has taken it.
 * L2: past a bound the listing ends and says so.
 * L3: links that are no entries have a query, which mirrors leave alone.
 */
import { createHash } from "node:crypto";
import type { FolderEntry } from "../actors/catalog/contract.ts";
import { LISTING_ENTRIES_MAX } from "../core/limits.ts";
import { BROWSE, browseSegment } from "./browse-address.ts";
import { filePath } from "./file-url.ts";
import { type FileEntry, type Folder, type FolderPage, pagesAfter, type ReadPage } from "./folder-pages.ts";
import { isMedia } from "./playlist.ts";

const STYLE = `:root{color-scheme:light dark;--quiet:light-dark(#5f6670,#9aa2ad);--line:light-dark(#e4e7eb,#2b3036);--link:light-dark(#1558b0,#8ab8ff)}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;background:light-dark(#fff,#15181c);color:light-dark(#1b1f24,#e6e9ed)}
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}
a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}
table{width:100%;border-collapse:collapse}td{padding:.35rem .5rem;border-top:1px solid var(--line);vertical-align:top}
td:first-child{overflow-wrap:anywhere;width:99%}td+td{color:var(--quiet);white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}
p{color:var(--quiet)}
@media(max-width:32rem){td:last-child{display:none}}`;

/** Nothing is loaded and nothing runs, whatever is in a name. */
export const LISTING_POLICY = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`;

/** @param first the folder's first page: whoever has it knows that there is something to list */
export async function* listingHtml(folder: Folder, first: FolderPage, read: ReadPage): AsyncGenerator<Uint8Array, void, void> {
  yield bytes(beginning(folder, first));
  let count = first.entries.length;
  let hasMore = false;
  yield bytes(rows(folder, first.entries));
  for await (const { entries } of pagesAfter(read, first)) {
    // L2
    hasMore = count + entries.length > LISTING_ENTRIES_MAX;
    if (hasMore) break;
    count += entries.length;
    yield bytes(rows(folder, entries));
  }
  yield bytes(end(count, hasMore));
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

function beginning({ user, path }: Folder, first: FolderPage): string {
  const where = escaped(user === undefined ? BROWSE : `${BROWSE}${user}/${path}`);
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>${where}</title><style>${STYLE}</style></head><body>
<h1><bdi>${where}</bdi></h1>
${first.entries.some(isMedia) ? `<p><a href="?m3u">Play all</a></p>\n` : ""}<table>
${user === undefined ? "" : `<tr><td><a href="../">../</a></td><td></td><td></td></tr>\n`}`;
}

function end(count: number, hasMore: boolean): string {
  const more = hasMore ? `<p>There is more: only the first ${count} entries are listed.</p>\n` : "";
  const none = count === 0 ? "<p>Nothing is here.</p>\n" : "";
  return `</table>\n${more}${none}</body></html>\n`;
}

function rows({ path }: Folder, entries: readonly FolderEntry[]): string {
  return entries.map((entry) => (entry.kind === "folder" ? folderRow(entry.name) : fileRow(path, entry))).join("");
}

function folderRow(name: string): string {
  const segment = browseSegment(name);
  const shown = `<bdi>${escaped(name)}</bdi>/`;
  return `<tr><td>${segment === undefined ? shown : `<a href="${segment}/">${shown}</a>`}</td><td></td><td></td></tr>\n`;
}

function fileRow(path: string, file: FileEntry): string {
  const address = browseSegment(file.name) ?? filePath(file.fileId, `${path}${file.name}`);
  const time = new Date(file.createdMs).toISOString();
  return `<tr><td><a href="${address}"><bdi>${escaped(file.name)}</bdi></a></td><td><data value="${file.sizeBytes}">${sizeText(file.sizeBytes)}</data></td><td><time datetime="${time}">${time.slice(0, 16).replace("T", " ")}</time></td></tr>\n`;
}

/** Three digits, in units of 1000. */
function sizeText(sizeBytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = sizeBytes;
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit > 0 && size < 99.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

function escaped(text: string): string {
  const marks: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (mark) => marks[mark] as string);
}
