/** A trace as lines: when each span began and how long it took, a bar of it in the whole, where it was, what it was, and how it ended. */
import type { TracedSpan, TraceReport } from "../../client/inspection-answers.ts";
import { printable } from "../table.ts";
import { shortDuration, timeOfDay } from "../time-text.ts";
import { linesOf, type SpanLine } from "./span-tree.ts";

const BAR_COLUMNS = 20;
/** Narrower, there is no bar; and narrower still, no process. */
const COLUMNS_WITH_BAR = 100;
const COLUMNS_WITH_PROCESS = 72;
/** A shorter wait in a mailbox is none. */
const WAITED_TOLD_MS = 1;

interface Frame {
  readonly startMs: number;
  readonly lengthMs: number;
  readonly processColumns: number;
  readonly columns: number;
}

/** @param nowMs by the wall clock, until when what is under way has taken its time */
export function traceText(report: TraceReport, columns: number, nowMs: number): string {
  const { spans } = report;
  const startMs = Math.min(...spans.map((span) => span.startMs));
  const endMs = Math.max(...spans.map((span) => span.startMs + lengthOf(span, nowMs)));
  const processColumns = Math.max(...spans.map(({ nodeId }) => [...printable(nodeId)].length));
  const frame: Frame = { startMs, lengthMs: Math.max(endMs - startMs, 0.001), processColumns, columns };
  const lines = linesOf(report).map((line) => lineText(line, frame, nowMs));
  return `${headText(report, frame)}${lines.map((line) => `${line}\n`).join("")}`;
}

function headText({ spans }: TraceReport, { startMs, lengthMs }: Frame): string {
  const traces = new Set(spans.map(({ traceId }) => traceId));
  const traceText = traces.size === 1 ? `trace ${[...traces][0]}` : `${traces.size} traces`;
  return `${traceText}, from ${timeOfDay(startMs)}, ${shortDuration(lengthMs)}\n`;
}

function lineText(line: SpanLine, frame: Frame, nowMs: number): string {
  const { depth, spans, folded } = line;
  const [first] = spans;
  const cells = [
    `+${shortDuration(Math.max(0, first.startMs - frame.startMs))}`.padStart(8),
    durationCell(line, nowMs).padStart(8),
    ...(frame.columns >= COLUMNS_WITH_BAR ? [barOf(line, frame, nowMs)] : []),
    ...(frame.columns >= COLUMNS_WITH_PROCESS ? [printable(first.nodeId).padEnd(frame.processColumns)] : []),
  ];
  const name = `${" ".repeat(2 * depth)}${printable(first.name)}`;
  return [...cells, folded === undefined ? `${name}${endText(first)}` : `${name}${foldedText(folded)}`].join("  ");
}

function durationCell({ spans: [first], folded }: SpanLine, nowMs: number): string {
  return shortDuration(folded?.totalMs ?? lengthOf(first, nowMs));
}

function foldedText({ count, failedCount, maxMs }: NonNullable<SpanLine["folded"]>): string {
  return `  x${count}, the longest ${shortDuration(maxMs)}${failedCount === 0 ? "" : `, ${failedCount} failed`}`;
}

function endText({ outcome, waitedMs = 0 }: TracedSpan): string {
  const notes = [
    ...(waitedMs >= WAITED_TOLD_MS ? [`waited ${shortDuration(waitedMs)}`] : []),
    ...(outcome === undefined ? ["UNDER WAY"] : outcome === "ok" ? [] : [outcome]),
  ];
  return notes.length === 0 ? "" : `  ${printable(notes.join(", "))}`;
}

function barOf({ spans }: SpanLine, { startMs, lengthMs }: Frame, nowMs: number): string {
  const cells = new Array<string>(BAR_COLUMNS).fill(".");
  for (const span of spans) {
    const first = Math.min(BAR_COLUMNS - 1, Math.floor(((span.startMs - startMs) / lengthMs) * BAR_COLUMNS));
    const end = Math.ceil(((span.startMs + lengthOf(span, nowMs) - startMs) / lengthMs) * BAR_COLUMNS);
    cells.fill(span.durationMs === undefined ? ">" : "#", Math.max(0, first), Math.max(first + 1, end));
  }
  return `[${cells.join("")}]`;
}

function lengthOf({ startMs, durationMs }: TracedSpan, nowMs: number): number {
  return durationMs ?? Math.max(0, nowMs - startMs);
}
