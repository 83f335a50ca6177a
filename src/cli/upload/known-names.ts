/** What the server has under the names of a folder, or under one name: what is uploaded again need not be sent. */
import type { StoredFile } from "../../client/answers.ts";
import type { TroupeClient } from "../../client/troupe-client.ts";
import { CLIENT_NAMES_MAX, PAGE_ITEMS_MAX } from "../../core/limits.ts";

type Labels = { readonly app: string; readonly user: string };

export class KnownNames {
  readonly #client: TroupeClient;
  readonly #labels: Labels;
  readonly #signal: AbortSignal;
  #prefix: string | undefined;
  #loading: Promise<ReadonlyMap<string, StoredFile>> = Promise.resolve(new Map());

  constructor(client: TroupeClient, labels: Labels, signal: AbortSignal) {
    this.#client = client;
    this.#labels = labels;
    this.#signal = signal;
  }

  /**
   * The newest file of that name, of a folder when it is one of a folder's. One folder's names are held at a time, and no more than a
   * bound of them: the rest counts as unknown.
   */
  async find(folderName: string | undefined, name: string): Promise<StoredFile | undefined> {
    if (folderName === undefined) return (await this.#load(name, PAGE_ITEMS_MAX)).get(name);
    const prefix = `${folderName}/`;
    if (prefix !== this.#prefix) {
      this.#prefix = prefix;
      this.#loading = this.#load(prefix, CLIENT_NAMES_MAX);
    }
    const loading = this.#loading;
    try {
      return (await loading).get(name);
    } catch (error) {
      // Whoever asks again shall not hear the same.
      if (this.#loading === loading) this.#prefix = undefined;
      throw error;
    }
  }

  async #load(prefix: string, countMax: number): Promise<ReadonlyMap<string, StoredFile>> {
    const files = new Map<string, StoredFile>();
    let count = 0;
    for await (const page of this.#client.allFiles({ ...this.#labels, prefix, limit: PAGE_ITEMS_MAX }, this.#signal)) {
      // The newest come first.
      for (const file of page) if (!files.has(file.name)) files.set(file.name, file);
      count += page.length;
      // Of what is listed, not of what is kept: many may have one name.
      if (count >= countMax) break;
    }
    return files;
  }
}
