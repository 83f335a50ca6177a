/**
 * The open requests of one connection: all of them get their answers through one subscription, and are told apart by the last token.
 *
 * Q1: a request ends once: with its answers, nobody there, its time over, its caller gone, refused, or its connection lost.
 */
import { createInbox } from "nats";
import { TroupeError } from "../core/errors.ts";
import type { BusMessage } from "../core/ports/bus.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import type { NatsOptions } from "./nats-dial.ts";
import type { NatsLink, Outgoing } from "./nats-link.ts";

export interface Asking {
  readonly timeoutMs: number;
  readonly repliesMax: number;
  readonly signal: AbortSignal | undefined;
}

export interface Outcome {
  readonly replies: BusMessage[];
  readonly end: "complete" | "timeout" | "no responders";
}

interface OpenRequest {
  readonly subject: string;
  readonly hear: (message: BusMessage, isUnheard: boolean) => void;
  readonly fail: (error: unknown) => void;
}

export class NatsInbox {
  readonly #options: NatsOptions;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #open = new Map<string, OpenRequest>();
  #count = 0;
  /** Why no answer can come: the user may not hear its own inbox. */
  refusal: TroupeError | undefined;

  constructor(options: NatsOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#prefix = `${createInbox(options.inboxPrefix)}.`;
  }

  /** One more token than the answers to requests have, so that they do not hear it. */
  fresh(): string {
    this.#count += 1;
    return `${this.#prefix}stream.${this.#count}`;
  }

  listen(link: NatsLink): void {
    link.listen(`${this.#prefix}*`, undefined, {
      onMessage: (message, isUnheard) => this.#open.get(message.subject.slice(this.#prefix.length))?.hear(message, isUnheard),
      onRefused: () => {
        this.refusal = wrongUser(this.#options);
        this.failAll(this.refusal);
      },
      // Whoever asked goes on waiting: some other answer may be the right one.
      onMalformed: () => undefined,
    });
  }

  /** @throws {TroupeError} what sending throws, `FORBIDDEN`, `BUS_UNAVAILABLE`; and the signal's reason */
  ask(link: NatsLink, message: Outgoing, { timeoutMs, repliesMax, signal }: Asking): Promise<Outcome> {
    if (this.refusal !== undefined) return Promise.reject(this.refusal);
    this.#count += 1;
    const token = String(this.#count);
    return new Promise((resolve, reject) => {
      const replies: BusMessage[] = [];
      let timer: Timer | undefined;
      const release = (): void => {
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
        this.#open.delete(token);
      };
      const end = (how: Outcome["end"]): void => {
        release();
        resolve({ replies, end: how });
      };
      const fail = (error: unknown): void => {
        release();
        reject(error);
      };
      const onAbort = (): void => fail(signal?.reason);
      const hear = (reply: BusMessage, isUnheard: boolean): void => {
        if (isUnheard) return end("no responders");
        replies.push(reply);
        if (replies.length >= repliesMax) end("complete");
      };
      this.#open.set(token, { subject: message.subject, hear, fail });
      try {
        link.send({ ...message, reply: `${this.#prefix}${token}` });
      } catch (error) {
        return fail(error);
      }
      timer = this.#clock.setTimer(timeoutMs, () => end("timeout"));
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  failAll(error: TroupeError): void {
    for (const request of [...this.#open.values()]) request.fail(error);
  }

  /** The server refused what was published on a subject: nobody will answer those who asked there. */
  failOn(subject: string): void {
    const error = new TroupeError("FORBIDDEN", `This process's NATS user may not publish on ${subject}.`);
    for (const request of [...this.#open.values()]) if (request.subject === subject) request.fail(error);
  }
}

/** The inbox says which user this process has to be: each hears its own and no other. */
function wrongUser({ servers, user, password, credentials, inboxPrefix }: NatsOptions): TroupeError {
  // What stands for a user without a password is a token, which is not shown.
  const who =
    credentials !== undefined
      ? "the user of these credentials"
      : user === undefined
        ? "a connection without a user"
        : password === undefined
          ? "this token"
          : `'${user}'`;
  const needed = /^_INBOX_(.+)$/.exec(inboxPrefix)?.[1];
  const answers = needed === undefined ? `answers below ${inboxPrefix}` : `answers to '${needed}': log in as the user '${needed}'`;
  return new TroupeError("FORBIDDEN", `NATS at ${servers.join(", ")} let ${who} in, who may not hear ${answers}.`, {
    facts: needed === undefined ? {} : { userNeeded: needed },
  });
}
