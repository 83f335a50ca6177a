/**
 * Which local file belongs to which unfinished upload: kept in this browser, so that after a reload the same file, dropped again,
 * continues. The server keeps the bytes; here are only names, sizes and times.
 *
 * A browser without storage (a private window may refuse it) forgets; then name and size decide, and the first bytes are compared.
 */

import type { Creation } from "./possession.ts";

const KEY = "troupe.unfinished";
const QUESTIONS_KEY = "troupe.questions";
const ENTRIES_MAX = 500;

export interface Fingerprint {
  readonly uploadId: string;
  /** With its folders. */
  readonly name: string;
  readonly user: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

export function remember(entry: Fingerprint): void {
  write([...read().filter(({ uploadId }) => uploadId !== entry.uploadId), entry].slice(-ENTRIES_MAX));
}

export function forget(uploadId: string): void {
  const entries = read();
  const rest = entries.filter((entry) => entry.uploadId !== uploadId);
  if (rest.length !== entries.length) write(rest);
}

export function forgetAll(): void {
  write([]);
  store(QUESTIONS_KEY, []);
}

/** Uploads that only ask whether the server has some content, from before they are begun. One that a reload interrupted is nobody's: it is cancelled. */
export function rememberQuestion(question: Creation): void {
  store(QUESTIONS_KEY, [...read<Creation>(QUESTIONS_KEY), question].slice(-ENTRIES_MAX));
}

export function forgetQuestion({ idempotencyKey }: Creation): void {
  store(
    QUESTIONS_KEY,
    read<Creation>(QUESTIONS_KEY).filter((other) => other.idempotencyKey !== idempotencyKey),
  );
}

export function openQuestions(): readonly Creation[] {
  return read<Creation>(QUESTIONS_KEY);
}

/** All that this browser knows. */
export function fingerprints(): readonly Fingerprint[] {
  return read();
}

/**
 * The upload that was begun with exactly this file, of those that are remembered.
 * @param path of the file without the folder it is dropped into: it may be dropped into another one than before
 */
export function uploadOf(
  path: string,
  user: string,
  { size, lastModified }: File,
  remembered: readonly Fingerprint[],
): Fingerprint | undefined {
  return remembered.find(
    (entry) =>
      entry.user === user &&
      entry.bytes === size &&
      entry.modifiedMs === lastModified &&
      (entry.name === path || entry.name.endsWith(`/${path}`)),
  );
}

function read<Entry = Fingerprint>(key = KEY): Entry[] {
  try {
    const entries: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(entries) ? entries : [];
  } catch {
    // Refused, or not ours: then there is nothing to remember.
    return [];
  }
}

function write(entries: readonly Fingerprint[]): void {
  store(KEY, entries);
}

function store(key: string, entries: readonly unknown[]): void {
  try {
    localStorage.setItem(key, JSON.stringify(entries));
  } catch {
    // Refused or full: the upload can still be found by name and size.
  }
}
