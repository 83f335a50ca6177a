/**
 * Conditional requests: the fields of RFC 9110 section 13.1, evaluated in the order of section 13.2.2. Pure.
 *
 * C1: If-Match wins over If-Unmodified-Since, If-None-Match over If-Modified-Since; a date that cannot be read is no condition.
 * C2: If-Match and If-Range compare strongly, If-None-Match weakly.
 */
import { parseHttpDate } from "./http-date.ts";

/** What the server would send: its strong entity tag, quoted, and when it was last modified. */
export interface Validators {
  readonly etag: string;
  /** Milliseconds since 1970; only whole seconds count. */
  readonly modifiedMs: number;
}

/** Fields by lowercase name. */
type Fields = Readonly<Record<string, string | undefined>>;

export type ConditionOutcome = "proceed" | "not-modified" | "failed";

/** @param nowMs wall time, for two-digit years only */
export function evaluateConditions(method: string, fields: Fields, current: Validators, nowMs: number): ConditionOutcome {
  const isRead = method === "GET" || method === "HEAD";
  const modifiedSeconds = Math.floor(current.modifiedMs / 1000);
  const seconds = (field: string | undefined): number | undefined => {
    const ms = field === undefined ? undefined : parseHttpDate(field, nowMs);
    return ms === undefined ? undefined : ms / 1000;
  };
  const { "if-match": match, "if-none-match": noneMatch } = fields;

  if (match !== undefined) {
    if (!matches(match, current.etag, strongEqual)) return "failed";
  } else {
    const since = seconds(fields["if-unmodified-since"]);
    if (since !== undefined && modifiedSeconds > since) return "failed";
  }
  if (noneMatch !== undefined) return matches(noneMatch, current.etag, weakEqual) ? (isRead ? "not-modified" : "failed") : "proceed";
  const since = isRead ? seconds(fields["if-modified-since"]) : undefined;
  return since !== undefined && modifiedSeconds <= since ? "not-modified" : "proceed";
}

/** Whether a Range field counts: there is no If-Range, or it names exactly what the server would send. */
export function rangeApplies(ifRange: string | undefined, current: Validators, nowMs: number): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) return strongEqual(ifRange, current.etag);
  const date = parseHttpDate(ifRange, nowMs);
  return date !== undefined && date === Math.floor(current.modifiedMs / 1000) * 1000;
}

const NEXT_TAG = /[ \t,]*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")/y;

function matches(field: string, etag: string, equal: (one: string, other: string) => boolean): boolean {
  if (field.trim() === "*") return true;
  NEXT_TAG.lastIndex = 0;
  // Ends with the list, or at something that is no entity tag: what came before it has been compared.
  for (let tag = NEXT_TAG.exec(field); tag !== null; tag = NEXT_TAG.exec(field)) if (equal(tag[1] as string, etag)) return true;
  return false;
}

const isWeak = (tag: string): boolean => tag.startsWith("W/");
const opaque = (tag: string): string => (isWeak(tag) ? tag.slice(2) : tag);
const strongEqual = (one: string, other: string): boolean => !isWeak(one) && !isWeak(other) && one === other;
const weakEqual = (one: string, other: string): boolean => opaque(one) === opaque(other);
