/**
 * Where something is in its statechart, since when, and how it came there.
 *
 * B1: the state changes by events that the table knows in it, and by nothing else.
 * B2: what is remembered is bounded, and an event that leads to where it was is not remembered: heartbeats push nothing out.
 */
import { ok as assert } from "node:assert/strict";
import { STATE_CHANGES_KEPT } from "./limits.ts";
import type { StateTable } from "./state-table.ts";

export interface StateChange<State extends string, Event extends string> {
  /** That was come to. */
  readonly state: State;
  /** Absent where it is not known how. */
  readonly event?: Event;
  /** Monotonic. */
  readonly atMs: number;
}

export interface StandingReport<State extends string, Event extends string> {
  readonly state: State;
  /** Monotonic. */
  readonly sinceMs: number;
  /** The newest changes, oldest first. */
  readonly recent: readonly StateChange<State, Event>[];
}

/** As somebody is told whose clock is another. */
export function toldStanding({ sinceMs, recent }: StandingReport<string, string>, nowMs: number) {
  const ago = (ms: number): number => Math.max(0, Math.round(nowMs - ms));
  return {
    sinceMs: ago(sinceMs),
    recent: recent.map(({ event, state, atMs }) => ({ ...(event === undefined ? {} : { event }), state, agoMs: ago(atMs) })),
  };
}

export class Standing<State extends string, Event extends string> {
  readonly #table: StateTable<State, Event>;
  readonly #recent: StateChange<State, Event>[];

  /** @param state where it is found; the table's first unless given */
  constructor(table: StateTable<State, Event>, atMs: number, state: State = table.initial) {
    this.#table = table;
    this.#recent = [{ state, atMs }];
  }

  get state(): State {
    return this.#newest.state;
  }

  report(): StandingReport<State, Event> {
    const { state, atMs } = this.#newest;
    return { state, sinceMs: atMs, recent: [...this.#recent] };
  }

  /** @returns whether the state knows the event; when it does not, nothing has changed (B1) */
  step(event: Event, atMs: number): boolean {
    const next = this.#table.next(this.state, event);
    if (next === undefined) return false;
    if (next === this.state) return true;
    this.#recent.push({ state: next, event, atMs });
    if (this.#recent.length > STATE_CHANGES_KEPT) this.#recent.shift();
    return true;
  }

  /** For an event that cannot come in a state which does not know it. */
  mustStep(event: Event, atMs: number): void {
    assert(this.step(event, atMs), `${event} in ${this.state}`);
  }

  get #newest(): StateChange<State, Event> {
    return this.#recent.at(-1) as StateChange<State, Event>;
  }
}
