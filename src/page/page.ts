/** All the page knows and what one can do on it. Views draw it and call it. */

import { Account } from "./account.ts";
import type { Cluster, ListedFile } from "./answers.ts";
import type { Gathered, LocalFile } from "./dropped.ts";
import { Listing } from "./listing.ts";
import { persist } from "./patience.ts";
import { hashOf, type Place, placeOf } from "./place.ts";
import { ask } from "./server.ts";
import { Watched } from "./store.ts";
import type { Transfer } from "./transfer.ts";
import { FILES_MAX, Transfers } from "./transfers.ts";
import { type Unfinished, UnfinishedUploads } from "./unfinished.ts";
import { countText, errorText } from "./words.ts";

const NOTICE_MS = 7_000;
/** Files that are given wait so long without a word. */
const WAITING_SAID_MS = 1_000;
const SPACE_MS = 30_000;
/** The listing is looked at again when something was stored; rarely while many files are on their way. */
const REFRESH_MS = 300;
const REFRESH_BUSY_MS = 3_000;

/** What one is asked about. */
export type Question =
  | { readonly kind: "delete"; readonly file: ListedFile }
  | { readonly kind: "rename"; readonly file: ListedFile }
  | { readonly kind: "actions"; readonly file: ListedFile }
  | { readonly kind: "link"; readonly file: ListedFile; readonly url: string }
  | { readonly kind: "cancel"; readonly name: string; readonly sentBytes: number; readonly cancel: () => Promise<void> };

