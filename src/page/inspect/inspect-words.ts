/** Times and states as the inspector says them. */
import { withoutDigests } from "./value-text.ts";

/** `3 ms`, `1.2 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`. */
export function durationText(durationMs: number): string {
  if (durationMs < 1) return durationMs <= 0 ? "0 ms" : "< 1 ms";
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 10_000) return `${(Math.floor(durationMs / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(durationMs / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}

export function clockText(wallMs: number): string {
  const time = new Date(wallMs);
  return `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

export function dayText(iso: string): string {
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? date.toLocaleTimeString("en-GB") : date.toLocaleDateString(undefined, { dateStyle: "medium" });
}

/** A sentence of the server's, as somebody here reads it: times by the clock on the wall, digests short. */
export function readable(sentence: string): string {
  const withTimes = sentence.replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, (iso) =>
    new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
  );
  return withoutDigests(withTimes);
}

const ENDED = new Set(["merged", "cancelled", "expired", "failed"]);
export const isOver = (state: string): boolean => ENDED.has(state);

/** A state's own name: the last part of its path. */
export const stateName = (path: string): string => path.slice(path.lastIndexOf(".") + 1);
