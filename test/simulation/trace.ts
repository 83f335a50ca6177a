/** What happened, in order: a hash of every event, in words for who listens. Two runs of one seed have the same hash. */

export class Trace {
  #high = 0x811c9dc5;
  #low = 0x9747b28c;
  readonly #listener: ((line: string) => void) | undefined;

  /** @param listener gets each line as it comes */
  constructor(listener?: (line: string) => void) {
    this.#listener = listener;
  }

  /** 16 hexadecimal digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  add(atMs: number, text: string): void {
    // FNV-1a twice with different primes, over the time in microseconds and the text.
    let high = Math.imul(this.#high ^ Math.floor(atMs * 1000), 0x01000193);
    let low = Math.imul(this.#low ^ Math.floor(atMs * 1000), 0x85ebca6b);
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charCodeAt(index);
      high = Math.imul(high ^ unit, 0x01000193);
      low = Math.imul(low ^ unit, 0x85ebca6b);
      low ^= low >>> 15;
    }
    this.#high = high;
    this.#low = low;
    this.#listener?.(`${atMs.toFixed(3)} ${text}`);
  }
}
