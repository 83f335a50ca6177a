/**
 * A merge that nobody may ask for again: its client went away with a promise, or the answer to its commit was lost. When it is interrupted
 * the session goes on with it by itself, after pauses that grow; such an upload does not expire.
 *
 * P1: what keeps it from going on for good ends it: the merge fails, the upload is cancelled, or chunks are missing again.
 */
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Random } from "../../core/ports/random.ts";
import { pauseMs } from "../../core/retry.ts";

const PAUSES = { attemptsMax: Number.POSITIVE_INFINITY, pauseMinMs: 1_000, pauseMaxMs: 60_000 };

export class MergePromise {
  readonly #ports: { readonly clock: Clock; readonly random: Random };
  readonly #goOn: () => void;
  /** Of the file that was promised. */
  #sizeBytes: number | undefined;
  #interruptions = 0;
  #timer: Timer | undefined;

  /** @param goOn it is time to merge, if it still {@link holds} and nobody else has asked for it meanwhile */
  constructor(ports: { readonly clock: Clock; readonly random: Random }, sizeBytes: number | undefined, goOn: () => void) {
    this.#ports = ports;
    this.#sizeBytes = sizeBytes;
    this.#goOn = goOn;
  }

  make(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes;
  }

  /** @param completeBytes the file's size, if every chunk is there */
  holds(completeBytes: number | undefined, isCommitUncertain: boolean): boolean {
    return completeBytes !== undefined && (isCommitUncertain || completeBytes === this.#sizeBytes);
  }

  /** The merge was interrupted and can be tried again. */
  goOnLater(): void {
    this.#timer?.cancel();
    this.#interruptions += 1;
    this.#timer = this.#ports.clock.setTimer(pauseMs(PAUSES, this.#interruptions + 1, this.#ports.random), this.#goOn);
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
