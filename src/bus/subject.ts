/**
 * Subjects and subscription patterns: which text is one, and which pattern hears which subject.
 *
 * U1: a subject has no wildcards, so that a value which slipped into one can never widen it.
 * U2: every adapter refuses by these rules before anything leaves the process, hence they all refuse the same.
 */
import { TroupeError } from "../core/errors.ts";
import { SUBJECT_BYTES_MAX } from "../core/limits.ts";

/** Below this an inbox is anybody's. */
export const INBOX_PREFIX = "_INBOX.";
const INBOX = /^_INBOX(_[A-Za-z0-9-]+)?\./;

// Visible ASCII without '.', '*' and '>': no space, no control character, one byte a character.
const TOKEN = "[!-)+\\-/-=?-~]+";
const SUBJECT = new RegExp(`^${TOKEN}(\\.${TOKEN})*$`);
const PATTERN = new RegExp(`^(${TOKEN}|\\*)(\\.(${TOKEN}|\\*))*(\\.>)?$|^>$`);
const QUEUE = new RegExp(`^${TOKEN}$`);
const SHOWN_CHARACTERS_MAX = 40;

export function isSubject(text: string): boolean {
  return text.length <= SUBJECT_BYTES_MAX && SUBJECT.test(text);
}

/** A subject in which a token may be `*` (any one token) and the last one `>` (one or more tokens). */
export function isSubjectPattern(text: string): boolean {
  return text.length <= SUBJECT_BYTES_MAX && PATTERN.test(text);
}

/**
 * Whether a subject is an inbox, where answers go: `_INBOX.…`, or `_INBOX_tracker.…` of users who may hear no other inbox than theirs. A
 * reply subject that is none could be somebody's command.
 */
export function isInbox(text: string): boolean {
  return INBOX.test(text) && isSubject(text);
}

/** Whose inbox it is: its first two tokens are the same for all inboxes of one connection, and differ between connections. */
export function inboxOwner(inbox: string): string {
  return inbox.split(".", 2).join(".");
}

/** @throws {TroupeError} `BAD_IDENTITY` */
export function checkSubject(text: string): void {
  if (!isSubject(text)) throw new TroupeError("BAD_IDENTITY", `${shown(text)} is not a subject.`);
}

/** @throws {TroupeError} `BAD_IDENTITY` */
export function checkSubjectPattern(text: string): void {
  if (!isSubjectPattern(text)) throw new TroupeError("BAD_IDENTITY", `${shown(text)} is not a subject to subscribe.`);
}

/** The name of a queue group is one token. @throws {TroupeError} `BAD_IDENTITY` */
export function checkQueue(text: string): void {
  if (text.length > SUBJECT_BYTES_MAX || !QUEUE.test(text))
    throw new TroupeError("BAD_IDENTITY", `${shown(text)} is not the name of a queue group.`);
}

export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return tokens.length > index;
    if (index >= tokens.length || (token !== "*" && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX));
}
