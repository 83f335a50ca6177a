/**
 * Durations as people write them: `500ms`, `10s`, `1.5h`, `7d`, and `0`. A number without a unit is refused, because nobody could
 * tell seconds from milliseconds.
 */
import { TroupeError } from "../core/errors.ts";

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type DurationUnit = keyof typeof UNITS_MS;
const UNITS_LARGEST_FIRST = (Object.keys(UNITS_MS) as DurationUnit[]).reverse();

/**
 * @returns whole milliseconds
 * @throws {TroupeError} `SETTING_INVALID`
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const match = /^(\d{1,16}(?:\.\d{1,9})?)\s?(ms|s|m|h|d)$/.exec(text);
  if (match === null)
    throw new TroupeError("SETTING_INVALID", "a duration is a number and a unit (ms, s, m, h, d), such as 500ms, 10s or 24h");
  const durationMs = Math.round(Number(match[1]) * UNITS_MS[match[2] as DurationUnit]);
  if (!Number.isSafeInteger(durationMs)) throw new TroupeError("SETTING_INVALID", "this duration is too long");
  return durationMs;
}

/** The shortest text that {@link parseDuration} reads back as the same duration: `24h` becomes `1d`, 1500 becomes `1500ms`. */
export function durationText(durationMs: number): string {
  if (durationMs === 0) return "0";
  const unit = UNITS_LARGEST_FIRST.find((candidate) => durationMs % UNITS_MS[candidate] === 0) ?? "ms";
  return `${durationMs / UNITS_MS[unit]}${unit}`;
}

/** For people to glance at, two units at most: `42s`, `3m 20s`, `5h 10m`, `2d 4h`. */
export function approximateDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
