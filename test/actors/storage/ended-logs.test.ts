import { expect, it } from "vitest";
import { EndedLogs } from "../../../src/actors/storage/ended-logs.ts";
import type { InspectedSession } from "../../../src/actors/upload/ports.ts";
import { ENDED_LOGS_KEPT } from "../../../src/core/limits.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const log = (steps: number): InspectedSession => ({
  steps,
  told: () => {
    throw new Error("nobody asked");
  },
  news: () => {
    throw new Error("nobody asked");
  },
});

it("a log of an ended session is there for the time it is kept, and no longer", async () => {
  const clock = new VirtualClock();
  const logs = new EndedLogs(clock, 1_000);
  logs.keep("u1", log(1));
  await clock.advance(600);
  logs.keep("u2", log(2));
  await clock.advance(399);
  expect(["u1", "u2"].map((id) => logs.find(id)?.steps)).toEqual([1, 2]);
  await clock.advance(1);
  expect(["u1", "u2"].map((id) => logs.find(id)?.steps)).toEqual([undefined, 2]);
});

it("that ended again is kept from then on", async () => {
  const clock = new VirtualClock();
  const logs = new EndedLogs(clock, 1_000);
  logs.keep("u1", log(1));
  await clock.advance(600);
  logs.keep("u1", log(2));
  await clock.advance(600);
  expect(logs.find("u1")?.steps).toBe(2);
});

it("there are only so many: the newest", () => {
  const logs = new EndedLogs(new VirtualClock(), 1_000);
  for (let index = 0; index < ENDED_LOGS_KEPT + 1; index += 1) logs.keep(`u${index}`, log(index));
  expect(["u0", "u1", `u${ENDED_LOGS_KEPT}`].map((id) => logs.find(id)?.steps)).toEqual([undefined, 1, ENDED_LOGS_KEPT]);
});

it("none is kept where the time is zero", () => {
  const logs = new EndedLogs(new VirtualClock(), 0);
  logs.keep("u1", log(1));
  expect(logs.find("u1")).toBeUndefined();
});
