/**
 * One direction of the way between a process and the bus: how long a message takes on it, and what befalls messages while a fault lasts.
 * It outlives the process's connections and its lives.
 *
 * L1: usual delays and each trouble draw from streams of their own: trouble taken away leaves the usual delays and other troubles as they
 *     were.
 */
import assert from "node:assert/strict";
import type { RandomStream } from "../random-streams.ts";
import type { World } from "../world.ts";

export type TroubleKind = "delay" | "loss" | "doubling" | "reordering" | "late-reply" | "no-responders";

/** What a fault does to a lane while it lasts. */
export interface Trouble {
  readonly kind: TroubleKind;
  /** That it befalls one message. */
  readonly probability: number;
  /** How much later the message arrives, or its double: between these. */
  readonly leastMs: number;
  readonly mostMs: number;
}

const DELAY_LEAST_MS = 0.2;
const DELAY_MOST_MS = 1;
/** Between two messages on one lane: a microsecond, which a trace can show. */
const GAP_MS = 0.001;
/** A usual message has arrived after this time. */
export const USUAL_MS_MAX = 2 * DELAY_MOST_MS;

export class Lane {
  readonly name: string;
  readonly #world: World;
  readonly #usual: RandomStream;
  /** What is wrong now, and the stream of each. */
  readonly #troubles = new Map<Trouble, RandomStream>();
  /** The faults that cut it, as they are counted. */
  readonly #cuts: string[] = [];

  constructor(world: World, name: string) {
    this.#world = world;
    this.name = name;
    this.#usual = world.random.stream("bus", `${name} delay`);
  }

  /** Nothing arrives: it waits at its end. */
  get isCut(): boolean {
    return this.#cuts.length > 0;
  }

  /** Something waits now because the lane is cut. */
  countWaiting(): void {
    for (const fault of this.#cuts) this.#world.counts.add(fault);
  }

  get isTroubled(): boolean {
    return this.#troubles.size > 0;
  }

  /** @param fault how it is counted when something has to wait for it */
  cut(fault: string): void {
    this.#cuts.push(fault);
  }

  mend(fault: string): void {
    const index = this.#cuts.indexOf(fault);
    assert(index >= 0, "what is mended was cut");
    this.#cuts.splice(index, 1);
  }

  add(trouble: Trouble): void {
    const { nowMs, random } = this.#world;
    this.#troubles.set(trouble, random.stream("bus", `${this.name} ${trouble.kind}@${nowMs}`));
  }

  remove(trouble: Trouble): void {
    this.#troubles.delete(trouble);
  }

  /** A usual delay, as of a handshake, which keeps no order with messages. */
  delayMs(): number {
    return this.#usual.between(DELAY_LEAST_MS, DELAY_MOST_MS);
  }

  /** When arrives what is sent at `fromMs`. @param lastMs when the last before it does */
  arrivalMs(fromMs: number, lastMs: number): number {
    const slowMs = this.#troubles.size === 0 ? undefined : this.strikeMs("delay");
    return Math.max(fromMs + this.delayMs() + (slowMs ?? 0), lastMs + GAP_MS);
  }

  /** Whether trouble of this kind befalls a message now, which is counted; and the time that goes with it. */
  strikeMs(kind: TroubleKind): number | undefined {
    for (const [trouble, stream] of this.#troubles) {
      if (trouble.kind !== kind || !stream.chance(trouble.probability)) continue;
      this.#world.counts.add(`fault.bus.${kind}`);
      return stream.between(trouble.leastMs, trouble.mostMs);
    }
    return undefined;
  }
}

/** Both directions of one process, by the process's name. */
export class BusWay {
  readonly up: Lane;
  readonly down: Lane;

  constructor(world: World, processName: string) {
    this.up = new Lane(world, `${processName}>bus`);
    this.down = new Lane(world, `bus>${processName}`);
  }

  get isCut(): boolean {
    return this.up.isCut || this.down.isCut;
  }
}
