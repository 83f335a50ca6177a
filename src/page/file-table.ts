/**
 * A folder or what was found. One row is the current one: arrows move it, Tab goes through what can be done with it, so that a keyboard
 * reaches everything without walking through a thousand buttons.
 */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "./html.ts";
import { Icon, iconOf } from "./icons.ts";
import { LISTED_MAX, type Row, type SortKey } from "./listing.ts";
import type { Page } from "./page.ts";
import { filePath, hashOf } from "./place.ts";
import { useWatched } from "./store.ts";
import { IconButton } from "./uploads-panel.ts";
import { bytesText, countText } from "./words.ts";

/** Rows drawn at a time: a browser is slow with thousands of them. */
const ROWS_MAX = 200;
const COLUMNS: readonly { readonly key: SortKey; readonly title: string }[] = [
  { key: "name", title: "Name" },
  { key: "size", title: "Size" },
  { key: "modified", title: "Changed" },
];

export function FileTable({ page }: { readonly page: Page }): VNode {
  const { listing } = page;
  useWatched(listing);
  const [current, setCurrent] = useState(0);
  const body = useRef<HTMLTableSectionElement>(null);
  const { rows, sorting, place, search, isLoading, message } = listing;
  const where = `${place.user}/${place.folder}?${search}`;
  useEffect(() => {
    setCurrent(0);
  }, [where]);
  const focusRow = (index: number, isWanted = () => true): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setCurrent(next);
    requestAnimationFrame(() => {
      if (isWanted()) body.current?.querySelectorAll<HTMLElement>("a.open")[next % ROWS_MAX]?.focus();
    });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const row = rows[current];
    const file = row?.kind === "file" ? row : undefined;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "ArrowDown") focusRow(current + 1);
    else if (event.key === "ArrowUp") focusRow(current - 1);
    else if (event.key === "Home") focusRow(0);
    else if (event.key === "End") focusRow(rows.length - 1);
    else if (event.key === "F2" && file !== undefined) page.ask({ kind: "rename", file });
    else if (event.key === "Delete" && file !== undefined) page.ask({ kind: "delete", file });
    else return;
    event.preventDefault();
  };
  // The part of the list that is drawn is the one with the current row.
  const first = current - (current % ROWS_MAX);
  const turn = (index: number): void => {
    setCurrent(index);
    body.current?.closest("table")?.scrollIntoView();
  };
  // A row that was deleted hands the focus to the one that takes its place, unless by then something else was clicked.
  const count = useRef(rows.length);
  useEffect(() => {
    const hadMore = count.current > rows.length;
    count.current = rows.length;
    if (current >= rows.length) setCurrent(Math.max(0, rows.length - 1));
    const isFree = (): boolean => document.activeElement === document.body;
    if (hadMore && isFree() && rows.length > 0) focusRow(Math.min(current, rows.length - 1), isFree);
  }, [rows.length]);

  if (rows.length === 0) {
    const text = message ?? (isLoading ? "Looking…" : search === "" ? undefined : "Nothing with these words in its name.");
    return html`<p class="nothing" role="status">${text ?? (place.folder === "" ? "" : "This folder is empty.")}</p>`;
  }
  return html`<div class="files">
    ${message && html`<p class="fault" role="status">${message}</p>`}
    <table aria-label=${search === "" ? "Files" : "Files found"} aria-busy=${isLoading} onKeyDown=${onKeyDown}>
      <thead>
        <tr>
          ${COLUMNS.map(
            ({ key, title }) => html`<th
              key=${key}
              class=${key}
              scope="col"
              aria-sort=${sorting.key !== key ? "none" : sorting.isDescending ? "descending" : "ascending"}
            ><button type="button" onClick=${() => listing.sort(key)}>${title}<span class="arrow" aria-hidden="true"></span></button></th>`,
          )}
          <th class="do" scope="col"><span class="unseen">Actions</span></th>
        </tr>
      </thead>
      <tbody ref=${body}>
        ${rows.slice(first, first + ROWS_MAX).map((row, offset) => {
          const index = first + offset;
          const isCurrent = index === Math.min(current, rows.length - 1);
          return html`<${FileRow} key=${keyOf(row)} page=${page} row=${row} isCurrent=${isCurrent} onFocus=${() => setCurrent(index)} />`;
        })}
      </tbody>
    </table>
    ${
      rows.length > ROWS_MAX &&
      html`<nav class="pages" aria-label="Parts of the list">
        <button type="button" disabled=${first === 0} onClick=${() => turn(first - ROWS_MAX)}>Before</button>
        <span>${(first + 1).toLocaleString("en")}–${Math.min(rows.length, first + ROWS_MAX).toLocaleString("en")}</span>
        <button type="button" disabled=${first + ROWS_MAX >= rows.length} onClick=${() => turn(first + ROWS_MAX)}>Further</button>
      </nav>`
    }
    <p class="hint count" role="status">
      ${countOf(rows)}${isLoading ? ", still looking…" : ""}
      ${listing.isCut && (search === "" ? ` There are more: the first ${LISTED_MAX.toLocaleString("en")} are listed. Search for others.` : " There are more: add a word.")}
    </p>
  </div>`;
}

