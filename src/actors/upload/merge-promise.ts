/**
 * A merge that nobody may ask for again: its client went away with a promise, or the answer to its commit was lost. When it is interrupted
 * the session goes on with it by itself, after pauses that grow; such an upload does not expire.
 *
 * P1: what keeps it from going on for good ends it: the merge fails, the upload is cancelled, or chunks are missing again.
 * P2: it is in the journal before it is answered, and so holds after a restart.
 */
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Random } from "../../core/ports/random.ts";
import { pauseMs } from "../../core/retry.ts";
import type { Journal } from "./journal.ts";
import type { MergeSteps } from "./merge-steps.ts";
import type { SessionState } from "./session-state.ts";
import type { Turns } from "./turns.ts";

interface PromisingSession {
  readonly ports: { readonly clock: Clock; readonly random: Random };
  readonly journal: Journal;
  readonly merge: MergeSteps;
  readonly state: SessionState;
  readonly turns: Turns;
}

const PAUSES = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 1_000, pauseMaxMs: 60_000 };

export class MergePromise {
  readonly #session: PromisingSession;
  /** Of the file that was promised. */
  #sizeBytes: number | undefined;
  #interruptions = 0;
  #timer: Timer | undefined;

  /** @param sizeBytes as it was promised before */
  constructor(session: PromisingSession, sizeBytes: number | undefined) {
    this.#session = session;
    this.#sizeBytes = sizeBytes;
  }

  /** P1 */
  get holds(): boolean {
    const { merge, state } = this.#session;
    const { completeBytes } = merge;
    return completeBytes !== undefined && (state.context.isCommitUncertain || completeBytes === this.#sizeBytes);
  }

  /** P2. Inside a turn. */
  async make(sizeBytes: number): Promise<void> {
    if (this.holds) return;
    await this.#session.journal.append({ kind: "merge", sizeBytes });
    this.#sizeBytes = sizeBytes;
  }

  /** Inside a turn: merges, if it still holds and nobody else has asked for it meanwhile. */
  keep(): void {
    const { state } = this.#session;
    if (state.word === "receiving" && this.holds) state.apply({ type: "merge.requested", isComplete: true });
  }

  /** The merge was interrupted; if it can be tried again, it is. */
  keepLater(): void {
    if (!this.holds) return;
    const { ports, turns } = this.#session;
    const { clock, random } = ports;
    this.#timer?.cancel();
    this.#interruptions += 1;
    this.#timer = clock.setTimer(pauseMs(PAUSES, this.#interruptions + 1, random), () => turns.post("merge.resumed", () => this.keep()));
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
