/**
 * What a log line may hold: facts without secrets, bounded in depth and length, errors spelled out with their causes.
 *
 * R1: the value under a key that names a secret is never written, at any depth that is written at all.
 * R2: credentials inside a URL are cut out of every text.
 */
import { RETRY, TroupeError } from "../core/errors.ts";

const HIDDEN = "[redacted]";
/** What lies deeper is not written: a log line is no place for a tree. */
const DEPTH_MAX = 6;
const CAUSES_MAX = 5;
const ITEMS_MAX = 100;
const TEXT_LENGTH_MAX = 8_192;

/** `token`, `dataToken`, `proxy-authorization`, `set-cookie`, `passwords`, … */
const SECRET_KEY = /(token|authorization|cookie|secret|password)s?$/i;
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#]+@/gi;
const QUERY_SECRET = /([?&;](?:[a-z0-9_-]*(?:token|secret|password|signature)|sig)=)[^&;\s"'#]+/gi;
const BEARER = /\b(bearer|basic) +[a-z0-9+/=._~-]+/gi;

export type LogFacts = Readonly<Record<string, unknown>>;

export function redactedFacts(facts: LogFacts): Record<string, unknown> {
  return redactedEntries(Object.entries(facts), 1);
}

export function redactedText(text: string): string {
  const shown = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}… (${text.length} characters)` : text;
  return shown.replaceAll(URL_CREDENTIALS, `$1${HIDDEN}@`).replaceAll(QUERY_SECRET, `$1${HIDDEN}`).replaceAll(BEARER, `$1 ${HIDDEN}`);
}

function redactedEntries(entries: readonly (readonly [string, unknown])[], depth: number): Record<string, unknown> {
  const shown = entries.slice(0, ITEMS_MAX).map(([key, value]) => [key, SECRET_KEY.test(key) ? HIDDEN : redactedValue(value, depth)]);
  if (entries.length > ITEMS_MAX) shown.push(["…", `${entries.length - ITEMS_MAX} more`]);
  return Object.fromEntries(shown);
}

function redactedValue(value: unknown, depth: number): unknown {
  if (typeof value === "string") return redactedText(value);
  if (typeof value === "bigint" || typeof value === "symbol") return String(value);
  if (typeof value === "function") return "[function]";
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof URL) return redactedText(value.href);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (depth >= DEPTH_MAX) return "[deeper]";
  if (value instanceof Error) return redactedError(value, depth, CAUSES_MAX);
  if (Array.isArray(value)) return redactedItems(value, depth);
  if (value instanceof Set) return redactedItems([...value], depth);
  if (value instanceof Map)
    return redactedEntries(
      [...value].map(([key, each]) => [String(key), each]),
      depth + 1,
    );
  return redactedEntries(Object.entries(value), depth + 1);
}

function redactedItems(items: readonly unknown[], depth: number): unknown[] {
  const shown = items.slice(0, ITEMS_MAX).map((item) => redactedValue(item, depth + 1));
  return items.length > ITEMS_MAX ? [...shown, `… ${items.length - ITEMS_MAX} more`] : shown;
}

/** The first error has its stack, unless it is expected; causes have what tells them apart. */
function redactedError(error: Error, depth: number, causesLeft: number): Record<string, unknown> {
  const code: unknown = "code" in error ? error.code : undefined;
  const cause: unknown = error.cause;
  return {
    type: error.name,
    message: redactedText(error.message),
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(error instanceof TroupeError && Object.keys(error.facts).length > 0 ? { facts: redactedValue(error.facts, depth) } : {}),
    ...(causesLeft === CAUSES_MAX && error.stack !== undefined && !isExpected(error) ? { stack: redactedText(error.stack) } : {}),
    ...(error instanceof AggregateError ? { errors: redactedItems(error.errors, depth) } : {}),
    ...(cause === undefined || causesLeft === 0
      ? {}
      : { cause: cause instanceof Error ? redactedError(cause, depth, causesLeft - 1) : redactedValue(cause, depth) }),
  };
}

/** Something that is away or busy: where in the code that was noticed helps nobody, and an outage writes many such lines. */
function isExpected(error: Error): boolean {
  return error instanceof TroupeError && error.retry === RETRY.later && error.status !== 500;
}
