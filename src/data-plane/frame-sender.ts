/**
 * The sending half of a transfer over the bus: bytes in numbered frames, never more of them than the receiver has room for.
 *
 * S1: a frame leaves only on credit, so that what waits between the two is bounded by the receiver's window.
 * S2: credit is the count of frames that may have been sent in all: a message about it that is lost is made up for by the next, and one
 *     that comes late takes nothing back. One that allows more than a window allows a window.
 */
import assert from "node:assert/strict";
import { FRAME_BYTES_MAX, FRAME_WINDOW_MAX } from "../core/limits.ts";
import type { SilenceWatch } from "../core/silence-watch.ts";
import { encodeFrame, FRAME_HEADER_BYTES, type Frame } from "./frame.ts";

export interface FrameSenderOptions {
  readonly publish: (payload: Uint8Array) => void;
  /** The largest message the bus carries. */
  readonly payloadBytesMax: number;
  /** Counts while credit is waited for; rests otherwise. */
  readonly watch: SilenceWatch;
  readonly credit: number;
}

export class FrameSender {
  readonly #options: FrameSenderOptions;
  readonly #frameBytesMax: number;
  #sentCount = 0;
  #upTo: number;
  #waiting: PromiseWithResolvers<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FrameSenderOptions) {
    this.#options = options;
    this.#upTo = options.credit;
    this.#frameBytesMax = Math.min(FRAME_BYTES_MAX, options.payloadBytesMax - FRAME_HEADER_BYTES);
    assert(this.#frameBytesMax > 0, "a frame has room for a byte");
    options.watch.rest();
  }

  /** Sends a block, or a sign of life for one of no bytes; resolves when it has left. @throws what {@link fail} was given */
  async send(block: Uint8Array): Promise<void> {
    if (block.length === 0) {
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#publish({ kind: "waiting" });
    }
    for (let offset = 0; offset < block.length; offset += this.#frameBytesMax) {
      // S1
      if (this.#sentCount >= this.#upTo) await this.#credited();
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#publish({ kind: "bytes", number: this.#sentCount, bytes: block.subarray(offset, offset + this.#frameBytesMax) });
      this.#sentCount += 1;
    }
  }

  end(outcome?: unknown): void {
    this.#publish({ kind: "end", count: this.#sentCount, outcome });
  }

  /** S2 */
  allow(upTo: number): void {
    this.#upTo = Math.max(this.#upTo, Math.min(upTo, this.#sentCount + FRAME_WINDOW_MAX));
    if (this.#sentCount < this.#upTo) this.#waiting?.resolve();
  }

  /** Nothing more is sent. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#waiting?.resolve();
  }

  async #credited(): Promise<void> {
    if (this.#failure !== undefined) return;
    const { watch } = this.#options;
    this.#waiting = Promise.withResolvers();
    watch.touch();
    await this.#waiting.promise;
    this.#waiting = undefined;
    watch.rest();
  }

  #publish(frame: Frame): void {
    this.#options.publish(encodeFrame(frame));
  }
}
