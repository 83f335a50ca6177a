/**
 * What is stored already under the names of files that were dropped: each folder is listed once, and only if the one above it has it, so
 * that of a folder that is new nothing is asked. Of each the names that were dropped are kept, no more.
 *
 * Whatever cannot be found out is taken for not being there: then the file is stored once more, as a new version.
 */
import type { FolderPage } from "./answers.ts";
import { listingPath } from "./place.ts";
import { ask, Refusal } from "./server.ts";

const PAGE_FILES = 1000;
/** A folder of more than a drop may have is not read to its end. */
const PAGES_MAX = 20;

/** The newest file of a name. */
export interface Sibling {
  readonly fileId: string;
  readonly size: number;
}

interface Contents {
  /** By their full names. */
  readonly files: ReadonlyMap<string, Sibling>;
  /** With the slash they end in. */
  readonly folders: ReadonlySet<string>;
}

const NOTHING: Contents = { files: new Map(), folders: new Set() };

export class Siblings {
  readonly #user: string;
  readonly #root: string;
  readonly #names: ReadonlySet<string>;
  readonly #wantedFolders = new Set<string>();
  readonly #contents = new Map<string, Promise<Contents>>();

  /**
   * @param root the folder they were dropped into
   * @param names of all files that were dropped together, with their folders
   */
  constructor(user: string, root: string, names: Iterable<string>) {
    this.#user = user;
    this.#root = root;
    this.#names = new Set(names);
    for (const name of this.#names) {
      let folder = folderOf(name);
      for (; folder !== root && !this.#wantedFolders.has(folder); folder = parentOf(folder)) this.#wantedFolders.add(folder);
    }
  }

  /** Throws {@link Unreachable}, and the next to ask looks again. */
  async newest(name: string): Promise<Sibling | undefined> {
    return (await this.#of(folderOf(name))).files.get(name);
  }

  #of(folder: string): Promise<Contents> {
    let contents = this.#contents.get(folder);
    if (contents === undefined) {
      contents = this.#read(folder);
      this.#contents.set(folder, contents);
      contents.catch(() => this.#contents.delete(folder));
    }
    return contents;
  }

  async #read(folder: string): Promise<Contents> {
    if (folder !== this.#root && !(await this.#of(parentOf(folder))).folders.has(folder)) return NOTHING;
    const files = new Map<string, Sibling>();
    const folders = new Set<string>();
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await this.#page(folder, cursor);
      for (const { name, fileId, size } of page.files) if (this.#names.has(folder + name)) files.set(folder + name, { fileId, size });
      for (const { name } of page.folders) if (this.#wantedFolders.has(`${folder}${name}/`)) folders.add(`${folder}${name}/`);
      ({ cursor } = page);
      pages += 1;
    } while (cursor !== undefined && pages < PAGES_MAX);
    return { files, folders };
  }

  async #page(folder: string, cursor: string | undefined): Promise<FolderPage> {
    const query = new URLSearchParams({ limit: String(PAGE_FILES), ...(cursor === undefined ? {} : { cursor }) });
    const path = `${listingPath({ user: this.#user, folder })}?${query}`;
    try {
      return (await ask<FolderPage>("GET", path, { headers: { accept: "application/json" } })).value;
    } catch (error) {
      // A folder may go away between two looks.
      if (error instanceof Refusal && error.status === 404) return { folders: [], files: [] };
      throw error;
    }
  }
}

/** Empty, or with the slash it ends in. */
const folderOf = (name: string): string => name.slice(0, name.lastIndexOf("/") + 1);
const parentOf = (folder: string): string => folderOf(folder.slice(0, -1));
