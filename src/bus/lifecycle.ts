/**
 * The life of an actor as a statechart. It is resting while nothing of it is in memory, and the next message starts it; what crashed is
 * started again after a pause, until it has crashed too often.
 *
 * L1: nothing starts an actor that is being stopped, or that was given up.
 */
import { setup } from "xstate";
import type { StandingReport } from "../core/standing.ts";
import { stateTable } from "../core/state-table.ts";

export type LifecycleEvent =
  | "start.begun"
  | "start.succeeded"
  | "start.failed"
  | "activation.passivated"
  | "activation.crashed"
  | "pause.begun"
  /** Whoever stops the actor does not wait for the pause to end. */
  | "pause.abandoned"
  | "restarts.exhausted"
  | "stop.requested"
  | "stop.ended";

export const LIFECYCLE_STATES = ["resting", "starting", "live", "crashed", "pausing", "givenUp", "stopping", "stopped"] as const;
export type LifecycleState = (typeof LIFECYCLE_STATES)[number];
export type LifecycleReport = StandingReport<LifecycleState, LifecycleEvent>;

export const lifecycleMachine = setup({ types: { events: {} as { readonly type: LifecycleEvent } } }).createMachine({
  id: "actor",
  initial: "hosted",
  states: {
    hosted: {
      initial: "resting",
      on: { "stop.requested": "stopping" },
      states: {
        // An actor that crashed a moment ago pauses also when it has rested since.
        resting: { on: { "start.begun": "starting", "pause.begun": "pausing" } },
        starting: { on: { "start.succeeded": "live", "start.failed": "crashed" } },
        live: { on: { "activation.passivated": "resting", "activation.crashed": "crashed" } },
        crashed: { on: { "start.begun": "starting", "pause.begun": "pausing", "restarts.exhausted": "givenUp" } },
        pausing: { on: { "start.begun": "starting", "pause.abandoned": "crashed" } },
        // L1
        givenUp: {},
      },
    },
    stopping: { on: { "stop.ended": "stopped" } },
    stopped: { type: "final" },
  },
});

export const LIFECYCLE = stateTable<LifecycleState, LifecycleEvent>(lifecycleMachine);
