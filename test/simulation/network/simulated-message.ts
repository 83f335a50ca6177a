/**
 * What node:http calls an IncomingMessage, as far as the adapter over it uses one: production's `IncomingBody` reads from it, so its rules
 * about pace, memory and early ends are those that are tried here.
 *
 * M1: nothing flows before somebody listens; what nobody has taken stays in its sender's way.
 */
import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";

export interface MessageOptions {
  readonly method?: string;
  /** As declared; absent: it says itself where it ends. */
  readonly lengthBytes: number | undefined;
  /** So many bytes have been taken. */
  readonly onTaken: (bytes: number) => void;
}

export class SimulatedMessage extends EventEmitter {
  readonly method: string;
  /** All of it has arrived. */
  complete: boolean;
  /** No more comes of it. */
  destroyed = false;
  readonly #onTaken: (bytes: number) => void;
  #missingBytes: number;
  readonly #waiting: Buffer[] = [];
  #isFlowing = false;
  #isPaused = false;
  #isEndTold = false;

  constructor({ method = "", lengthBytes, onTaken }: MessageOptions) {
    super();
    this.method = method;
    this.#onTaken = onTaken;
    this.#missingBytes = lengthBytes ?? Number.POSITIVE_INFINITY;
    this.complete = lengthBytes === 0;
  }

  /** For what production has typed so. */
  get asIncoming(): IncomingMessage {
    return this as unknown as IncomingMessage;
  }

  /** @returns false when there is more than was declared: what follows is no HTTP */
  feed(bytes: Buffer, isEnd: boolean): boolean {
    if (this.destroyed) return true;
    const own = bytes.length > this.#missingBytes ? bytes.subarray(0, this.#missingBytes) : bytes;
    this.#missingBytes -= own.length;
    if (own.length > 0) this.#waiting.push(own);
    if (this.#missingBytes === 0 || (isEnd && this.#missingBytes === Number.POSITIVE_INFINITY)) this.complete = true;
    this.#flow();
    return own.length === bytes.length;
  }

  /** The connection is no more. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#waiting.length = 0;
    this.emit("close");
  }

  isPaused(): boolean {
    return this.#isPaused;
  }

  pause(): this {
    this.#isPaused = true;
    return this;
  }

  resume(): this {
    this.#isPaused = false;
    this.#isFlowing = true;
    // Not inside of whoever asks, who may be about to listen to the end, too.
    queueMicrotask(() => this.#flow());
    return this;
  }

  override on(event: string, listener: (...values: never[]) => void): this {
    super.on(event, listener as (...values: unknown[]) => void);
    if (event === "data" && !this.#isPaused) this.resume();
    return this;
  }

  #flow(): void {
    if (!this.#isFlowing) return;
    while (!this.#isPaused && this.#waiting.length > 0) {
      const bytes = this.#waiting.shift() as Buffer;
      this.#onTaken(bytes.length);
      this.emit("data", bytes);
    }
    if (!this.complete || this.destroyed || this.#isPaused || this.#waiting.length > 0 || this.#isEndTold) return;
    this.#isEndTold = true;
    this.emit("end");
  }
}
