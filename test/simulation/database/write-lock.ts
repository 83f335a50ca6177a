/**
 * Who of the sessions may write, and who waits for it: the whole database is one lock, where a server has one for each row.
 *
 * L1: first come, first served. Whoever has waited for the server's bound is refused, and may ask again.
 */
import { DATABASE_LOCK_WAIT_MS_MAX } from "../../../src/core/limits.ts";
import type { ScheduledEvent } from "../scheduler.ts";
import type { World } from "../world.ts";
import type { SimulatedSession, Statement } from "./simulated-session.ts";

export interface LockWait {
  readonly session: SimulatedSession;
  readonly statement: Statement;
  /** Nobody here has what it waits for, so it is never given. */
  readonly isHopeless: boolean;
}

export interface LockEvents {
  granted(wait: LockWait): void;
  /** L1 */
  timedOut(wait: LockWait): void;
}

export class WriteLock {
  readonly #world: World;
  readonly #name: string;
  readonly #events: LockEvents;
  readonly #waiting = new Map<LockWait, ScheduledEvent>();
  #holder: SimulatedSession | undefined;

  constructor(world: World, name: string, events: LockEvents) {
    this.#world = world;
    this.#name = name;
    this.#events = events;
  }

  get holder(): SimulatedSession | undefined {
    return this.#holder;
  }

  /** @returns whether the session has the lock now */
  take(session: SimulatedSession): boolean {
    this.#holder ??= session;
    return this.#holder === session;
  }

  wait(wait: LockWait): void {
    const event = this.#world.scheduler.after(DATABASE_LOCK_WAIT_MS_MAX, `${this.#name} lock wait ends`, () => {
      this.#waiting.delete(wait);
      this.#events.timedOut(wait);
    });
    this.#waiting.set(wait, event);
  }

  release(): void {
    this.#holder = undefined;
    for (const [wait, event] of this.#waiting) {
      if (wait.isHopeless) continue;
      event.cancel();
      this.#waiting.delete(wait);
      this.#holder = wait.session;
      return this.#events.granted(wait);
    }
  }

  /** @returns whether the session waited */
  stopWaiting(session: SimulatedSession): boolean {
    for (const [wait, event] of this.#waiting) {
      if (wait.session !== session) continue;
      event.cancel();
      return this.#waiting.delete(wait);
    }
    return false;
  }
}
