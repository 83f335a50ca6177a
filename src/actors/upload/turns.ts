/** A session's own turns: what its effects ask to be run one at a time with everything else, and get the result of. */
import type { Self } from "../../bus/actor.ts";
import { TroupeError } from "../../core/errors.ts";

export class Turns {
  readonly #self: Self;
  /** How those who wait for a turn are told that there will be none. */
  readonly #waiting = new Set<(error: unknown) => void>();

  constructor(self: Self) {
    this.#self = self;
  }

  /** Runs `work` as a turn and gives its result. A typed error is the caller's; any other is a crash as well. */
  run<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#self.signal.aborted) return reject(new TroupeError("STOPPING"));
      this.#waiting.add(reject);
      this.#self.post(name, async () => {
        // Whoever was told that there will be no turn does nothing with what it would claim.
        if (!this.#waiting.delete(reject)) return;
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
          if (!(error instanceof TroupeError)) throw error;
        }
      });
    });
  }

  /** The same, when nobody waits for it; after the end it is nothing. */
  post(name: string, work: () => void | Promise<void>): void {
    if (!this.#self.signal.aborted) this.#self.post(name, work);
  }

  refuse(error: TroupeError): void {
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
  }
}
