/**
 * Server-sent events (WHATWG HTML, 9.2) as the body of an answer, for one reader.
 *
 * E1: a slow reader costs so many events; older ones are dropped.
 * E2: no owner has all the streams of a kind that there may be.
 */
import { TroupeError } from "../core/errors.ts";
import { EVENTS_WAITING_MAX } from "../core/limits.ts";
import { Shares } from "../core/shares.ts";

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

export class ServerSentEvents implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #onEnd: () => void;
  #queue: string[] = [];
  #waiting: ((result: IteratorResult<Uint8Array>) => void) | undefined;
  #isEnded = false;

  /** @param onEnd once: the reader has gone, or {@link end} */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const text = this.#queue.shift();
    if (text !== undefined) return Promise.resolve({ done: false, value: Buffer.from(text) });
    if (this.#isEnded) return Promise.resolve(DONE);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#queue = [];
    this.end();
    return Promise.resolve(DONE);
  }

  /** What is queued is still delivered. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#onEnd();
    this.#waiting?.(DONE);
    this.#waiting = undefined;
  }

  /** Lines as they are on the wire, with the empty one after them. */
  push(text: string): void {
    if (this.#isEnded) return;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      return waiting({ done: false, value: Buffer.from(text) });
    }
    // E1
    if (this.#queue.length >= EVENTS_WAITING_MAX) this.#queue.shift();
    this.#queue.push(text);
  }
}

/** @param data one line, such as JSON */
export function eventText(event: string, data: string): string {
  return `event: ${event}\ndata: ${data}\n\n`;
}

/** Keeps the connection, and tells both ends that it is there. */
export const SIGN_OF_LIFE = ": still here\n\n";

interface Stream {
  readonly body: ServerSentEvents;
  /** Begins to fill the body. */
  start(): Promise<void>;
}

/** The streams of one kind that are open. */
export class OpenStreams {
  readonly #open = new Set<Stream>();
  readonly #places: Shares;

  constructor(max: number) {
    this.#places = new Shares(max);
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * @param make is given what the stream calls when it has ended
   * @throws {TroupeError} `TOO_MANY`, and what its start throws
   */
  async open<Kind extends Stream>(owner: string, make: (onEnd: () => void) => Kind): Promise<Kind> {
    // E2
    if (!this.#places.hasRoomFor(owner)) throw new TroupeError("TOO_MANY");
    const stream: Kind = make(() => {
      this.#open.delete(stream);
      this.#places.remove(owner);
    });
    this.#open.add(stream);
    this.#places.add(owner);
    try {
      await stream.start();
    } catch (error) {
      stream.body.end();
      throw error;
    }
    return stream;
  }

  endAll(): void {
    for (const { body } of this.#open) body.end();
  }
}
