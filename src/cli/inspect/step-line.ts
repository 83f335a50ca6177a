/** One step of an upload's machine, or a run of steps, as a line. */
import type { LoggedStep } from "../../core/inspection.ts";
import { printable } from "../table.ts";
import { timeOfDay } from "../time-text.ts";

const VALUE_CHARACTERS_MAX = 60;
const STATE_COLUMNS = 40;

export function stepLine({ fromMs, from, to, events, changes, isIgnored }: LoggedStep): string {
  const states = from === to ? to : `${from} -> ${to}`;
  const heard = events.map(({ event, count }) => (count === 1 ? event : `${event} x${count}`)).join(", ");
  const changed = changes.map(({ field, before, after }) => `${field} ${valueText(before)} -> ${valueText(after)}`).join(", ");
  const notes = [isIgnored === true ? "(not known in this state)" : "", changed].filter((note) => note !== "");
  const line = [timeOfDay(fromMs), states.padEnd(STATE_COLUMNS), heard, ...notes].join("  ");
  return `${printable(line).trimEnd()}\n`;
}

function valueText(value: unknown): string {
  const text = value === null || value === undefined ? "-" : typeof value === "string" ? value : JSON.stringify(value);
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX - 1)}…` : text;
}
