/**
 * One life of one process. Whatever comes to it from outside (a timer, a message, an answer of the disk) is an event of its life:
 *
 * P1: after its death nothing runs in it any more: what it waited for never comes, and its timers are silent. It may die at any await.
 * P2: while it is paused nothing runs in it; afterwards everything that came does, in the order it came.
 * P3: its wall clock may be wrong and may jump; its monotonic clock goes on also while it is paused.
 */
import assert from "node:assert/strict";
import type { Clock, Timer } from "../../src/core/ports/clock.ts";
import type { RandomStream } from "./random-streams.ts";
import type { ScheduledEvent } from "./scheduler.ts";
import type { World } from "./world.ts";

/** `killed`: the operating system and its page cache go on. `power`: what was not synced may be lost. `ended`: it stopped by itself. */
export type Death = "killed" | "power" | "ended";

/** The wall clock of the world's beginning. */
export const WORLD_BEGAN_MS = Date.UTC(2026, 0, 1);

export class SimulatedProcess {
  readonly world: World;
  /** Of the process, whatever its lives: `storage1`. */
  readonly name: string;
  /** Which of its lives this is, from 1. */
  readonly life: number;
  readonly clock: Clock;
  /** For the process itself. Each life draws anew. */
  readonly random: RandomStream;
  #death: Death | undefined;
  #wallOffsetMs = 0;
  #pausedUntilMs = 0;
  #held: (() => void)[] = [];
  /** It dies before this many more events. */
  #eventsLeft = Number.POSITIVE_INFINITY;
  #eventsLeftDeath: Death = "killed";
  readonly #deathListeners = new Set<(death: Death) => void>();
  #waitingCount = 0;

  constructor(world: World, name: string, life: number) {
    this.world = world;
    this.name = name;
    this.life = life;
    this.random = world.random.stream(`${name}#${life}`, "process");
    const bootMs = world.random.stream(name, "boot").between(1_000, 1_000_000);
    this.clock = {
      nowMs: () => bootMs + world.nowMs,
      wallMs: () => Math.floor(WORLD_BEGAN_MS + world.nowMs + this.#wallOffsetMs),
      setTimer: (delayMs, callback): Timer => this.later(delayMs, "timer", callback),
    };
  }

  get isAlive(): boolean {
    return this.#death === undefined;
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.world.nowMs;
  }

  get wallOffsetMs(): number {
    return this.#wallOffsetMs;
  }

  /** What is to come to it later, its timers among that, and was not cancelled. */
  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Runs in this process, `delayMs` from now (P1, P2). @param label for the trace; the process's name is put before it */
  later(delayMs: number, label: string, run: () => void): ScheduledEvent {
    let isOver = false;
    this.#waitingCount += 1;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      this.#waitingCount -= 1;
    };
    const inLife = (): void => {
      if (isOver || !this.isAlive) return;
      if (this.isPaused) {
        this.#held.push(inLife);
        return;
      }
      end();
      this.#eventsLeft -= 1;
      if (this.#eventsLeft < 0) return this.die(this.#eventsLeftDeath);
      run();
    };
    const event = this.world.scheduler.after(delayMs, `${this.name} ${label}`, inLife);
    return {
      cancel: () => {
        end();
        event.cancel();
      },
    };
  }

  /**
   * Asks something outside: after `delayMs` `effect` happens there, whether this process lives or not; what comes of it is told to the
   * process at the same moment. An effect that throws is an answer too.
   */
  ask<T>(delayMs: number, label: string, effect: () => T): Promise<T> {
    // What is dead asks nothing.
    if (!this.isAlive) return new Promise(() => undefined);
    return new Promise((resolve, reject) => {
      this.world.scheduler.after(delayMs, `${this.name} ${label}`, () => {
        let tell: () => void;
        try {
          const value = effect();
          tell = () => resolve(value);
        } catch (error) {
          tell = () => reject(error);
        }
        this.#enter(tell);
      });
    });
  }

  /** Told once, in the event in which it dies; at once when it is dead. */
  onDeath(listener: (death: Death) => void): void {
    if (this.#death !== undefined) listener(this.#death);
    else this.#deathListeners.add(listener);
  }

  die(death: Death): void {
    if (!this.isAlive) return;
    this.#death = death;
    this.#held = [];
    this.world.note(`${this.name} dies: ${death}`);
    for (const listener of this.#deathListeners) listener(death);
    this.#deathListeners.clear();
  }

  /** Dies instead of its event number `count` from now (0: the next). */
  dieAfterEvents(count: number, death: Death): void {
    this.#eventsLeft = count;
    this.#eventsLeftDeath = death;
  }

  /** Nothing runs in it until then (P2). */
  pause(forMs: number): void {
    assert(forMs > 0, "a pause takes time");
    const untilMs = this.world.nowMs + forMs;
    if (untilMs <= this.#pausedUntilMs) return;
    this.#pausedUntilMs = untilMs;
    this.world.scheduler.at(untilMs, `${this.name} goes on`, () => {
      if (this.isPaused || !this.isAlive) return;
      // Each in an event of its own: T2 of the scheduler holds for what was held back, too.
      const held = this.#held.splice(0);
      held.forEach((run, index) => void this.world.scheduler.at(untilMs + index / 1000, `${this.name} catches up`, run));
    });
  }

  /** The wall clock jumps (P3). */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  #enter(run: () => void): void {
    if (!this.isAlive) return;
    if (this.isPaused) {
      this.#held.push(() => this.#enter(run));
      return;
    }
    this.#eventsLeft -= 1;
    if (this.#eventsLeft < 0) return this.die(this.#eventsLeftDeath);
    run();
  }
}
