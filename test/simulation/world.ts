/**
 * The world in which a whole cluster runs in one thread: time, chance, what happened, and how often. Everything outside of a process
 * (bus, disks, databases, networks) hangs on it and does its work in events of its scheduler.
 */

import { Counts } from "./counts.ts";
import { RandomStreams } from "./random-streams.ts";
import { Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";

export class World {
  readonly random: RandomStreams;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  /** How often each thing came about: a fault that took effect, a transition of the machine, an operation that ended in this way. */
  readonly counts = new Counts();
  /** What must never be. A run ends with the event in which there is one; that event may bring about more. */
  readonly #violations: Violation[] = [];

  constructor(seed: number, onTraceLine?: (line: string) => void) {
    this.random = new RandomStreams(seed);
    this.trace = new Trace(onTraceLine);
    this.scheduler = new Scheduler({
      tieBreak: this.random.stream("scheduler", "tie"),
      onEvent: (atMs, label) => this.trace.add(atMs, label),
    });
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** Something that is not an event of its own, but belongs into the story and its hash. */
  note(text: string): void {
    this.trace.add(this.nowMs, text);
  }

  /** @param rule a short name, the same for every breach of the rule: plans are shrunk as long as this stays the same */
  violate(rule: string, sentence: string): void {
    this.note(`VIOLATION ${rule}: ${sentence}`);
    this.#violations.push({ rule, sentence, atMs: this.nowMs });
  }

  get violations(): readonly Violation[] {
    return this.#violations;
  }
}

export interface Violation {
  readonly rule: string;
  readonly sentence: string;
  /** Simulated. */
  readonly atMs: number;
}
