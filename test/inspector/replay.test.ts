/** A machine after each of its steps, against what it really was then; and what it told kept up to date by its news. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { initialSnapshot, pathOf, type SessionEvent, type SessionStep, step } from "../../src/actors/upload/machine.ts";
import { SessionInspection } from "../../src/actors/upload/session-inspection.ts";
import type { Inspected } from "../../src/inspector/inspected.ts";
import { followed, momentOf, positionOf } from "../../src/inspector/replay.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const ERROR = { code: "DISK_FULL", detail: "No room.", retryable: true } as const;
const EVENTS: readonly SessionEvent[] = [
  { type: "session.opened", receivedCount: 0, isCommitUncertain: false },
  { type: "chunk.claimed" },
  { type: "chunk.received" },
  { type: "chunk.released" },
  { type: "merge.requested", isComplete: true },
  { type: "merge.interrupted", error: ERROR },
  { type: "file.verified", digests: { blake3: "00" } },
  { type: "file.replicated", copies: 1 },
  { type: "commit.sent" },
];

/** What comes over HTTP. */
const told = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** A session that goes its way while a clock goes on. */
class Walk {
  readonly clock = new VirtualClock();
  readonly inspection = new SessionInspection(this.clock, { effects: () => [], bodies: () => [] });
  /** After each step: the state, and the context. */
  readonly after: { state: string; context: Record<string, unknown> }[] = [];
  #snapshot = initialSnapshot();

  async send(event: SessionEvent, pauseMs = 1): Promise<void> {
    await this.clock.advance(pauseMs);
    const before = this.#snapshot;
    const { snapshot } = step(before, event);
    this.#snapshot = snapshot;
    this.inspection.stepped({ before, event, after: snapshot } as SessionStep);
    this.after.push({ state: pathOf(snapshot), context: told({ ...snapshot.context }) });
  }

  told(): Inspected {
    return told(this.inspection.told());
  }
}

/** Fields that are not there and those that are empty are the same over HTTP. */
const known = (context: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(context).filter(([, value]) => value !== undefined && value !== null));

describe("a replay", () => {
  it("has state and context after each entry of the log as they were then, whatever way it went", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...EVENTS), fc.constantFrom(0, 1, 300, 1_100)), { maxLength: 60 }),
        async (events) => {
          const walk = new Walk();
          for (const [event, pauseMs] of events) await walk.send(event, pauseMs);
          const machine = walk.told();
          expect(momentOf(machine, 0).state).toBe("init");
          machine.steps.forEach(({ last }, index) => {
            const moment = momentOf(machine, index + 1);
            const then = walk.after[last - 1];
            expect([moment.state, known(moment.context)]).toEqual([then?.state, known(then?.context ?? {})]);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  it("counts time and transitions up to its moment, and at the end what the machine tells", async () => {
    const walk = new Walk();
    await walk.send(EVENTS[0] as SessionEvent, 10);
    await walk.send({ type: "chunk.claimed" }, 2_000);
    await walk.send({ type: "chunk.received" }, 500);
    await walk.send({ type: "merge.requested", isComplete: true }, 1_000);
    await walk.send({ type: "merge.interrupted", error: ERROR }, 400);
    await walk.clock.advance(70);
    const machine = walk.told();
    const merging = momentOf(machine, positionOf(machine, 4));
    expect(merging.state).toBe("merge.verifying");
    expect(merging.visits).toEqual([
      { state: "init", count: 1, totalMs: 10 },
      { state: "chunks.receiving", count: 1, totalMs: 3_500 },
      { state: "merge.verifying", count: 1, totalMs: 0 },
    ]);
    expect(merging.transitions.map(({ event, count }) => [event, count])).toEqual([
      ["session.opened", 1],
      ["chunk.claimed", 1],
      ["chunk.received", 1],
      ["merge.requested", 1],
    ]);
    const now = momentOf(machine, machine.steps.length);
    expect([now.visits, now.transitions, now.state]).toEqual([machine.visits, machine.transitions, "chunks.receiving"]);
  });

  it("finds an entry again by a step of it, also when runs were put together since", async () => {
    const walk = new Walk();
    await walk.send(EVENTS[0] as SessionEvent);
    await walk.send({ type: "chunk.claimed" });
    const before = walk.told();
    expect(positionOf(before, 2)).toBe(2);
    await walk.send({ type: "chunk.received" });
    expect(positionOf(walk.told(), 2)).toBe(2);
    expect(positionOf(walk.told(), 3)).toBe(2);
    expect(positionOf(before, -1)).toBe(0);
  });
});

describe("what a machine told", () => {
  it("is, after its news, what it would tell as a whole", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...EVENTS), fc.constantFrom(0, 1, 300, 1_100), fc.boolean()), { maxLength: 60 }),
        async (events) => {
          const walk = new Walk();
          let machine = walk.told();
          let heard = 0;
          let isAgain = false;
          for (const [event, pauseMs, isTold] of events) {
            await walk.send(event, pauseMs);
            if (!isTold) continue;
            // What is known already may be told again.
            machine = followed(machine, told(walk.inspection.news("u1", isAgain ? 0 : heard)));
            heard = walk.inspection.steps;
            isAgain = !isAgain;
          }
          machine = followed(machine, told(walk.inspection.news("u1", heard)));
          const whole = walk.told();
          expect(machine.steps).toEqual(whole.steps);
          expect([machine.state, machine.sinceMs, machine.isCut]).toEqual([whole.state, whole.sinceMs, whole.isCut]);
          const byName = (visits: Inspected["visits"]) => visits.toSorted((a, b) => (a.state < b.state ? -1 : 1));
          expect(byName(machine.visits)).toEqual(byName(whole.visits));
          const counted = (transitions: Inspected["transitions"]) => transitions.map((taken) => JSON.stringify(taken)).sort();
          expect(counted(machine.transitions)).toEqual(counted(whole.transitions));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("says after a gap in the news that it lacks steps", async () => {
    const walk = new Walk();
    await walk.send(EVENTS[0] as SessionEvent);
    const machine = walk.told();
    await walk.send({ type: "chunk.claimed" }, 1_500);
    await walk.send({ type: "chunk.received" }, 1_500);
    const news = told(walk.inspection.news("u1", 2));
    expect(news.steps.map(({ first }) => first)).toEqual([3]);
    expect(followed(machine, news).isCut).toBe(true);
  });
});
