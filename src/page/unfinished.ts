/** Uploads the server keeps that nobody here is sending: after a reload, or begun elsewhere. Their files have to be dropped again. */
import type { ListedUpload, UploadStatus } from "./answers.ts";
import { forget } from "./fingerprints.ts";
import { cancelOldQuestions, cancelUpload } from "./possession.ts";
import { ask } from "./server.ts";
import { Watched } from "./store.ts";

const LISTED_MAX = 1000;
/** The newest are told with how much of them there is. */
const DETAILED_MAX = 20;

export interface Unfinished extends ListedUpload {
  readonly receivedBytes?: number;
  /** All its bytes are there: it only has to be finished. */
  readonly isWhole?: boolean;
}

export class UnfinishedUploads extends Watched {
  list: readonly Unfinished[] = [];

  /** Once, before anything is sent: what the page asked when it was left is not the user's. */
  async tidy(): Promise<void> {
    await cancelOldQuestions();
  }

  /** @throws what {@link ask} throws */
  async load(): Promise<void> {
    const { uploads } = (await ask<{ uploads: ListedUpload[] }>("GET", `/api/v1/uploads?state=receiving&limit=${LISTED_MAX}`)).value;
    // An upload of unknown size is some program's stream; no file that is dropped here could be it.
    const known = uploads.filter(({ size }) => size !== undefined);
    this.list = await Promise.all(known.map((upload, index) => (index < DETAILED_MAX ? withProgress(upload) : upload)));
    this.changed();
  }

  async cancel(upload: Unfinished): Promise<void> {
    await cancelUpload(upload.uploadId);
    forget(upload.uploadId);
    this.#remove(upload);
  }

  /** Makes the file of an upload that has all its bytes. */
  async finish(upload: Unfinished): Promise<void> {
    await ask("POST", `/api/v1/uploads/${upload.uploadId}/merge`);
    forget(upload.uploadId);
    this.#remove(upload);
  }

  #remove({ uploadId }: Unfinished): void {
    this.list = this.list.filter((other) => other.uploadId !== uploadId);
    this.changed();
  }
}

async function withProgress(upload: ListedUpload): Promise<Unfinished> {
  try {
    const { receivedBytes, missing } = (await ask<UploadStatus>("GET", `/api/v1/uploads/${upload.uploadId}`)).value;
    return { ...upload, receivedBytes, isWhole: missing.length === 0 };
  } catch {
    // Its host may be away for a moment; it is unfinished all the same.
    return upload;
  }
}
