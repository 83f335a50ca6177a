/**
 * Streams of random numbers, one for each purpose of each component: what one draws shifts no other. So a plan with one fault less begins as
 * the same run, and stays close to it: only what draws from a stream again, or comes in another order because of that fault, is otherwise.
 */
import { createHash } from "node:crypto";
import type { Random } from "../../src/core/ports/random.ts";

export class RandomStreams {
  readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  /** The same stream for the same words: keep it, asking again begins it anew. */
  stream(component: string, purpose: string): RandomStream {
    const words = createHash("sha256")
      .update(JSON.stringify([this.seed, component, purpose]))
      .digest();
    return new RandomStream(words.readUInt32LE(0), words.readUInt32LE(4), words.readUInt32LE(8), words.readUInt32LE(12));
  }
}

/** The Random port over 32-bit arithmetic (sfc32 of PractRand: three words mixed, one counted), quick enough to be asked for each event. */
export class RandomStream implements Random {
  #a: number;
  #b: number;
  #c: number;
  #count: number;

  constructor(a: number, b: number, c: number, count: number) {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    this.#count = count | 0;
    for (let round = 0; round < 12; round += 1) this.#next();
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let offset = 0; offset < count; offset += 4) {
      const word = this.#next();
      for (let index = offset; index < Math.min(count, offset + 4); index += 1) bytes[index] = word >>> (8 * (index - offset));
    }
    return bytes;
  }

  integer(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** Uniform, from `least` up to but not including `most`. */
  between(least: number, most: number): number {
    return least + (this.#next() / 2 ** 32) * (most - least);
  }

  /** True once in `1 / probability` times. */
  chance(probability: number): boolean {
    return this.#next() < probability * 2 ** 32;
  }

  /** One of several, each as likely. */
  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new RangeError("nothing to pick from");
    return from[this.integer(from.length)] as T;
  }

  /** One of several, each as likely as it weighs. */
  weighted<T extends { readonly weight: number }>(from: readonly T[]): T {
    let left = this.between(
      0,
      from.reduce((sum, { weight }) => sum + weight, 0),
    );
    for (const one of from) {
      left -= one.weight;
      if (left < 0) return one;
    }
    return this.pick(from);
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }
}
