/**
 * The receiving half of a transfer over the bus: frames back to bytes, in order and without a gap.
 *
 * V1: bytes are handed on only in the order of their numbers; a number that was left out ends the transfer with an error, and one that
 *     came before says nothing new.
 * V2: at most a window of frames waits; the sender is allowed more as they are taken. One that sends more than it may is given up.
 * V3: the end says how many frames there were: one that is missing at the end is missed, too.
 * V4: a sender that cannot be allowed more would be waited for in vain: the transfer ends with the reason.
 */
import { TroupeError } from "../core/errors.ts";
import { FRAME_WINDOW_MAX } from "../core/limits.ts";
import type { SilenceWatch } from "../core/silence-watch.ts";

export interface FrameReceiverOptions {
  /** Tells the sender how many frames it may have sent in all. What it throws ends the transfer. */
  readonly allow: (upTo: number) => void;
  /** Counts while a frame is waited for; rests otherwise. */
  readonly watch: SilenceWatch;
}

type Result = IteratorResult<Uint8Array, undefined>;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

export class FrameReceiver implements AsyncIterator<Uint8Array, undefined> {
  readonly #options: FrameReceiverOptions;
  readonly #frames: Uint8Array[] = [];
  #takenCount = 0;
  #allowedUpTo = FRAME_WINDOW_MAX;
  #isEnded = false;
  #failure: { readonly error: unknown } | undefined;
  #waiting: PromiseWithResolvers<Result> | undefined;

  constructor(options: FrameReceiverOptions) {
    this.#options = options;
  }

  /** How many frames have come, in order. */
  get #cameCount(): number {
    return this.#takenCount + this.#frames.length;
  }

  /** @param number from 0 */
  take(number: number, bytes: Uint8Array): void {
    if (this.#isEnded || this.#failure !== undefined || number < this.#cameCount) return;
    // V1
    if (number > this.#cameCount) return this.fail(new TroupeError("UNAVAILABLE", `Frame ${this.#cameCount} was lost on its way.`));
    // V2
    if (number >= this.#allowedUpTo) return this.fail(new TroupeError("UNAVAILABLE", "More frames came than were asked for."));
    this.#frames.push(bytes);
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    waiting.resolve(this.#hand());
  }

  /** Nothing came, but whoever sends is there. */
  hearWaiting(): void {
    if (this.#waiting !== undefined) this.#options.watch.touch();
  }

  end(count: number): void {
    if (this.#isEnded || this.#failure !== undefined) return;
    // V3
    if (count !== this.#cameCount)
      return this.fail(new TroupeError("UNAVAILABLE", `${count} frames were sent, and ${this.#cameCount} of them came.`));
    this.#isEnded = true;
    this.#options.watch.rest();
    this.#waiting?.resolve(DONE);
    this.#waiting = undefined;
  }

  /** The reader gets this instead of what has not been read yet. */
  fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#frames.length = 0;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  next(): Promise<Result> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
    if (this.#frames.length > 0) return Promise.resolve(this.#hand());
    if (this.#isEnded) return Promise.resolve(DONE);
    this.#waiting = Promise.withResolvers();
    this.#options.watch.touch();
    return this.#waiting.promise;
  }

  /** The reader is the one who is waited for from here to its next pull. */
  #hand(): Result {
    const value = this.#frames.shift();
    if (value === undefined) return DONE;
    this.#takenCount += 1;
    this.#options.watch.rest();
    // Not for every frame: half a window at a time keeps the sender going with an eighth of the messages.
    const upTo = this.#takenCount + FRAME_WINDOW_MAX;
    if (!this.#isEnded && upTo - this.#allowedUpTo >= FRAME_WINDOW_MAX / 2) this.#allow(upTo);
    return { done: false, value };
  }

  /** V4 */
  #allow(upTo: number): void {
    this.#allowedUpTo = upTo;
    try {
      this.#options.allow(upTo);
    } catch (error) {
      this.fail(error);
    }
  }
}
