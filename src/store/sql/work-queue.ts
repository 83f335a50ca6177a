/** Work that runs one at a time in the order it came, with a bound on what waits. */
import { TroupeError } from "../../core/errors.ts";

/** After this many in a row the event loop gets a turn: each may finish without one, and a long queue would hold up everything else. */
const RUN_BEFORE_PAUSE = 16;

export class WorkQueue {
  readonly #waitingMax: number;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #inRow = 0;
  #closed = false;

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  /** @throws {TroupeError} `DATABASE_UNAVAILABLE` when too much waits, or after {@link close} */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new TroupeError("DATABASE_UNAVAILABLE", "The database has been closed.");
    if (this.#waiting >= this.#waitingMax)
      throw new TroupeError("DATABASE_UNAVAILABLE", `${this.#waiting} transactions are waiting already.`);
    this.#waiting += 1;
    const result = this.#tail.then(() => this.#next(work));
    this.#tail = result.then(ignore, ignore);
    return result;
  }

  /** Takes nothing new; resolves when what waited has run. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tail;
  }

  async #next<T>(work: () => Promise<T>): Promise<T> {
    this.#inRow += 1;
    if (this.#inRow > RUN_BEFORE_PAUSE) {
      this.#inRow = 0;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    try {
      return await work();
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#inRow = 0;
    }
  }
}

/** The caller has the result; the queue only goes on. */
const ignore = (): void => {};
