/** All files that were dropped: some on their way, the others waiting their turn. */
import type { ListedUpload } from "./answers.ts";
import type { LocalFile } from "./dropped.ts";
import { type Fingerprint, fingerprints, uploadOf } from "./fingerprints.ts";
import { Siblings } from "./siblings.ts";
import { Watched } from "./store.ts";
import { Transfer, type TransferPlan } from "./transfer.ts";

/** Small files spend their time waiting for answers, so some go at once; their chunks share the lanes. */
const ACTIVE_MAX = 4;
const TICK_MS = 500;
const CHANGED_MS = 50;
/** Rows of what is done; what was done before that is counted, and can be found in the listing. */
const DONE_KEPT = 50;
export const FILES_MAX = 20_000;

export class Transfers extends Watched {
  list: Transfer[] = [];
  /** Of all that were done, those without a row too. */
  uploadedCount = 0;
  thereCount = 0;
  /** Called when one has ended, was paused or failed. */
  onEnded: () => void = () => undefined;
  #lastId = 0;
  #timer: number | undefined;

  constructor() {
    super(CHANGED_MS);
  }

  /**
   * @param unfinished what the server says is unfinished, to go on with
   * @returns how many were taken
   */
  add(files: readonly LocalFile[], folder: string, user: string, unfinished: readonly ListedUpload[]): number {
    const taken = files.slice(0, Math.max(0, FILES_MAX - this.list.length));
    const claimed = new Set(this.list.flatMap(({ uploadId }) => uploadId ?? []));
    const remembered = fingerprints();
    const siblings = new Siblings(
      user,
      folder,
      taken.map(({ path }) => folder + path),
    );
    for (const { file, path } of taken) {
      const open = unfinished.filter((upload) => !claimed.has(upload.uploadId) && upload.user === user && upload.size === file.size);
      const known = matching(file, folder, path, user, open, remembered);
      if (known !== undefined) claimed.add(known.uploadId);
      this.#lastId += 1;
      const plan = { file, name: folder + path, user, siblings, ...known };
      this.list.push(new Transfer(this.#lastId, plan, () => this.changed()));
    }
    this.#startNext();
    return taken.length;
  }

  resume(transfer: Transfer): void {
    transfer.wait();
    this.#startNext();
  }

  async cancel(transfer: Transfer): Promise<void> {
    this.list = this.list.filter((other) => other !== transfer);
    this.changed();
    this.#startNext();
    await transfer.cancel();
  }

  clearDone(): void {
    this.list = this.list.filter(({ state }) => state !== "done");
    this.uploadedCount = 0;
    this.thereCount = 0;
    this.changed();
  }

  pauseAll(): void {
    for (const transfer of this.list) transfer.pause();
  }

  resumeAll(): void {
    for (const transfer of this.list) transfer.wait();
    this.#startNext();
  }

  /** Something would be lost from sight by leaving the page. */
  get isBusy(): boolean {
    return this.list.some(({ isActive, state }) => isActive || state === "queued");
  }

  #startNext(): void {
    let active = this.list.filter(({ isActive }) => isActive).length;
    for (const transfer of this.list) {
      if (active >= ACTIVE_MAX) break;
      if (transfer.state !== "queued") continue;
      active += 1;
      void transfer.start().then(() => this.#ended(transfer));
    }
    this.#timer ??= active > 0 ? window.setInterval(() => this.#tick(), TICK_MS) : undefined;
    this.changed();
  }

  #ended(transfer: Transfer): void {
    if (transfer.state === "done") {
      if (transfer.isThere) this.thereCount += 1;
      else this.uploadedCount += 1;
      const done = this.list.filter(({ state }) => state === "done");
      const surplus = new Set(done.slice(0, Math.max(0, done.length - DONE_KEPT)));
      if (surplus.size > 0) this.list = this.list.filter((other) => !surplus.has(other));
    }
    this.#startNext();
    this.onEnded();
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const transfer of this.list) transfer.tick(nowMs);
    if (!this.list.some(({ isActive }) => isActive)) {
      window.clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.changed();
  }
}

/** By this browser's memory first; otherwise an upload of the same name and size, whose bytes have to be looked at. */
function matching(
  file: File,
  folder: string,
  path: string,
  user: string,
  unfinished: readonly ListedUpload[],
  remembered: readonly Fingerprint[],
): (Pick<TransferPlan, "name" | "isGuess"> & { readonly uploadId: string }) | undefined {
  if (unfinished.length === 0) return undefined;
  const known = uploadOf(path, user, file, remembered);
  if (known !== undefined && unfinished.some(({ uploadId }) => uploadId === known.uploadId))
    return { uploadId: known.uploadId, name: known.name, isGuess: false };
  const similar = unfinished.find(({ name }) => name === folder + path);
  return similar && { uploadId: similar.uploadId, name: similar.name, isGuess: true };
}
