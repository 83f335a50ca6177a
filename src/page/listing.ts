/**
 * The files one sees: a folder, or what a search finds in all of them. Both come page by page and are shown as they come.
 *
 * L1: an answer that comes after one has gone elsewhere is thrown away.
 * L2: what is kept is bounded; past that the page says so.
 */
import type { FolderPage, ListedFile } from "./answers.ts";
import { persist } from "./patience.ts";
import { listingPath, type Place } from "./place.ts";
import { ask, Refusal } from "./server.ts";
import { Watched } from "./store.ts";
import { errorText } from "./words.ts";

const PAGE_FILES = 1000;
export const LISTED_MAX = 20_000;
const FOUND_MAX = 2_000;
/** Whatever a server answers, no more are asked for: two million files. */
const PAGES_MAX = 2_000;

/** A page of all files, newest first. */
interface FilesPage {
  readonly files: readonly ListedFile[];
  readonly cursor?: string;
}

export type SortKey = "name" | "size" | "modified";
export interface Sorting {
  readonly key: SortKey;
  readonly isDescending: boolean;
}

/** One row: a folder, or a file. */
export type Row = { readonly kind: "folder"; readonly name: string } | ({ readonly kind: "file"; readonly label: string } & ListedFile);

export class Listing extends Watched {
  rows: readonly Row[] = [];
  /** Still being fetched. */
  isLoading = true;
  /** There are more than are kept. */
  isCut = false;
  message: string | undefined;
  place: Place = { user: "", folder: "" };
  search = "";
  sorting: Sorting = { key: "name", isDescending: false };
  #load: AbortController | undefined;
  #looking: Promise<void> | undefined;

  /** Goes to a folder, or looks again where one is. */
  open(place: Place, search: string): void {
    const isElsewhere = place.user !== this.place.user || place.folder !== this.place.folder || search !== this.search;
    this.place = place;
    this.search = search;
    if (isElsewhere) this.rows = [];
    void this.refresh();
  }

  /** Resolves when it is up to date, also when somebody else begins to look meanwhile. */
  async refresh(): Promise<void> {
    this.#looking = this.#look();
    for (let seen: Promise<void> | undefined; seen !== this.#looking; ) {
      seen = this.#looking;
      await seen;
    }
  }

  async #look(): Promise<void> {
    this.#load?.abort();
    const load = new AbortController();
    this.#load = load;
    this.isLoading = true;
    this.message = undefined;
    this.changed();
    try {
      await (this.search === "" ? this.#loadFolder(load.signal) : this.#find(load.signal));
    } catch (error) {
      // L1
      if (load.signal.aborted) return;
      // A folder is there as long as something is in it.
      if (error instanceof Refusal && error.status === 404) this.rows = [];
      else this.message = errorText(error);
    }
    this.isLoading = false;
    this.changed();
  }

  sort(key: SortKey): void {
    const isSame = this.sorting.key === key;
    this.sorting = { key, isDescending: isSame ? !this.sorting.isDescending : key !== "name" };
    this.rows = sorted(this.rows, this.sorting);
    this.changed();
  }

  async #loadFolder(signal: AbortSignal): Promise<void> {
    const folders = new Map<string, Row>();
    const files = new Map<string, Row>();
    await this.#pages(signal, listingPath(this.place), LISTED_MAX, (page: FolderPage) => {
      for (const { name } of page.folders) folders.set(name, { kind: "folder", name });
      for (const file of page.files) files.set(file.name, { kind: "file", ...file, label: file.name, name: this.place.folder + file.name });
      return [...folders.values(), ...files.values()];
    });
  }

  async #find(signal: AbortSignal): Promise<void> {
    const words = folded(this.search)
      .split(/\s+/)
      .filter((word) => word !== "");
    const { user, folder } = this.place;
    const found = new Map<string, Row>();
    const path = `/api/v1/files?${new URLSearchParams({ user, ...(folder === "" ? {} : { prefix: folder }) })}`;
    await this.#pages(signal, path, FOUND_MAX, ({ files }: FilesPage) => {
      for (const file of files) {
        const name = folded(file.name);
        // Of one name the newest is the file, and it comes first.
        if (!found.has(file.name) && found.size < FOUND_MAX && words.every((word) => name.includes(word)))
          found.set(file.name, { kind: "file", label: file.name.slice(folder.length), ...file });
      }
      return [...found.values()];
    });
    this.isCut ||= found.size >= FOUND_MAX;
  }

  async #pages<Page extends { readonly cursor?: string }>(
    signal: AbortSignal,
    path: string,
    rowsMax: number,
    rowsSoFar: (page: Page) => Row[],
  ): Promise<void> {
    let pageCount = 0;
    let cursor: string | undefined;
    let isFirst = true;
    this.isCut = false;
    do {
      const query = new URLSearchParams({ limit: String(PAGE_FILES), ...(cursor === undefined ? {} : { cursor }) });
      const { value } = await persist(
        () => ask<Page>("GET", `${path}${path.includes("?") ? "&" : "?"}${query}`, { headers: { accept: "application/json" }, signal }),
        {
          signal,
          onWaiting: (reason) => {
            this.message = reason;
            this.changed();
          },
        },
      );
      const rows = rowsSoFar(value);
      if (value.cursor !== undefined && value.cursor === cursor)
        throw new Error("The server's listing has no end: the same page would come again and again.");
      cursor = value.cursor;
      pageCount += 1;
      // Rows one has seen do not go away while they are looked up again.
      if (isFirst || cursor === undefined || rows.length > this.rows.length)
        this.rows = sorted(inKnownOrder(rows, this.rows), this.sorting);
      isFirst = this.rows.length === 0;
      this.isCut = cursor !== undefined && (rows.length >= rowsMax || pageCount >= PAGES_MAX);
      this.changed();
    } while (cursor !== undefined && !this.isCut);
  }
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** What was sorted before stays in its order, and the new comes last: ten thousand names are then sorted in no time. */
function inKnownOrder(rows: readonly Row[], before: readonly Row[]): Row[] {
  const left = new Map(rows.map((row) => [`${row.kind} ${row.name}`, row]));
  const known = before.flatMap((row) => {
    const key = `${row.kind} ${row.name}`;
    const found = left.get(key) ?? [];
    left.delete(key);
    return found;
  });
  return [...known, ...left.values()];
}

/** Folders first, by name. */
function sorted(rows: readonly Row[], { key, isDescending }: Sorting): Row[] {
  const sign = isDescending ? -1 : 1;
  return [...rows].sort((left, right) => {
    if (left.kind === "folder" || right.kind === "folder") {
      if (left.kind !== right.kind) return left.kind === "folder" ? -1 : 1;
      return collator.compare(left.name, right.name) * (key === "name" ? sign : 1);
    }
    if (key === "size") return (left.size - right.size) * sign;
    if (key === "modified") return (left.modified < right.modified ? -1 : left.modified > right.modified ? 1 : 0) * sign;
    return collator.compare(left.label, right.label) * sign;
  });
}

/** Case and accents do not matter to somebody who searches. */
const folded = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
