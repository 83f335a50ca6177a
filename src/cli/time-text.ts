/** Times of the server as people read them. */
import { approximateDuration } from "../config/duration.ts";

/** `2026-01-31T12:34:56.789Z` becomes `2026-01-31 12:34`, or what the clock on this machine's wall showed then. */
export function shortTime(iso: string | undefined): string {
  if (iso === undefined) return "";
  const time = new Date(iso);
  const pair = (number: number): string => String(number).padStart(2, "0");
  const date = `${time.getFullYear()}-${pair(time.getMonth() + 1)}-${pair(time.getDate())}`;
  return `${date} ${pair(time.getHours())}:${pair(time.getMinutes())}`;
}

/** `0.4ms`, `12ms`, `3.2s`, and from a minute on as people glance at it: `3m 20s`. */
export function shortDuration(durationMs: number): string {
  if (durationMs < 9.95) return `${Number(durationMs.toFixed(1))}ms`;
  if (durationMs < 999.5) return `${Math.round(durationMs)}ms`;
  return durationMs < 59_950 ? `${Number((durationMs / 1000).toFixed(1))}s` : approximateDuration(durationMs);
}

/** What the clock on this machine's wall showed: `12:34:56.789`. */
export function timeOfDay(wallMs: number): string {
  const time = new Date(wallMs);
  const [hours, minutes, seconds] = [time.getHours(), time.getMinutes(), time.getSeconds()].map((number) =>
    String(number).padStart(2, "0"),
  );
  return `${hours}:${minutes}:${seconds}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
