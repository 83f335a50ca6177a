/** The server's files whose names begin like a folder's: what a folder that is uploaded again need not send. */
import type { StoredFile } from "../../client/answers.ts";
import type { TroupeClient } from "../../client/troupe-client.ts";
import { CLIENT_NAMES_MAX, PAGE_ITEMS_MAX } from "../../core/limits.ts";

type Labels = { readonly app: string; readonly user: string };

export class KnownNames {
  readonly #client: TroupeClient;
  readonly #labels: Labels;
  readonly #signal: AbortSignal;
  #folderName: string | undefined;
  #loading: Promise<ReadonlyMap<string, StoredFile>> = Promise.resolve(new Map());

  constructor(client: TroupeClient, labels: Labels, signal: AbortSignal) {
    this.#client = client;
    this.#labels = labels;
    this.#signal = signal;
  }

  /** The newest file of that name. One folder's names are held at a time, and no more than a bound of them: the rest counts as unknown. */
  async find(folderName: string, name: string): Promise<StoredFile | undefined> {
    if (folderName !== this.#folderName) {
      this.#folderName = folderName;
      this.#loading = this.#load(folderName);
    }
    return (await this.#loading).get(name);
  }

  async #load(folderName: string): Promise<ReadonlyMap<string, StoredFile>> {
    const files = new Map<string, StoredFile>();
    let cursor: string | undefined;
    do {
      const wanted = { ...this.#labels, prefix: `${folderName}/`, limit: PAGE_ITEMS_MAX, cursor };
      const page = await this.#client.files(wanted, this.#signal);
      // The newest come first.
      for (const file of page.files) if (!files.has(file.name)) files.set(file.name, file);
      cursor = page.cursor;
    } while (cursor !== undefined && files.size < CLIENT_NAMES_MAX);
    return files;
  }
}
