/**
 * The way from one process to another: how long it takes, and what hinders it now. The way back is another line.
 *
 * L1: what is usual is drawn from one stream, whether a hindrance strikes from another of its own: without the hindrance all else is as
 *     before.
 */
import type { RandomStream } from "../random-streams.ts";
import type { World } from "../world.ts";
import { bytesOf, type Segment } from "./segment.ts";

const DELAY_MIN_MS = 0.1;
const DELAY_MAX_MS = 1;
/** A MiB in a millisecond. */
const BYTES_PER_MS = 1024 * 1024;

/** What can be wrong with a line for a while. */
export type Hindrance =
  /** Nothing goes through, and no connection comes about. */
  | { readonly kind: "partition" }
  /** A connection that carries something stands still until this is over, with this probability a segment. */
  | { readonly kind: "stall"; readonly probability: number }
  /** A segment's bytes end early, and the connection with them. */
  | { readonly kind: "truncate"; readonly probability: number }
  | { readonly kind: "reset"; readonly probability: number }
  /** Only answers: what was asked has been done. */
  | { readonly kind: "lost-answer"; readonly probability: number }
  | { readonly kind: "slow"; readonly delayMs: number; readonly bytesPerMs: number };

/** What becomes of a segment that has arrived. */
export type Fate = "delivered" | "held" | "truncated" | "reset";

/** Something that waits for the line to be free again. */
export interface Held {
  resume(): void;
}

export class Line {
  readonly from: string;
  readonly to: string;
  readonly #world: World;
  readonly #usual: RandomStream;
  /** How what was struck goes on. */
  readonly #unusual = new Map<string, RandomStream>();
  /** What is wrong now, and the stream of each. */
  readonly #hindrances = new Map<Hindrance, RandomStream>();
  readonly #held = new Set<Held>();
  readonly #stalled = new Map<Hindrance, Set<Held>>();

  constructor(world: World, from: string, to: string) {
    this.#world = world;
    this.from = from;
    this.to = to;
    this.#usual = world.random.stream("network", `${from}>${to} delay`);
  }

  get isParted(): boolean {
    for (const { kind } of this.#hindrances.keys()) if (kind === "partition") return true;
    return false;
  }

  /** How long the next segment is on its way, whatever its size. */
  latencyMs(): number {
    let delayMs = this.#usual.between(DELAY_MIN_MS, DELAY_MAX_MS);
    for (const [hindrance, random] of this.#hindrances) {
      if (hindrance.kind !== "slow") continue;
      this.#count("slow");
      delayMs += random.between(0.5, 1.5) * hindrance.delayMs;
    }
    return delayMs;
  }

  /** How long so many bytes take to pass by. */
  transferMs(bytes: number): number {
    let bytesPerMs = BYTES_PER_MS;
    for (const hindrance of this.#hindrances.keys()) if (hindrance.kind === "slow") bytesPerMs = Math.min(bytesPerMs, hindrance.bytesPerMs);
    return bytes / bytesPerMs;
  }

  /** How long what was held takes until it is sent once more. */
  resumingMs(): number {
    return this.#random("resuming").between(1, 300);
  }

  /** How many of a truncated segment's bytes arrive: not all. */
  truncatedTo(bytes: number): number {
    return this.#random("truncated to").integer(bytes);
  }

  /** Decides about a segment that arrives. @param held is resumed when this is over */
  fateOf(segment: Segment, held: Held): Fate {
    for (const [hindrance, random] of this.#hindrances) {
      const { kind } = hindrance;
      switch (kind) {
        case "partition":
          this.#count(kind);
          this.#held.add(held);
          return "held";
        case "stall":
          if (!random.chance(hindrance.probability)) break;
          this.#count(kind);
          this.#stalledBy(hindrance).add(held);
          return "held";
        case "truncate":
          if (bytesOf(segment).length === 0 || !random.chance(hindrance.probability)) break;
          this.#count(kind);
          return "truncated";
        case "reset":
          if (segment.kind === "broken" || !random.chance(hindrance.probability)) break;
          this.#count(kind);
          return "reset";
        case "lost-answer":
          if (segment.kind !== "answer" || !random.chance(hindrance.probability)) break;
          this.#count(kind);
          return "reset";
        case "slow":
          break;
      }
    }
    return "delivered";
  }

  /** An attempt to connect that nobody hears. */
  isDeafNow(): boolean {
    if (!this.isParted) return false;
    this.#count("partition");
    return true;
  }

  hinder(hindrance: Hindrance): void {
    const { nowMs, random } = this.#world;
    this.#hindrances.set(hindrance, random.stream("network", `${this.from}>${this.to} fault ${hindrance.kind}@${nowMs}`));
  }

  /** What it held goes on. */
  unhinder(hindrance: Hindrance): void {
    if (!this.#hindrances.delete(hindrance)) return;
    const stalled = this.#stalled.get(hindrance);
    this.#stalled.delete(hindrance);
    for (const each of stalled ?? []) each.resume();
    if (hindrance.kind !== "partition" || this.isParted) return;
    const held = [...this.#held];
    this.#held.clear();
    for (const each of held) each.resume();
  }

  #random(purpose: string): RandomStream {
    let stream = this.#unusual.get(purpose);
    if (stream === undefined) {
      stream = this.#world.random.stream("network", `${this.from}>${this.to} fault ${purpose}`);
      this.#unusual.set(purpose, stream);
    }
    return stream;
  }

  #stalledBy(hindrance: Hindrance): Set<Held> {
    const stalled = this.#stalled.get(hindrance) ?? new Set();
    this.#stalled.set(hindrance, stalled);
    return stalled;
  }

  #count(kind: string): void {
    this.#world.counts.add(`fault.network.${kind}`);
  }
}
