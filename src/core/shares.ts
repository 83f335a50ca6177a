/**
 * Places that many share: whoever has some already leaves room for others. One may have {@link SHARE_OF_FREE_MAX} times as many as are free,
 * so that one alone gets most of them, and each that comes later still finds some.
 */
import assert from "node:assert/strict";
import { SHARE_OF_FREE_MAX } from "./limits.ts";

export class Shares {
  readonly #placesMax: number;
  readonly #held = new Map<string, number>();
  #heldCount = 0;

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  hasRoomFor(who: string): boolean {
    return (this.#held.get(who) ?? 0) < SHARE_OF_FREE_MAX * (this.#placesMax - this.#heldCount);
  }

  /** Also where there is no room: what was there before a restart is there. */
  add(who: string): void {
    this.#held.set(who, (this.#held.get(who) ?? 0) + 1);
    this.#heldCount += 1;
  }

  remove(who: string): void {
    const held = this.#held.get(who);
    assert(held !== undefined, "a place is given back once, by whoever has it");
    if (held === 1) this.#held.delete(who);
    else this.#held.set(who, held - 1);
    this.#heldCount -= 1;
  }
}
