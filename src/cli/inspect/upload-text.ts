/** An upload looked into, as lines for a person: first why it waits. */
import type { UploadInspection } from "../../client/inspection-answers.ts";
import { approximateSize } from "../../config/size.ts";
import { printable } from "../table.ts";
import { shortDuration, shortTime } from "../time-text.ts";
import { stepLine } from "./step-line.ts";

const STEPS_SHOWN = 12;

type Machine = NonNullable<UploadInspection["machine"]>;

/** @param nowMs by the wall clock */
export function inspectionText(uploadId: string, inspection: UploadInspection, nowMs: number): string {
  const { why, upload, host, group, machine, missing } = inspection;
  const lines: (readonly [string, string])[] = [
    ["why", why],
    ["upload", uploadId],
    ["name", upload?.name ?? "?"],
    ["state", stateText(inspection, nowMs)],
    ["progress", progressText(inspection)],
    ["node", group === undefined ? host : `${host} in ${group}`],
  ];
  if (upload?.fileId !== undefined) lines.push(["file", upload.fileId]);
  if (machine === undefined) {
    if (missing !== undefined) lines.push(["log", missing]);
    return facts(lines);
  }
  for (const { name, sinceMs } of machine.effects) lines.push(["under way", `${name} for ${shortDuration(Math.max(0, nowMs - sinceMs))}`]);
  for (const { index, sinceMs, arrivedBytes } of machine.bodies)
    lines.push([
      "arriving",
      `chunk ${index} for ${shortDuration(Math.max(0, nowMs - sinceMs))}, ${approximateSize(arrivedBytes)} of it are there`,
    ]);
  lines.push(["times", timesText(machine)]);
  return `${facts(lines)}${eventsText(machine)}`;
}

function facts(lines: readonly (readonly [string, string])[]): string {
  return lines.map(([title, text]) => `${title.padEnd(10)}  ${printable(text)}\n`).join("");
}

function stateText({ upload, machine }: UploadInspection, nowMs: number): string {
  const state = upload?.state ?? "?";
  if (machine === undefined) return upload?.since === undefined ? state : `${state} since ${shortTime(upload.since)}`;
  const place = machine.state === state ? state : `${state} (${machine.state})`;
  const length = machine.endedMs === undefined ? `, for ${shortDuration(Math.max(0, nowMs - machine.sinceMs))}` : "";
  return `${place} since ${shortTime(new Date(machine.sinceMs).toISOString())}${length}`;
}

function progressText({ upload, machine }: UploadInspection): string {
  if (upload === undefined) return "?";
  const { chunkCount, receivedCount, size, receivedBytes } = upload;
  const arriving = machine?.context["inFlightCount"];
  return [
    ...(receivedCount === undefined ? [] : [`${receivedCount} of ${chunkCount ?? "?"} chunks received`]),
    ...(typeof arriving === "number" && arriving > 0 ? [`${arriving} arriving`] : []),
    ...(receivedBytes === undefined
      ? []
      : [`${approximateSize(receivedBytes)}${size === undefined ? "" : ` of ${approximateSize(size)}`}`]),
    ...(receivedCount === undefined && size !== undefined ? [approximateSize(size)] : []),
  ].join(", ");
}

function timesText({ visits }: Machine): string {
  return visits
    .map(({ state, count, totalMs }) => `${state} ${shortDuration(totalMs)}${count === 1 ? "" : ` in ${count} visits`}`)
    .join(", ");
}

function eventsText({ steps, isCut }: Machine): string {
  const shown = steps.slice(-STEPS_SHOWN);
  const title = shown.length < steps.length || isCut ? "the last events" : "events";
  return `${title}\n${shown.map((step) => `  ${stepLine(step)}`).join("")}`;
}
