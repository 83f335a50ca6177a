/**
 * One subscription at the server. The driver brings it back with the connection; one that the server refused is asked for again
 * then, for its permissions may be others by now.
 */
import type { Msg, NatsConnectionImpl, Subscription } from "nats";
import type { BusHeaders, BusMessage } from "../core/ports/bus.ts";

export interface Hearing {
  /** @param isUnheard the server says that nobody heard the request whose inbox this is */
  readonly onMessage: (message: BusMessage, isUnheard: boolean) => void;
  /** The server does not let this user hear the subject. */
  readonly onRefused?: () => void;
  /** A message whose headers cannot be read, which nobody gets. */
  readonly onMalformed: (error: unknown) => void;
}

const NO_RESPONDERS = 503;

export class NatsListening {
  readonly #connection: NatsConnectionImpl;
  readonly #pattern: string;
  readonly #queue: string | undefined;
  readonly #hearing: Hearing;
  #subscription: Subscription;
  #isRefused = false;

  constructor(connection: NatsConnectionImpl, pattern: string, queue: string | undefined, hearing: Hearing) {
    this.#connection = connection;
    this.#pattern = pattern;
    this.#queue = queue;
    this.#hearing = hearing;
    this.#subscription = this.#open();
  }

  stop(): void {
    this.#subscription.unsubscribe();
  }

  /** Nothing new is sent; resolves when what was on its way has arrived, or never will. */
  async drain(): Promise<void> {
    // The driver cannot drain what the server has refused or the connection's end has closed: nothing is on its way then.
    if (!this.#subscription.isClosed()) await this.#subscription.drain();
  }

  /** After the connection came back. */
  reopen(): void {
    if (!this.#isRefused) return;
    this.#isRefused = false;
    this.#subscription = this.#open();
  }

  #open(): Subscription {
    return this.#connection.subscribe(this.#pattern, {
      ...(this.#queue === undefined ? {} : { queue: this.#queue }),
      callback: (error, message) => {
        if (error === null) this.#receive(message);
        else {
          this.#isRefused = true;
          this.#hearing.onRefused?.();
        }
      },
    });
  }

  /** Never throws: that would end the driver's reading of the socket. */
  #receive(message: Msg): void {
    let received: BusMessage;
    try {
      received = toBusMessage(message);
    } catch (error) {
      this.#hearing.onMalformed(error);
      return;
    }
    this.#hearing.onMessage(received, message.headers?.code === NO_RESPONDERS && received.payload.length === 0);
  }
}

function toBusMessage(message: Msg): BusMessage {
  return {
    subject: message.subject,
    // The driver has an empty text where there is none.
    reply: message.reply || undefined,
    headers: readHeaders(message),
    // A copy: a small message that waits would otherwise keep the whole piece of the stream it came in.
    payload: new Uint8Array(message.data),
  };
}

/** @throws the driver's error for a name that is none; other programs may send one */
function readHeaders({ headers }: Msg): BusHeaders {
  if (headers === undefined) return {};
  return Object.fromEntries(Array.from(headers, ([name, [first]]) => [name, first ?? ""]));
}