export class Page extends Watched {
  readonly account = new Account(() => this.#begin());
  readonly transfers = new Transfers();
  readonly unfinished = new UnfinishedUploads();
  readonly listing = new Listing();
  cluster: Cluster | undefined;
  question: Question | undefined;
  notice: { readonly text: string; readonly isFault: boolean } | undefined;
  /** Labels of users that have files; more than one are offered. */
  users: readonly string[] = [];
  #firstLook: Promise<void> = Promise.resolve();
  #noticeTimer: number | undefined;
  #refresh: { readonly timer: number; readonly atMs: number } | undefined;

  get place(): Place {
    return this.listing.place;
  }

  start(): void {
    this.listing.place = placeOf(location.hash);
    this.transfers.onEnded = () => this.#refreshSoon();
    window.addEventListener("hashchange", () => this.#arrive());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.account.state === "in") this.#refreshSoon();
    });
    setInterval(() => void this.#loadCluster(), SPACE_MS);
    void this.account.start();
  }

  go(place: Place): void {
    location.hash = hashOf(place);
  }

  search(text: string): void {
    this.listing.open(this.place, text);
  }

  show(fileId: string | undefined): void {
    const { user, folder } = this.place;
    this.go({ user, folder, show: fileId });
  }

  async upload(files: readonly LocalFile[]): Promise<void> {
    // Files may come before anything is known, right after the page was opened.
    await this.account.answered;
    if (this.account.state !== "in") return this.fault("Sign in first, and give the files then.");
    const waiting = setTimeout(() => this.say("Waiting for the server. It goes on by itself."), WAITING_SAID_MS);
    // A file dropped right after a reload may be one of those that are unfinished.
    await this.#firstLook;
    clearTimeout(waiting);
    const taken = this.transfers.add(files, this.place.folder, this.place.user, this.unfinished.list);
    if (taken < files.length)
      this.fault(`Only ${countText(taken, "file")} were taken: ${FILES_MAX.toLocaleString("en")} can wait at a time.`);
    this.unfinished.changed();
  }

  uploadDropped({ files, unreadable }: Gathered): void {
    void this.upload(files);
    if (unreadable.length > 0)
      this.fault(`This browser could not read ${unreadable.length === 1 ? unreadable[0] : countText(unreadable.length, "file")}.`);
    else if (files.length === 0) this.fault("There was no file in what you dropped.");
  }

  ask(question: Question | undefined): void {
    this.question = question;
    this.changed();
  }

  cancelTransfer(transfer: Transfer): void {
    const cancel = (): Promise<void> => this.#try(() => this.transfers.cancel(transfer));
    this.#cancelOrAsk(transfer.name, transfer.sentBytes, cancel);
  }

  cancelUnfinished(upload: Unfinished): void {
    this.ask({
      kind: "cancel",
      name: upload.name,
      sentBytes: upload.receivedBytes ?? 0,
      cancel: () => this.#try(() => this.unfinished.cancel(upload)),
    });
  }

  async finish(upload: Unfinished): Promise<void> {
    await this.#try(() => this.unfinished.finish(upload));
    this.#refreshSoon();
  }

  /** @throws what {@link ask} throws */
  async rename(file: ListedFile, name: string): Promise<void> {
    await ask("PATCH", `/api/v1/files/${file.fileId}`, { json: { name } });
    this.say(`Renamed to ${name}.`);
    await this.listing.refresh();
  }

  /** @throws what {@link ask} throws */
  async delete(file: ListedFile): Promise<void> {
    await ask("DELETE", `/api/v1/files/${file.fileId}`);
    if (this.place.show === file.fileId) this.show(undefined);
    this.say(`Deleted ${file.name}.`);
    await this.listing.refresh();
    const isOlderThere = this.listing.rows.some((row) => row.kind === "file" && row.name === file.name && row.fileId !== file.fileId);
    if (isOlderThere) this.say(`Deleted ${file.name}. An older version of this name is shown now.`);
  }

  async copyLink(file: ListedFile): Promise<void> {
    await this.#try(async () => {
      const { value } = await ask<{ url: string; expires: string | null }>("POST", `/api/v1/files/${file.fileId}/link`, { json: {} });
      if (!(await copied(value.url))) return this.ask({ kind: "link", file, url: value.url });
      const until = value.expires === null ? "" : ` until ${new Date(value.expires).toLocaleDateString(undefined, { dateStyle: "long" })}`;
      this.say(this.account.hasTokens ? `Link copied. Whoever has it can open the file${until}.` : "Link copied.");
    });
  }

  say(text: string): void {
    this.#tell(text, false);
  }

  fault(text: string): void {
    this.#tell(text, true);
  }

  closeNotice(): void {
    this.notice = undefined;
    this.changed();
  }

  #tell(text: string, isFault: boolean): void {
    clearTimeout(this.#noticeTimer);
    this.notice = { text, isFault };
    this.#noticeTimer = window.setTimeout(() => this.closeNotice(), NOTICE_MS);
    this.changed();
  }

  #cancelOrAsk(name: string, sentBytes: number, cancel: () => Promise<void>): void {
    if (sentBytes === 0) void cancel();
    else this.ask({ kind: "cancel", name, sentBytes, cancel });
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.fault(errorText(error));
    }
  }

  #begin(): void {
    this.#arrive();
    void this.#loadCluster();
    void this.#loadUsers();
    this.#firstLook = this.#lookForUnfinished();
  }

  /** Files that are given wait for it, so it is asked until there is an answer. */
  async #lookForUnfinished(): Promise<void> {
    await quietly(() => this.unfinished.tidy());
    const patience = { signal: new AbortController().signal, onWaiting: () => undefined };
    await quietly(() => persist(() => this.unfinished.load(), patience));
  }

  #arrive(): void {
    const place = placeOf(location.hash);
    const isElsewhere = place.user !== this.place.user || place.folder !== this.place.folder;
    if (isElsewhere || this.listing.isLoading) this.listing.open(place, isElsewhere ? "" : this.listing.search);
    else this.listing.place = place;
    this.changed();
  }

  #refreshSoon(): void {
    const delayMs = this.transfers.isBusy ? REFRESH_BUSY_MS : REFRESH_MS;
    const atMs = performance.now() + delayMs;
    if (this.#refresh !== undefined && this.#refresh.atMs <= atMs) return;
    clearTimeout(this.#refresh?.timer);
    const timer = window.setTimeout(() => {
      this.#refresh = undefined;
      void this.listing.refresh();
      void this.#loadCluster();
      void this.#loadUsers();
      if (!this.transfers.isBusy) void this.#loadUnfinished();
    }, delayMs);
    this.#refresh = { timer, atMs };
  }

  /** Beside the files themselves these are comforts: what was known stays when the server does not answer. */
  async #loadCluster(): Promise<void> {
    if (this.account.state !== "in" || document.visibilityState === "hidden") return;
    await quietly(async () => {
      this.cluster = (await ask<Cluster>("GET", "/api/v1/cluster")).value;
      this.changed();
    });
  }

  async #loadUsers(): Promise<void> {
    await quietly(async () => {
      const { value } = await ask<{ folders: { name: string }[] }>("GET", "/browse/", { headers: { accept: "application/json" } });
      this.users = value.folders.map(({ name }) => name);
      this.changed();
    });
  }

  async #loadUnfinished(): Promise<void> {
    await quietly(() => this.unfinished.load());
  }
}

async function quietly(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    // Asked again with the next change.
  }
}

/** The clipboard is there in secure contexts only; the older way works over plain HTTP too. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not there, or not allowed.
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  const focused = document.activeElement;
  // What is outside of an open dialog cannot be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return isCopied;
}
