/**
 * One life of one process. Whatever comes to it from outside (a timer, a message, an answer of the disk) is an event of its life:
 *
 * P1: after its death nothing runs in it any more: what it waited for never comes, and its timers are silent. It may die between any two
 *     things that come to it from outside, which is where an await of something outside ends.
 * P2: while it is paused nothing runs in it; afterwards everything that came does, in the order it came, before what comes from then on.
 * P3: its wall clock may be wrong and may jump; its monotonic clock goes on also while it is paused.
 */
import assert from "node:assert/strict";
import { Fifo } from "../../src/bus/fifo.ts";
import type { Clock, Timer } from "../../src/core/ports/clock.ts";
import type { RandomStream } from "./random-streams.ts";
import type { ScheduledEvent } from "./scheduler.ts";
import type { World } from "./world.ts";

/** `killed`: the operating system and its page cache go on. `power`: what was not synced may be lost. `ended`: it stopped by itself. */
export type Death = "killed" | "power" | "ended";

/** The wall clock of the world's beginning. */
export const WORLD_BEGAN_MS = Date.UTC(2026, 0, 1);

/** Far more than comes to a process while it is paused. */
const HELD_MAX = 1_000_000;
/** Between two things that were held back: a microsecond, which a trace can show. */
const CATCH_UP_GAP_MS = 0.001;

interface DueDeath {
  /** It dies instead of its event of this number. */
  readonly atEvent: number;
  readonly death: Death;
  readonly onDue: () => void;
}

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
  /** What came while it was paused; until the last of it has run, what comes waits behind it (P2). */
  readonly #held = new Fifo<() => void>(HELD_MAX);
  #isCatchingUp = false;
  /** Events that have run in it. */
  #eventCount = 0;
  readonly #dueDeaths = new Set<DueDeath>();
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
    const unlessCancelled = (): void => {
      if (isOver) return;
      end();
      run();
    };
    const event = this.world.scheduler.after(delayMs, `${this.name} ${label}`, () => this.#comes(unlessCancelled));
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
        this.#comes(tell);
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
    this.#held.clear();
    this.world.note(`${this.name} dies: ${death}`);
    for (const listener of this.#deathListeners) listener(death);
    this.#deathListeners.clear();
  }

  /**
   * Dies instead of its event number `count` from now (0: the next), unless it is dead by then.
   * @param onDue right before it dies of this
   * @returns what takes it back; others stay
   */
  dieAfterEvents(count: number, death: Death, onDue: () => void = () => undefined): () => void {
    const due: DueDeath = { atEvent: this.#eventCount + count, death, onDue };
    this.#dueDeaths.add(due);
    return () => void this.#dueDeaths.delete(due);
  }

  /** Nothing runs in it until then (P2). */
  pause(forMs: number): void {
    assert(forMs > 0, "a pause takes time");
    const untilMs = this.world.nowMs + forMs;
    if (untilMs <= this.#pausedUntilMs) return;
    this.#pausedUntilMs = untilMs;
    this.world.scheduler.at(untilMs, `${this.name} goes on`, () => {
      if (!this.#isCatchingUp) this.#catchUp();
    });
  }

  /** The wall clock jumps (P3). */
  jumpWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Something has come to it. */
  #comes(run: () => void): void {
    if (!this.isAlive) return;
    if (this.isPaused || this.#held.length > 0) assert(this.#held.push(run), "a pause has an end");
    else this.#live(run);
  }

  /** One in an event, so that T2 of the scheduler holds for what was held back, too. Another pause puts it off. */
  #catchUp(): void {
    this.#isCatchingUp = false;
    if (!this.isAlive || this.isPaused) return;
    const run = this.#held.shift();
    if (run === undefined) return;
    this.#live(run);
    if (this.#held.length === 0) return;
    this.#isCatchingUp = true;
    this.world.scheduler.after(CATCH_UP_GAP_MS, `${this.name} catches up`, () => this.#catchUp());
  }

  #live(run: () => void): void {
    for (const { atEvent, death, onDue } of this.#dueDeaths) {
      if (atEvent > this.#eventCount) continue;
      onDue();
      return this.die(death);
    }
    this.#eventCount += 1;
    run();
  }
}