interface RowProps {
  readonly page: Page;
  readonly row: Row;
  readonly isCurrent: boolean;
  readonly onFocus: () => void;
}

function FileRow({ page, row, isCurrent, onFocus }: RowProps): VNode {
  const { user, folder } = page.place;
  const tab = isCurrent ? 0 : -1;
  if (row.kind === "folder") {
    return html`<tr class="folder" onFocusCapture=${onFocus}>
      <td class="name"><a class="open" tabindex=${tab} href=${hashOf({ user, folder: `${folder}${row.name}/` })}>
        <${Icon} name="folder" /><bdi>${row.name}</bdi>
      </a></td>
      <td class="size">Folder</td>
      <td class="modified"></td>
      <td class="do"></td>
    </tr>`;
  }
  const modified = new Date(row.modified);
  return html`<tr onFocusCapture=${onFocus}>
    <td class="name"><a class="open" tabindex=${tab} title=${row.name} href=${hashOf({ user, folder, show: row.fileId })}>
      <${Icon} name=${iconOf(row.contentType)} /><bdi>${row.label}</bdi>
    </a></td>
    <td class="size">${bytesText(row.size)}</td>
    <td class="modified"><time datetime=${row.modified} title=${modified.toLocaleString()}>${dateText(modified)}</time></td>
    <td class="do">
      <div class="buttons wide" data-tab=${tab}>
        <${TabButton} tab=${tab} icon="link" label=${`Copy link to ${row.label}`} onClick=${() => void page.copyLink(row)} />
        <a class="icon-button" tabindex=${tab} href=${`${filePath(row)}?download`} download aria-label=${`Download ${row.label}`} title="Download"><${Icon} name="download" /></a>
        <${TabButton} tab=${tab} icon="rename" label=${`Rename ${row.label}`} onClick=${() => page.ask({ kind: "rename", file: row })} />
        <${TabButton} tab=${tab} icon="delete" label=${`Delete ${row.label}`} onClick=${() => page.ask({ kind: "delete", file: row })} />
      </div>
      <div class="narrow"><${IconButton} icon="more" label=${`More for ${row.label}`} onClick=${() => page.ask({ kind: "actions", file: row })} /></div>
    </td>
  </tr>`;
}

interface TabButtonProps {
  readonly tab: number;
  readonly icon: Parameters<typeof Icon>[0]["name"];
  readonly label: string;
  readonly onClick: () => void;
}

function TabButton({ tab, icon, label, onClick }: TabButtonProps): VNode {
  return html`<button type="button" class="icon-button" tabindex=${tab} aria-label=${label} title=${label} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

const keyOf = (row: Row): string => (row.kind === "folder" ? `folder ${row.name}` : row.fileId);

function countOf(rows: readonly Row[]): string {
  const folders = rows.filter(({ kind }) => kind === "folder").length;
  const files = rows.length - folders;
  return [folders > 0 ? countText(folders, "folder") : "", files > 0 ? countText(files, "file") : ""]
    .filter((text) => text !== "")
    .join(", ");
}

function dateText(date: Date): string {
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString(undefined, { timeStyle: "short" }) : date.toLocaleDateString(undefined, { dateStyle: "medium" });
}
