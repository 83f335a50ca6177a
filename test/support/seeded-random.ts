/** A Random that gives the same numbers for the same seed (xorshift128+, Vigna 2014, seeded by splitmix64). */
import type { Random } from "../../src/core/ports/random.ts";

const MASK = (1n << 64n) - 1n;

export class SeededRandom implements Random {
  #a: bigint;
  #b: bigint;

  constructor(seed: number) {
    let state = BigInt(seed) & MASK;
    const next = (): bigint => {
      state = (state + 0x9e3779b97f4a7c15n) & MASK;
      let mixed = state;
      mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
      mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & MASK;
      return mixed ^ (mixed >> 31n);
    };
    this.#a = next();
    this.#b = next();
  }

  #next(): bigint {
    let a = this.#a;
    const b = this.#b;
    this.#a = b;
    a = (a ^ (a << 23n)) & MASK;
    this.#b = a ^ b ^ (a >> 17n) ^ (b >> 26n);
    return (this.#b + b) & MASK;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index += 1) bytes[index] = Number(this.#next() & 0xffn);
    return bytes;
  }

  integer(limit: number): number {
    return Number(this.#next() % BigInt(limit));
  }
}
