/**
 * The uploads there are, newest first: pages come as one scrolls, and what is in sight is looked at again now and then.
 *
 * Q1: an answer that comes after something else was asked is thrown away.
 * Q2: what is kept is bounded; past that the page says so.
 * Q3: however many there are, a round asks for one page and for the few states in sight.
 */
import { persist } from "../patience.ts";
import { ask } from "../server.ts";
import { Watched } from "../store.ts";
import { errorText } from "../words.ts";
import type { ListedSession, SessionStatus, SessionsPage } from "./inspect-answers.ts";
import { ALL_SESSIONS, type SessionFilter } from "./inspect-place.ts";
import { isOver } from "./inspect-words.ts";

const PAGE_SESSIONS = 500;
/** What a round asks for again: more than come in three seconds. */
const NEWEST_SESSIONS = 60;
export const SESSIONS_MAX = 100_000;
const ROUND_MS = 3_000;
/** States that are asked for in a round: the rows of a tall window. */
const LIVE_MAX = 40;

interface Wanted {
  readonly limit: number;
  readonly cursor?: string | undefined;
  /** The next page is waited for; a round comes again anyway. */
  readonly isPatient?: true;
}

export class SessionList extends Watched {
  rows: readonly ListedSession[] = [];
  filter = ALL_SESSIONS;
  isLoading = false;
  /** All there are, as far as was told. */
  isWhole = false;
  message: string | undefined;
  /** What uploads in sight are in at this moment, by their ID. */
  readonly live = new Map<string, SessionStatus>();
  #cursor: string | undefined;
  #load = new AbortController();
  #round: number | undefined;
  #inSight: readonly string[] = [];
  /** The list begins in sight, so that what is new may appear there. */
  #isAtTop = true;
  #isBusy = false;
  #soon: number | undefined;

  set isLookedAt(isLookedAt: boolean) {
    clearInterval(this.#round);
    this.#round = isLookedAt ? window.setInterval(() => void this.#look(), ROUND_MS) : undefined;
    if (!isLookedAt) return;
    if (this.rows.length === 0 && !this.isLoading) void this.more();
    else void this.#look();
  }

  /** It is asked for once the list is looked at. */
  choose(filter: SessionFilter): void {
    if (filter.state === this.filter.state && filter.search === this.filter.search) return;
    this.filter = filter;
    this.#forget();
    if (this.#round !== undefined) void this.more();
  }

  #forget(): void {
    this.#load.abort();
    this.#load = new AbortController();
    this.rows = [];
    this.#cursor = undefined;
    this.isWhole = false;
    this.isLoading = false;
    this.message = undefined;
  }

  /** The next page, unless it is on its way or there is none. */
  async more(): Promise<void> {
    if (this.isLoading || this.isWhole) return;
    const { signal } = this.#load;
    this.isLoading = true;
    this.changed();
    try {
      const { uploads, cursor } = await this.#page({ limit: PAGE_SESSIONS, cursor: this.#cursor, isPatient: true }, signal);
      const known = new Set(this.rows.map(({ uploadId }) => uploadId));
      this.rows = [...this.rows, ...uploads.filter(({ uploadId }) => !known.has(uploadId))];
      this.#cursor = cursor;
      // Q2
      this.isWhole = cursor === undefined || this.rows.length >= SESSIONS_MAX;
      this.message = undefined;
    } catch (error) {
      // Q1
      if (signal.aborted) return;
      this.message = errorText(error);
      this.isWhole = true;
    }
    this.isLoading = false;
    this.changed();
  }

  /** @param first the number of the first row in sight */
  sees(first: number, last: number): void {
    this.#isAtTop = first === 0;
    this.#inSight = this.rows
      .slice(first, last)
      .filter(({ uploadId, state }) => !isOver(state) && !isOver(this.live.get(uploadId)?.state ?? ""))
      .map(({ uploadId }) => uploadId)
      .slice(0, LIVE_MAX);
    const isNew = this.#inSight.some((uploadId) => !this.live.has(uploadId));
    if (isNew && this.#round !== undefined) this.#lookSoon();
  }

  #lookSoon(): void {
    this.#soon ??= window.setTimeout(() => {
      this.#soon = undefined;
      void this.#lookAtSight(this.#load.signal);
    }, 250);
  }

  /** Q3 */
  async #look(): Promise<void> {
    if (this.#isBusy || this.isLoading) return;
    this.#isBusy = true;
    const { signal } = this.#load;
    try {
      if (this.#isAtTop) this.#isNow(await this.#page({ limit: NEWEST_SESSIONS }, signal));
      await this.#lookAtSight(signal);
    } catch {
      // The next round looks again.
    } finally {
      this.#isBusy = false;
    }
  }

  async #lookAtSight(signal: AbortSignal): Promise<void> {
    const ids = this.#inSight;
    const found = await Promise.allSettled(ids.map((uploadId) => ask<SessionStatus>("GET", `/api/v1/uploads/${uploadId}`, { signal })));
    if (signal.aborted) return;
    // What is out of sight is not kept: its state would be an old one.
    this.live.clear();
    found.forEach((answer, index) => {
      if (answer.status === "fulfilled") this.live.set(ids[index] as string, answer.value.value);
    });
    this.changed();
  }

  /** The newest page, told again: what is new comes first, and what was known is as it is now. */
  #isNow({ uploads, cursor }: SessionsPage): void {
    const told = new Map(uploads.map((upload) => [upload.uploadId, upload]));
    const known = new Set(this.rows.map(({ uploadId }) => uploadId));
    // More came than a round asks for.
    if (cursor !== undefined && !uploads.some(({ uploadId }) => known.has(uploadId))) {
      this.#forget();
      return void this.more();
    }
    const oldest = uploads.at(-1)?.created;
    // What was in reach of the page and is not in it has left the list.
    const isKept = ({ uploadId, created }: ListedSession): boolean =>
      told.has(uploadId) || (cursor !== undefined && oldest !== undefined && created <= oldest);
    const kept = this.rows.filter(isKept).map((row) => told.get(row.uploadId) ?? row);
    this.rows = [...uploads.filter(({ uploadId }) => !known.has(uploadId)), ...kept];
    this.changed();
  }

  async #page({ limit, cursor, isPatient }: Wanted, signal: AbortSignal): Promise<SessionsPage> {
    const { state, search } = this.filter;
    const query = new URLSearchParams({ limit: String(limit) });
    if (state !== "") query.set("state", state);
    if (search !== "") query.set("search", search);
    if (cursor !== undefined) query.set("cursor", cursor);
    const work = async (): Promise<SessionsPage> => (await ask<SessionsPage>("GET", `/api/v1/uploads?${query}`, { signal })).value;
    const onWaiting = (reason: string | undefined): void => {
      this.message = reason;
      this.changed();
    };
    return isPatient === true ? await persist(work, { signal, onWaiting }) : await work();
  }
}
