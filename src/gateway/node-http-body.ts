/**
 * The body of a message node:http has received, as an AsyncIterable with back-pressure: part of the adapter over node:http, shared
 * by its server and its client.
 *
 * B1: at most `BODY_BUFFER_BYTES_MAX` (and one read of the socket) wait in memory; beyond that the socket is paused.
 * B2: nothing is read from the socket before the first pull, so a client that waits for "100 Continue" is answered only then.
 * B3: a body that ends early never looks like one that ended: the iteration throws.
 * B4: only a reader that waits makes the sender late; time that a full buffer waits for its reader is not held against the sender.
 */
import type { IncomingMessage } from "node:http";
import { TroupeError } from "../core/errors.ts";
import { BODY_BUFFER_BYTES_MAX } from "../core/limits.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import type { Counter } from "../core/ports/metrics.ts";

/** The slowest sender that is waited for: so many bytes within every window. */
export interface BodyPace {
  readonly windowMs: number;
  readonly bytesMin: number;
}

export interface IncomingBodyOptions {
  /** Called once, at the first pull. */
  readonly onFirstPull?: () => void;
  /** What an early end is. */
  readonly endedEarly: () => TroupeError;
  /** The slowest sender that is waited for; absent: any. */
  readonly pace?: BodyPace & { readonly clock: Clock };
  /** Of bytes that came. */
  readonly received?: Counter | undefined;
}

type Waiting = { readonly resolve: (result: IteratorResult<Uint8Array>) => void; readonly reject: (error: unknown) => void };

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

export class IncomingBody implements AsyncIterableIterator<Uint8Array> {
  readonly #message: IncomingMessage;
  readonly #options: IncomingBodyOptions;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #waiting: Waiting | undefined;
  #started = false;
  #ended = false;
  #error: unknown;
  #windowTimer: Timer | undefined;
  #windowBytes = 0;
  /** Within this window the reader, not the sender, was waited for. */
  #readerWasLate = false;

  constructor(message: IncomingMessage, options: IncomingBodyOptions) {
    this.#message = message;
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    if (!this.#started) this.#start();
    const block = this.#queue.shift();
    if (block !== undefined) {
      this.#queuedBytes -= block.length;
      if (this.#queuedBytes < BODY_BUFFER_BYTES_MAX / 2 && this.#message.isPaused()) this.#message.resume();
      return Promise.resolve({ done: false, value: block });
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** The reader wants no more; what still comes is the adapter's to throw away. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#finish(undefined);
    this.#queue = [];
    this.#queuedBytes = 0;
    return Promise.resolve(DONE);
  }

  #start(): void {
    this.#started = true;
    const message = this.#message;
    // Nothing comes from it any more, neither what it had received whole nor an end.
    if (message.destroyed) return this.#finish(this.#options.endedEarly());
    message.on("data", this.#onData);
    message.on("end", this.#onEnd);
    message.on("close", this.#onClose);
    message.on("error", this.#onClose);
    if (this.#options.pace !== undefined) this.#openWindow();
    this.#options.onFirstPull?.();
  }

  readonly #onData = (block: Uint8Array): void => {
    if (this.#ended) return;
    this.#windowBytes += block.length;
    this.#options.received?.add(block.length);
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: block });
      return;
    }
    this.#queue.push(block);
    this.#queuedBytes += block.length;
    if (this.#queuedBytes >= BODY_BUFFER_BYTES_MAX) {
      this.#readerWasLate = true;
      this.#message.pause();
    }
  };

  readonly #onEnd = (): void => this.#finish(undefined);

  readonly #onClose = (): void => {
    // B3: node:http says "close" for a body that came whole, too, but only after "end".
    if (!this.#ended) this.#finish(this.#options.endedEarly());
  };

  #openWindow(): void {
    const { pace } = this.#options;
    if (pace === undefined || this.#ended) return;
    this.#windowBytes = 0;
    this.#readerWasLate = this.#waiting === undefined && this.#queuedBytes > 0;
    this.#windowTimer = pace.clock.setTimer(pace.windowMs, () => {
      if (this.#windowBytes < pace.bytesMin && !this.#readerWasLate && this.#waiting !== undefined) {
        const { bytesMin, windowMs } = pace;
        const sentence = `Less than ${bytesMin} bytes of the body came within ${windowMs / 1_000} s.`;
        this.#finish(new TroupeError("REQUEST_TIMEOUT", sentence, { facts: { bytesMin, windowMs } }));
      } else this.#openWindow();
    });
  }

  #finish(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#windowTimer?.cancel();
    const message = this.#message;
    message.off("data", this.#onData);
    message.off("end", this.#onEnd);
    message.off("close", this.#onClose);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) return;
    if (error === undefined) waiting.resolve(DONE);
    else waiting.reject(error);
  }
}
