/** How fast bytes move: an average over the last seconds, in which a pause weighs less the longer it is over. */

const WINDOW_MS = 8_000;
const SAMPLES_MAX = 40;

export class RateMeter {
  #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  /** @param bytes that have moved since the beginning; what has to be sent again makes them fewer */
  add(atMs: number, bytes: number): void {
    const last = this.#samples.at(-1);
    // What was lost on the way is no negative speed.
    if (last !== undefined && bytes < last.bytes) this.#samples = [];
    this.#samples.push({ atMs, bytes });
    while (this.#samples.length > SAMPLES_MAX || (this.#samples.length > 2 && atMs - (this.#samples[0]?.atMs ?? 0) > WINDOW_MS))
      this.#samples.shift();
  }

  /** After a pause the time before it does not count. */
  reset(): void {
    this.#samples = [];
  }

  /** `undefined` until there is something to go by. */
  get bytesPerSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.atMs - first.atMs < 500) return undefined;
    return ((last.bytes - first.bytes) * 1000) / (last.atMs - first.atMs);
  }
}
