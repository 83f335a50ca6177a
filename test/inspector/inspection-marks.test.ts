/** What a session tells of itself, as marks in the chart of its machine. */
import { describe, expect, it } from "vitest";
import { initialSnapshot, type SessionEvent, step } from "../../src/actors/upload/machine.ts";
import { StepLog } from "../../src/actors/upload/step-log.ts";
import { marksOf } from "../../src/inspector/inspection-marks.ts";
import { STATECHARTS } from "../../src/inspector/statecharts.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const ERROR = { code: "DISK_FULL", detail: "full", retryable: true } as const;

/** Steps with a second before each, told as a session tells them. */
async function marksAfter(...events: SessionEvent[]) {
  const clock = new VirtualClock();
  const log = new StepLog(clock, { state: "init", context: initialSnapshot().context });
  let before = initialSnapshot();
  for (const event of events) {
    await clock.advance(1_000);
    const after = step(before, event).snapshot;
    log.add({ before, event, after });
    before = after;
  }
  const told = { state: log.state, visits: log.visits(), transitions: log.transitions(), steps: log.told() };
  return marksOf(STATECHARTS.upload, told, (durationMs) => `${durationMs / 1000} s`);
}

const OPENED = { type: "session.opened", receivedCount: 0, isCommitUncertain: false } as const;
const CLAIMED = { type: "chunk.claimed" } as const;
const RECEIVED = { type: "chunk.received" } as const;
const MERGE = { type: "merge.requested", isComplete: true } as const;

describe("the marks of a session", () => {
  it("are the state it is in, those it was in and for how long, and each transition it took", async () => {
    expect(await marksAfter(OPENED, CLAIMED, RECEIVED, CLAIMED, RECEIVED, MERGE, { type: "merge.interrupted", error: ERROR })).toEqual({
      live: ["chunks.receiving"],
      visited: ["init", "chunks.receiving", "merge.verifying"],
      times: { init: "1 s", chunks: "5 s", "chunks.receiving": "5 s", merge: "1 s", "merge.verifying": "1 s" },
      counts: {
        "init:session.opened": 1,
        "chunks.receiving:chunk.claimed": 2,
        "chunks.receiving:chunk.received": 2,
        "chunks.receiving:merge.requested": 1,
        "merge.verifying:merge.interrupted": 1,
      },
      last: "merge.verifying:merge.interrupted",
    });
  });

  it("an event that changed nothing is not the last transition", async () => {
    const { last } = await marksAfter(OPENED, CLAIMED, { type: "file.committed" });
    expect(last).toBe("chunks.receiving:chunk.claimed");
  });

  it("K1: leave out what the chart does not know", () => {
    const told = {
      state: "chunks.assembling",
      visits: [{ state: "chunks.assembling", count: 1, totalMs: 5 }],
      transitions: [{ from: "init", event: "session.remembered", to: "chunks.assembling", count: 1 }],
      steps: [],
    };
    expect(marksOf(STATECHARTS.upload, told, String)).toEqual({
      live: ["chunks.assembling"],
      visited: ["chunks.assembling"],
      times: { chunks: "5" },
      counts: {},
    });
  });
});
