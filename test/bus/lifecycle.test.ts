/** The life of an actor: the states it goes through, and what is told of it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Self } from "../../src/bus/actor.ts";
import { LIFECYCLE, LIFECYCLE_STATES, type LifecycleEvent, type LifecycleState } from "../../src/bus/lifecycle.ts";
import { STATE_CHANGES_KEPT } from "../../src/core/limits.ts";
import { settle } from "../support/virtual-clock.ts";
import { ending, Theatre, whole } from "./theatre.ts";

const EVENTS: readonly LifecycleEvent[] = [
  "start.begun",
  "start.succeeded",
  "start.failed",
  "activation.passivated",
  "activation.crashed",
  "pause.begun",
  "pause.abandoned",
  "restarts.exhausted",
  "stop.requested",
  "stop.ended",
];

/** Every event that a state does not name cannot come in it. */
const TABLE: Readonly<Record<LifecycleState, Partial<Record<LifecycleEvent, LifecycleState>>>> = {
  resting: { "start.begun": "starting", "pause.begun": "pausing", "stop.requested": "stopping" },
  starting: { "start.succeeded": "live", "start.failed": "crashed", "stop.requested": "stopping" },
  live: { "activation.passivated": "resting", "activation.crashed": "crashed", "stop.requested": "stopping" },
  crashed: { "start.begun": "starting", "pause.begun": "pausing", "restarts.exhausted": "givenUp", "stop.requested": "stopping" },
  pausing: { "start.begun": "starting", "pause.abandoned": "crashed", "stop.requested": "stopping" },
  givenUp: { "stop.requested": "stopping" },
  stopping: { "stop.ended": "stopped" },
  stopped: {},
};

describe("the statechart of an actor's life", () => {
  it.each(LIFECYCLE_STATES)("%s", (state) => {
    for (const event of EVENTS) expect(LIFECYCLE.next(state, event), event).toBe(TABLE[state][event]);
  });

  it("L1: whatever comes, what is being stopped or was given up is not started", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }), (events) => {
        let state = LIFECYCLE.initial;
        let isOver = false;
        for (const event of events) {
          state = LIFECYCLE.next(state, event) ?? state;
          if (isOver) expect(["givenUp", "stopping", "stopped"]).toContain(state);
          isOver ||= ["givenUp", "stopping", "stopped"].includes(state);
        }
      }),
    );
  });
});

describe("an actor", () => {
  const statesOf = (hosted: { statistics: { lifecycle: { recent: readonly { state: string }[] } } }) =>
    hosted.statistics.lifecycle.recent.map(({ state }) => state);
  /** Crashes on `work` 0. */
  const fragile = {
    work: ({ id }: { id: number }) => {
      if (id === 0) throw new Error("broken by the test");
      return { id };
    },
  };

  it("is live when it is hosted, and tells since when", async () => {
    const theatre = new Theatre();
    await theatre.clock.advance(70);
    const startMs = theatre.clock.nowMs();
    const hosted = await theatre.host({});
    expect(hosted.statistics.lifecycle).toEqual({
      state: "live",
      sinceMs: startMs,
      recent: [
        { state: "resting", atMs: startMs },
        { state: "starting", event: "start.begun", atMs: startMs },
        { state: "live", event: "start.succeeded", atMs: startMs },
      ],
    });
  });

  it("rests when nothing comes, and the next message starts it", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host({}, { passivateAfterMs: 1_000 });
    await theatre.clock.advance(1_000);
    expect(hosted.statistics.lifecycle).toMatchObject({ state: "resting", sinceMs: theatre.clock.nowMs() });
    await theatre.player.work({ id: 1 });
    expect(hosted.statistics.lifecycle.state).toBe("live");
  });

  it("that crashed pauses before it starts again", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host(fragile);
    expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
    await settle();
    expect(hosted.statistics.lifecycle.state).toBe("pausing");
    await theatre.clock.advance(200);
    expect(statesOf(hosted)).toEqual(["resting", "starting", "live", "crashed", "pausing", "starting", "live"]);
  });

  it("that crashes again and again is given up, and shows how it came to that", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host(fragile);
    for (let crash = 0; crash < 6; crash += 1) {
      expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
      await theatre.clock.advance(5_000);
    }
    expect(hosted.statistics.lifecycle.state).toBe("givenUp");
    expect(statesOf(hosted).filter((state) => state === "crashed")).toHaveLength(6);
    expect(hosted.statistics.lifecycle.recent.length).toBeLessThanOrEqual(STATE_CHANGES_KEPT);
    await hosted.stop();
    expect(hosted.statistics.lifecycle.state).toBe("stopped");
  });

  it("that is stopped while it pauses abandons the pause", async () => {
    const theatre = new Theatre();
    const hosted = await theatre.host(fragile);
    expect(await ending(theatre.player.work({ id: 0 }))).toBe("INTERNAL");
    await settle();
    await hosted.stop();
    expect(statesOf(hosted).slice(-4)).toEqual(["pausing", "crashed", "stopping", "stopped"]);
  });

  it("whose start is still under way when it is stopped ends stopped, and what was started is stopped too", async () => {
    const theatre = new Theatre();
    const started = Promise.withResolvers<void>();
    const stops: string[] = [];
    const selves: Self[] = [];
    const hosted = await theatre.hostActivation(
      async (self) => {
        selves.push(self);
        if (selves.length > 1) await started.promise;
        return { ...whole, stop: (reason) => void stops.push(reason) };
      },
      { passivateAfterMs: 100 },
    );
    await theatre.clock.advance(100);
    const call = ending(theatre.player.work({ id: 1 }));
    await settle();
    expect(hosted.statistics.lifecycle.state).toBe("starting");
    const stopped = hosted.stop();
    await theatre.clock.advance(60_000);
    await stopped;
    started.resolve();
    await settle();
    expect(hosted.statistics.lifecycle.state).toBe("stopped");
    expect(stops).toEqual(["passivated", "stopped"]);
    expect(selves[1]?.signal.aborted).toBe(true);
    expect(await call).not.toBe("ok");
  });

  it("whose turn crashes when it has been stopped without it stays stopped", async () => {
    const theatre = new Theatre();
    const gate = Promise.withResolvers<void>();
    const handlers = {
      work: async () => {
        await gate.promise;
        throw new Error("broken by the test");
      },
    };
    const hosted = await theatre.host(handlers, { restartsMax: 0 });
    const call = ending(theatre.player.work({ id: 1 }));
    await settle();
    const stopped = hosted.stop();
    await theatre.clock.advance(60_000);
    await stopped;
    gate.resolve();
    await settle();
    expect(hosted.statistics).toMatchObject({ crashes: 1, lifecycle: { state: "stopped" } });
    expect(await call).not.toBe("ok");
  });
});
