/**
 * The Log over pino: JSON lines for programs, one plain line an event on a terminal. Secrets are cut out on the way in, so neither
 * form can show one.
 */
import { pino } from "pino";
import { HARMFUL } from "../core/harmful-text.ts";
import type { Log } from "../core/log.ts";
import { currentTrace } from "../core/trace.ts";
import { redactedFacts, redactedText } from "./log-redaction.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where lines go, each with its line feed; `process.stderr` is one. */
export interface LogDestination {
  write(line: string): unknown;
  readonly isTTY?: boolean;
}

export function createLog(level: LogLevel, destination: LogDestination = process.stderr): Log {
  const stream = destination.isTTY === true ? { write: (line: string) => void destination.write(forPeople(line)) } : destination;
  return wrapped(
    pino(
      {
        level,
        // Neither process nor machine: whoever runs several tells them apart by the facts the root child has.
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        // An error is serialised before it gets there, with its causes.
        serializers: { err: (value: unknown) => value },
      },
      { write: (line) => void stream.write(line) },
    ),
  );
}

type Line = pino.Logger;
type Severity = Exclude<LogLevel, "silent">;

function wrapped(line: Line): Log {
  const write = (level: Severity) => (facts: Readonly<Record<string, unknown>>, sentence: string) => {
    if (line.isLevelEnabled(level)) line[level]({ ...traceFacts(), ...redactedFacts(facts) }, redactedText(sentence));
  };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (facts) => wrapped(line.child(redactedFacts(facts))),
  };
}

/** By the ID that the client of a request was told, its lines are found in the logs of all processes. */
function traceFacts(): { readonly requestId?: string; readonly traceId?: string } {
  const trace = currentTrace();
  if (trace === undefined) return {};
  const { requestId, traceId } = trace;
  return requestId === undefined ? { traceId } : { requestId, traceId };
}

const COLOURS: Readonly<Record<string, string>> = { debug: "\u001b[2m", warn: "\u001b[33m", error: "\u001b[31m" };
const PLAIN = "\u001b[0m";

/** One JSON line as a person reads it: time of day, level, sentence, facts; an error's stack on lines of its own. */
function forPeople(jsonLine: string): string {
  const { time, level, msg, ...facts } = JSON.parse(jsonLine) as Record<string, unknown>;
  const stacks: string[] = [];
  const words = Object.entries(facts).map(([key, value]) => `${key}=${inWords(value, stacks)}`);
  const label = String(level);
  const text = [String(time).slice(11, 23), label.toUpperCase().padEnd(5), String(msg), ...words].join(" ");
  const indented = stacks.flatMap((stack) => stack.split("\n")).map((each) => `\n    ${printable(each.trim())}`);
  return `${COLOURS[label] ?? ""}${printable(text)}${COLOURS[label] === undefined ? "" : PLAIN}${indented.join("")}\n`;
}

function inWords(value: unknown, stacks: string[]): string {
  if (typeof value === "string") return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === "object" && value !== null && "stack" in value && typeof value.stack === "string") {
    const { stack, ...rest } = value;
    stacks.push(stack);
    return JSON.stringify(rest);
  }
  return JSON.stringify(value);
}

/** Names come from anywhere. */
function printable(text: string): string {
  return text.replace(HARMFUL, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}
