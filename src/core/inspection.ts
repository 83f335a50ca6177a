/**
 * How what runs looks from outside. A machine: what it is in, how it came there step by step, and what is done for it at this moment; states are
 * told by their path in the chart, `chunks.receiving`, and how the machine is drawn, the chart says.
 */
import { z } from "zod";
import { STATE_CHANGES_KEPT } from "./limits.ts";
import { count, durationMs, identity, wallMs } from "./shapes.ts";

const statePath = z.string().max(128);

/** One step of a machine, or a run of steps that stayed in a state. */
export const loggedStep = z.object({
  /** Numbers of its first and its last step, from 1. A run that goes on is told again with the same `first`. */
  first: count,
  last: count,
  fromMs: wallMs,
  atMs: wallMs,
  from: statePath,
  to: statePath,
  events: z.array(z.object({ event: z.string(), count })),
  /** Fields of the machine's context that it changed. */
  changes: z.array(z.object({ field: z.string(), before: z.unknown(), after: z.unknown() })),
  /** The state did not know the event, and nothing changed. */
  isIgnored: z.literal(true).optional(),
});
export type LoggedStep = z.output<typeof loggedStep>;
export type ChangedField = LoggedStep["changes"][number];

/** How often a state was entered, and how long it was current in all. */
export const stateVisit = z.object({ state: statePath, count, totalMs: durationMs });
export type StateVisit = z.output<typeof stateVisit>;

export const takenTransition = z.object({ from: statePath, event: z.string(), to: statePath, count });
export type TakenTransition = z.output<typeof takenTransition>;

/** Work beside the turns that has not come back. */
export const effectUnderWay = z.object({ name: z.string(), sinceMs: wallMs });

/** A chunk's bytes on their way to the disk. */
export const arrivingBody = z.object({ index: count, sinceMs: wallMs, arrivedBytes: count });

export const machineInspection = z.object({
  state: statePath,
  /** When it entered this state. */
  sinceMs: wallMs,
  context: z.record(z.string(), z.unknown()),
  /** When the machine was started here: the log begins there. */
  openedMs: wallMs,
  /** Absent while it runs. */
  endedMs: wallMs.optional(),
  visits: z.array(stateVisit),
  transitions: z.array(takenTransition),
  steps: z.array(loggedStep),
  /** The log lacks older steps. */
  isCut: z.boolean(),
  effects: z.array(effectUnderWay),
  bodies: z.array(arrivingBody).default([]),
});
export type MachineInspection = z.output<typeof machineInspection>;

/** How long something has been in its state, and how it came there. */
export const standing = z.object({
  sinceMs: durationMs,
  /** Oldest first; the newest is the state it is in. */
  recent: z.array(z.object({ event: z.string().max(64).optional(), state: z.string().max(64), agoMs: durationMs })).max(STATE_CHANGES_KEPT),
});

/** What is published of an upload's machine while somebody listens. */
export const machineFeed = machineInspection
  .pick({ state: true, sinceMs: true, openedMs: true, context: true, effects: true, bodies: true })
  .extend({
    uploadId: identity,
    /** Those since the last message; after a gap, the newest that are kept. */
    steps: z.array(loggedStep),
    atMs: wallMs,
  });
export type MachineFeed = z.output<typeof machineFeed>;

/** `troupe.v1.inspect.upload.<uploadId>` */
export function feedSubject(actor: string, identityOfActor: string): string {
  return `troupe.v1.inspect.${actor}.${identityOfActor}`;
}
