import { expect, it } from "vitest";
import { LiveSteps } from "../../src/cli/inspect/live-steps.ts";
import type { InspectionEvent, UploadInspection } from "../../src/client/inspection-answers.ts";
import type { LoggedStep } from "../../src/core/inspection.ts";
import { STEP_RUN_MS } from "../../src/core/limits.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const step = (number: number, to: string): LoggedStep => ({
  first: number,
  last: number,
  fromMs: number,
  atMs: number,
  from: "chunks.receiving",
  to,
  events: [{ event: `event.${number}`, count: 1 }],
  changes: [],
});

const machine = (openedMs: number, ...steps: LoggedStep[]) => ({
  openedMs,
  steps,
  state: "x",
  sinceMs: 0,
  context: {},
  effects: [],
  bodies: [],
});
const steps = (openedMs: number, ...told: LoggedStep[]): InspectionEvent => ({
  kind: "steps",
  steps: { uploadId: "u", atMs: 0, ...machine(openedMs, ...told) },
});

function following(known: UploadInspection) {
  const clock = new VirtualClock();
  const lines: string[] = [];
  return { clock, lines, live: new LiveSteps(clock, known, (line) => lines.push(/event\.\d+/.exec(line)?.[0] ?? line)) };
}

const inspection = (openedMs: number, ...told: LoggedStep[]): UploadInspection =>
  ({ host: "n", why: "", machine: { ...machine(openedMs, ...told), visits: [], transitions: [], isCut: false } }) as UploadInspection;

it("L1: a step is told once, however often it comes, and none that was known before", () => {
  const { lines, live } = following(inspection(1, step(1, "a")));
  live.take(steps(1, step(1, "a"), step(2, "b")));
  live.take(steps(1, step(2, "b"), step(3, "c")));
  expect(lines).toEqual(["event.2", "event.3"]);
});

it("L1: the steps of a machine that was started anew are told, though their numbers were there", () => {
  const { lines, live } = following(inspection(1, step(1, "a"), step(2, "b"), step(3, "c")));
  live.take(steps(2, step(1, "b"), step(2, "c")));
  live.take(steps(2, step(3, "a")));
  expect(lines).toEqual(["event.1", "event.2", "event.3"]);
});

it("a run is a line when it has been quiet for as long as one lasts", async () => {
  const { lines, live, clock } = following(inspection(1));
  live.take(steps(1, step(1, "chunks.receiving")));
  live.take(steps(1, { ...step(1, "chunks.receiving"), last: 4 }));
  expect(lines).toEqual([]);
  await clock.advance(STEP_RUN_MS);
  expect(lines).toEqual(["event.1"]);
});
