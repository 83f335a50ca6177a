import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  initialSnapshot,
  pathOf,
  type SessionContext,
  type SessionEvent,
  type SessionSnapshot,
  type SessionStep,
  step,
} from "../../../src/actors/upload/machine.ts";
import { StepLog } from "../../../src/actors/upload/step-log.ts";
import { loggedStep, machineInspection } from "../../../src/core/inspection.ts";
import { ENDED_STEPS_KEPT, STEP_RUN_MS, STEPS_KEPT } from "../../../src/core/limits.ts";
import type { LastError } from "../../../src/core/shapes.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ERROR: LastError = { code: "DISK_FULL", detail: "full", retryable: true };
const OPENED: SessionEvent = { type: "session.opened", receivedCount: 0, isCommitUncertain: false };
const MERGE: SessionEvent = { type: "merge.requested", isComplete: true };
const INTERRUPTED: SessionEvent = { type: "merge.interrupted", error: ERROR };

/** A machine that is written down, by a clock that a test moves. */
class Written {
  readonly clock = new VirtualClock();
  readonly log: StepLog;
  readonly all: (SessionStep & { readonly atMs: number })[] = [];
  #snapshot: SessionSnapshot = initialSnapshot();

  constructor() {
    this.log = new StepLog(this.clock, { state: pathOf(this.#snapshot), context: this.#snapshot.context });
  }

  hear(...events: readonly SessionEvent[]): void {
    for (const event of events) {
      const before = this.#snapshot;
      this.#snapshot = step(before, event).snapshot;
      const heard = { before, event, after: this.#snapshot };
      this.all.push({ ...heard, atMs: this.clock.wallMs() });
      this.log.add(heard);
    }
  }
}

function chunks(count: number): SessionEvent[] {
  return Array.from({ length: count }, (): SessionEvent[] => [{ type: "chunk.claimed" }, { type: "chunk.received" }]).flat();
}

describe("a log of steps", () => {
  it("L1: a run lasts a second by the clock that nobody sets, whatever becomes of the other", async () => {
    const written = new Written();
    written.hear(OPENED, ...chunks(1));
    written.clock.jumpWall(-3_600_000);
    await written.clock.advance(STEP_RUN_MS);
    written.hear(...chunks(1));
    expect(written.log.told().map(({ first, last }) => [first, last])).toEqual([
      [1, 1],
      [2, 3],
      [4, 5],
    ]);
  });

  it("L1: makes one run of what stays in a state within a moment, with exact counts and what it changed in all", async () => {
    const written = new Written();
    written.hear(OPENED, ...chunks(3));
    expect(written.log.told()).toMatchObject([
      { first: 1, last: 1, from: "init", to: "chunks.receiving", events: [{ event: "session.opened", count: 1 }] },
      {
        first: 2,
        last: 7,
        events: [
          { event: "chunk.claimed", count: 3 },
          { event: "chunk.received", count: 3 },
        ],
        changes: [{ field: "receivedCount", before: 0, after: 3 }],
      },
    ]);
    await written.clock.advance(STEP_RUN_MS);
    written.hear({ type: "chunk.claimed" });
    expect(written.log.told().map(({ first, last }) => [first, last])).toEqual([
      [1, 1],
      [2, 7],
      [8, 8],
    ]);
  });

  it("keeps apart what a state did not know", () => {
    const written = new Written();
    written.hear(OPENED, ...chunks(1), { type: "file.committed" }, ...chunks(1));
    expect(written.log.told().map(({ first, last, isIgnored }) => [first, last, isIgnored ?? false])).toEqual([
      [1, 1, false],
      [2, 3, false],
      [4, 4, true],
      [5, 6, false],
    ]);
    expect(written.log.transitions().map(({ event }) => event)).not.toContain("file.committed");
  });

  it("tells how often and how long each state was current, by the monotonic clock", async () => {
    const written = new Written();
    await written.clock.advance(10);
    written.hear(OPENED);
    written.clock.jumpWall(1_000_000);
    await written.clock.advance(100);
    written.hear(MERGE);
    await written.clock.advance(5);
    written.hear(INTERRUPTED);
    await written.clock.advance(7);
    expect(written.log.visits()).toEqual([
      { state: "init", count: 1, totalMs: 10 },
      { state: "chunks.receiving", count: 2, totalMs: 107 },
      { state: "merge.verifying", count: 1, totalMs: 5 },
    ]);
    expect(written.log.state).toBe("chunks.receiving");
    expect(written.log.sinceMs).toBe(written.clock.wallMs() - 7);
    expect(written.log.told().at(-1)?.changes).toEqual([{ field: "lastError", before: null, after: ERROR }]);
  });

  it("L1: stays bounded under chunk traffic, loses no count, and the way from state to state stays whole", async () => {
    const written = new Written();
    written.hear(OPENED);
    for (let second = 0; second < 3 * STEPS_KEPT; second += 1) {
      await written.clock.advance(STEP_RUN_MS);
      written.hear(...chunks(2));
    }
    written.hear(MERGE);
    const told = written.log.told();
    expect([told.length <= STEPS_KEPT, written.log.isCut]).toEqual([true, false]);
    expect(told.map(({ from, to }) => `${from} ${to}`)).toEqual(
      expect.arrayContaining(["init chunks.receiving", "chunks.receiving merge.verifying"]),
    );
    const counted = told.flatMap(({ events }) => events).reduce((sum, { count }) => sum + count, 0);
    expect(counted).toBe(written.all.length);
    const counts = told.flatMap(({ changes }) => changes.filter(({ field }) => field === "receivedCount"));
    expect(counts.map(({ before }) => before)).toEqual([0, ...counts.slice(0, -1).map(({ after }) => after)]);
    expect(counts.at(-1)?.after).toBe(6 * STEPS_KEPT);
    expect([told[0]?.first, told.at(-1)?.last]).toEqual([1, written.all.length]);
  });

  it("L1: where there are only transitions the oldest goes, and that is said", () => {
    const written = new Written();
    written.hear(OPENED);
    for (let round = 0; round < STEPS_KEPT; round += 1) written.hear(MERGE, INTERRUPTED);
    expect([written.log.told().length, written.log.isCut, written.log.steps]).toEqual([STEPS_KEPT, true, 2 * STEPS_KEPT + 1]);
    expect(written.log.told()[0]?.first).toBe(STEPS_KEPT + 2);
    expect(written.log.transitions().find(({ event }) => event === "merge.interrupted")?.count).toBe(STEPS_KEPT);
  });

  it("tells only what is newer than what one has, and a run that goes on whole", () => {
    const written = new Written();
    written.hear(OPENED, ...chunks(2));
    expect(written.log.told(1).map(({ first }) => first)).toEqual([2]);
    expect(written.log.told(written.log.steps)).toEqual([]);
    const seen = written.log.steps;
    written.hear(...chunks(1));
    expect(written.log.told(seen)).toMatchObject([{ first: 2, last: 7 }]);
  });

  it("that is only kept to be looked at is shorter, and its last state takes no more time", async () => {
    const written = new Written();
    written.hear(OPENED);
    for (let round = 0; round < ENDED_STEPS_KEPT; round += 1) written.hear(MERGE, INTERRUPTED);
    written.hear({ type: "cancel.requested" });
    await written.clock.advance(5);
    written.log.close();
    const visits = written.log.visits();
    await written.clock.advance(0);
    expect(written.log.visits()).toEqual(visits);
    expect(written.log.told().length).toBe(ENDED_STEPS_KEPT);
    await written.clock.advance(1_000);
    expect(written.log.visits()).toEqual(visits);
  });

  it("agrees with a plain list of all steps, whatever happens", async () => {
    const event: fc.Arbitrary<SessionEvent> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom<SessionEvent>({ type: "chunk.claimed" }, { type: "chunk.released" }, { type: "chunk.received" }),
      },
      {
        weight: 3,
        arbitrary: fc.constantFrom<SessionEvent>(
          OPENED,
          MERGE,
          { type: "merge.requested", isComplete: false },
          INTERRUPTED,
          { type: "file.verified", digests: { blake3: "ab".repeat(32) } },
          { type: "file.replicated", copies: 1 },
          { type: "commit.sent" },
          { type: "possession.proven", blobId: 7 },
          { type: "possession.lost" },
        ),
      },
    );
    const heard = fc.array(fc.tuple(event, fc.constantFrom(0, 0, 1, 400, STEP_RUN_MS)), { minLength: 1, maxLength: 700 });
    await fc.assert(
      fc.asyncProperty(heard, async (events) => {
        const written = new Written();
        const totals = new Map<string, number>();
        for (const [next, afterMs] of events) {
          const state = written.log.state;
          if (afterMs > 0) await written.clock.advance(afterMs);
          totals.set(state, (totals.get(state) ?? 0) + afterMs);
          written.hear(next);
        }
        const { log, all } = written;
        const told = log.told();
        expect(told.length).toBeLessThanOrEqual(STEPS_KEPT);
        for (const entry of told) loggedStep.parse(entry);
        expect(log.steps).toBe(all.length);
        // Without a gap, up to the newest; from the first step unless it was cut.
        expect(told.at(-1)?.last).toBe(all.length);
        if (!log.isCut) expect(told[0]?.first).toBe(1);
        for (const [index, { last }] of told.entries()) if (index + 1 < told.length) expect(told[index + 1]?.first).toBe(last + 1);
        for (const { first, last, from, to, events: kinds, changes, fromMs, atMs } of told) {
          const steps = all.slice(first - 1, last);
          expect([from, to]).toEqual([pathOf(steps[0]?.before as SessionSnapshot), pathOf(steps.at(-1)?.after as SessionSnapshot)]);
          expect([fromMs, atMs]).toEqual([steps[0]?.atMs, steps.at(-1)?.atMs]);
          const [before, after] = [steps[0]?.before.context, steps.at(-1)?.after.context] as [SessionContext, SessionContext];
          const changed = (Object.keys(after) as (keyof SessionContext)[]).filter((field) => before[field] !== after[field]);
          expect(changes).toEqual(changed.map((field) => ({ field, before: before[field] ?? null, after: after[field] ?? null })));
          // Only what stays in a state is merged.
          if (last > first) expect(steps.every(({ after }) => pathOf(after) === to)).toBe(true);
          const counts = Map.groupBy(steps, ({ event: { type } }) => type);
          expect(new Map(kinds.map(({ event: type, count }) => [type, count]))).toEqual(
            new Map([...counts].map(([type, { length }]) => [type, length])),
          );
        }
        const moves = all.filter(({ before, after }) => pathOf(before) !== pathOf(after)).length;
        const counted = log.transitions().filter(({ from, to }) => from !== to);
        expect(counted.reduce((sum, { count }) => sum + count, 0)).toBe(moves);
        expect(log.visits().reduce((sum, { count }) => sum + count, 0)).toBe(moves + 1);
        for (const { state, totalMs } of log.visits()) expect(totalMs).toBe(totals.get(state) ?? 0);
        expect(machineInspection.shape.context.parse(log.context)).toEqual(all.at(-1)?.after.context);
      }),
      { numRuns: 40 },
    );
  });
});
