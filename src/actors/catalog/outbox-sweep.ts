/**
 * Looks for outbox rows of one kind that are due and delivers them: woken after a commit, and about every second anyway, because a
 * wake-up may be lost and the commit may have been another process's.
 *
 * O1: a row is removed only after its delivery; so each is delivered at least once.
 * O2: a row that cannot be delivered comes again later, with growing pauses; others are settled when they are delivered, and not with it.
 * O3: one sweep at a time in a process, a bounded batch at a time.
 * O4: of several catalogs one delivers a row: see {@link OutboxClaim}.
 */
import { OUTBOX_BATCH_MAX, OUTBOX_SWEEP_MS } from "../../core/limits.ts";
import type { Timer } from "../../core/ports/clock.ts";
import { inTrace } from "../../core/trace.ts";
import { OutboxClaim, type OutboxPorts } from "./outbox-claim.ts";

export interface OutboxSweepOptions extends OutboxPorts {
  /** Delivers rows and settles each; those that it does not come to are due again by themselves. */
  readonly deliver: (claim: OutboxClaim) => Promise<void>;
}

export class OutboxSweep {
  readonly #options: OutboxSweepOptions;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #woken = false;
  #stopped = false;

  constructor(options: OutboxSweepOptions) {
    this.#options = options;
  }

  /** There is, or may be, something to do. */
  wake(): void {
    this.#woken = true;
    this.#begin();
  }

  #begin(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#timer?.cancel();
    // Rows of many requests, and of other processes: it is in the trace of none.
    this.#running = inTrace(undefined, () => this.#run()).finally(() => {
      this.#running = undefined;
      // Woken after the last look and before here.
      if (this.#woken) this.#begin();
      else if (!this.#stopped) this.#timer = this.#options.clock.setTimer(OUTBOX_SWEEP_MS, () => this.#begin());
    });
  }

  /** Resolves when the delivery under way, if any, has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      // Unless somebody said so there is most often nothing, which is found out without a transaction.
      let more = this.#woken || (await OutboxClaim.isDue(this.#options));
      while ((more || this.#woken) && !this.#stopped) {
        this.#woken = false;
        more = await this.#sweep();
      }
    } catch (error) {
      this.#options.log.warn({ err: error, kind: this.#options.kind }, "The outbox could not be swept; it will be again.");
    }
  }

  /** @returns whether there may be more at once */
  async #sweep(): Promise<boolean> {
    const claim = await OutboxClaim.take(this.#options);
    if (claim.rows.length === 0) return false;
    await this.#options.deliver(claim);
    return claim.rows.length === OUTBOX_BATCH_MAX;
  }
}
