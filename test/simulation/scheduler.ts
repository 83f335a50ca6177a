/**
 * Simulated time: what is to happen, in an order that depends on nothing but the seed.
 *
 * T1: events run in order of time; those of one moment in an order the seed draws, and as they were given where even that is equal.
 * T2: before the next event runs, everything that the last one set going has come to rest: no promise job is left.
 * T3: an event never runs inside of another.
 */
import assert from "node:assert/strict";
import type { Random } from "../../src/core/ports/random.ts";

export interface ScheduledEvent {
  /** It will not run any more. Cancelling twice is harmless. */
  cancel(): void;
}

interface Entry extends ScheduledEvent {
  readonly atMs: number;
  readonly tie: number;
  readonly sequence: number;
  readonly label: string;
  run: (() => void) | undefined;
}

export interface SchedulerOptions {
  /** Decides between events of one moment. */
  readonly tieBreak: Random;
  /** Told of each event right before it runs. */
  readonly onEvent: (atMs: number, label: string) => void;
}

const TIE_LIMIT = 2 ** 20;
const CANCELLED_KEPT = 256;

export class Scheduler {
  readonly #options: SchedulerOptions;
  /** A binary heap: each entry comes before its two children. */
  #heap: Entry[] = [];
  #nowMs = 0;
  #sequence = 0;
  #cancelledCount = 0;
  #eventCount = 0;
  #isRunning = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Milliseconds since the world began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have run. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** Events that wait for their time. */
  get waitingCount(): number {
    return this.#heap.length - this.#cancelledCount;
  }

  /** @param label says in a trace what this is: short, and the same in each run of a seed */
  at(atMs: number, label: string, run: () => void): ScheduledEvent {
    assert(Number.isFinite(atMs), "an event has a time");
    const entry: Entry = {
      atMs: Math.max(this.#nowMs, atMs),
      tie: this.#options.tieBreak.integer(TIE_LIMIT),
      sequence: this.#sequence++,
      label,
      run,
      cancel: () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        this.#cancelledCount += 1;
        if (this.#cancelledCount > CANCELLED_KEPT && this.#cancelledCount > this.#heap.length / 2) this.#forgetCancelled();
      },
    };
    this.#push(entry);
    return entry;
  }

  after(delayMs: number, label: string, run: () => void): ScheduledEvent {
    return this.at(this.#nowMs + Math.max(0, delayMs), label, run);
  }

  /**
   * Runs what is due until the time is `untilMs`, or `isOver` says so after an event.
   * @param isOver asked after each event, when it has come to rest
   */
  async runUntil(untilMs: number, isOver: () => boolean = () => false): Promise<void> {
    assert(!this.#isRunning, "events do not run inside of events (T3)");
    this.#isRunning = true;
    try {
      await settled();
      for (;;) {
        const next = this.#heap[0];
        if (next === undefined || next.atMs > untilMs) break;
        this.#pop();
        const { run } = next;
        if (run === undefined) {
          this.#cancelledCount -= 1;
          continue;
        }
        next.run = undefined;
        this.#nowMs = next.atMs;
        this.#eventCount += 1;
        this.#options.onEvent(next.atMs, next.label);
        run();
        await settled();
        if (isOver()) return;
      }
      this.#nowMs = Math.max(this.#nowMs, untilMs);
    } finally {
      this.#isRunning = false;
    }
  }

  /** Most timers are cancelled long before their time. */
  #forgetCancelled(): void {
    const living = this.#heap.filter(({ run }) => run !== undefined);
    this.#heap = [];
    this.#cancelledCount = 0;
    for (const entry of living) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Entry;
      if (!isBefore(entry, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && isBefore(heap[right] as Entry, heap[child] as Entry)) child = right;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  if (one.atMs !== other.atMs) return one.atMs < other.atMs;
  return one.tie === other.tie ? one.sequence < other.sequence : one.tie < other.tie;
}

/** T2: an immediate runs when no promise job and no tick is left. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
