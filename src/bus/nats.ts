/**
 * The bus over NATS.
 *
 * N1: it refuses what the loopback bus refuses, before anything leaves the process.
 * N2: a server that restarts costs requests time, not errors, while their time lasts; requests that were on their way end at once with
 *     BUS_UNAVAILABLE, for nobody knows whether they were carried out.
 * N3: the driver keeps no queue: messages wait in bounded subscriptions, and what cannot be sent is refused (src/bus/nats-link.ts).
 *
 * Time comes from the Clock port, except for the driver's own attempts to connect and its pings: this adapter runs in real time only.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../core/errors.ts";
import { BUS_GATHER_MS, BUS_GATHER_PAUSE_MS, BUS_PENDING_MESSAGES_MAX } from "../core/limits.ts";
import type {
  Bus,
  BusHandler,
  BusHeaders,
  BusMessage,
  PublishOptions,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
  Subscription,
} from "../core/ports/bus.ts";
import { sleep } from "../core/ports/clock.ts";
import { BoundedSubscription } from "./bounded-subscription.ts";
import { checkedHeaders, headerBytes } from "./headers.ts";
import type { NatsOptions } from "./nats-dial.ts";
import { NatsInbox, type Outcome } from "./nats-inbox.ts";
import { NatsLink, type Outgoing } from "./nats-link.ts";
import { nobodyListens } from "./no-responders.ts";
import { checkQueue, checkSubject, checkSubjectPattern } from "./subject.ts";

/**
 * @throws {TroupeError} `BUS_UNAVAILABLE` with where it looked, why that failed and what to do; `FORBIDDEN` when the user may not hear its
 * own inbox; `SETTING_INVALID` for credentials that cannot be read
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const inbox = new NatsInbox(options);
  const link = await NatsLink.open(options, {
    onLost: (error) => inbox.failAll(error),
    onBack: () => {
      inbox.refusal = undefined;
    },
    onPublishRefused: (subject) => inbox.failOn(subject),
  });
  try {
    inbox.listen(link);
    await link.flush();
    if (inbox.refusal !== undefined) throw inbox.refusal;
  } catch (error) {
    await link.close();
    throw error;
  }
  return new NatsBus(options, link, inbox);
}

/** Too early: nobody listens, but the connection is only just back, and others may not be. */
type Ending = Pick<Outcome, "replies"> & { readonly end: Outcome["end"] | "too early" };

export class NatsBus implements Bus {
  readonly #options: NatsOptions;
  readonly #link: NatsLink;
  readonly #inbox: NatsInbox;
  readonly #subscriptions = new Set<BoundedSubscription>();
  #state: "open" | "draining" | "closed" = "open";

  constructor(options: NatsOptions, link: NatsLink, inbox: NatsInbox) {
    this.#options = options;
    this.#link = link;
    this.#inbox = inbox;
  }

  get payloadBytesMax(): number {
    return this.#link.payloadBytesMax;
  }

  nowMs(): number {
    return this.#options.clock.nowMs();
  }

  publish(subject: string, payload: Uint8Array, options: PublishOptions = {}): void {
    if (this.#state === "closed") throw closed();
    if (options.reply !== undefined) checkSubject(options.reply);
    const message = this.#checked(subject, payload, options.headers);
    this.#link.send(options.reply === undefined ? message : { ...message, reply: options.reply });
  }

  subscribe(subject: string, handler: BusHandler, options: SubscribeOptions = {}): Subscription {
    if (this.#state !== "open") throw closed();
    checkSubjectPattern(subject);
    if (options.queue !== undefined) checkQueue(options.queue);
    const { log } = this.#options;
    const subscription = new BoundedSubscription(subject, handler, options, {
      onClosed: (ended) => {
        this.#subscriptions.delete(ended);
        this.#link.stopListening(listening);
      },
      onDraining: async (ended) => {
        await this.#link.drainListening(listening);
        this.#subscriptions.delete(ended);
      },
      onError: (error, heard) => log.error({ err: error, subject: heard }, "A handler of the bus threw; the next message is handled."),
      // Messages come from a socket, so that input and output have their turn anyway.
      breathe: () => undefined,
    });
    const listening = this.#link.listen(subject, options.queue, {
      onMessage: (message) => subscription.deliver(message),
      onMalformed: (error) => log.debug({ err: error, subject }, "A message with malformed headers was thrown away."),
    });
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    const { replies, end } = await this.#ask(subject, payload, options, 1);
    const [reply] = replies;
    if (reply !== undefined) return reply;
    if (end === "timeout") throw new TroupeError("DEADLINE_EXCEEDED", `${subject} did not answer within ${options.timeoutMs} ms.`);
    throw nobodyListens(subject, end === "too early" ? { away: true } : {});
  }

  async requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): Promise<BusMessage[]> {
    const repliesMax = Math.min(options.repliesMax ?? BUS_PENDING_MESSAGES_MAX, BUS_PENDING_MESSAGES_MAX);
    return (await this.#ask(subject, payload, options, repliesMax)).replies;
  }

  inbox(): string {
    return this.#inbox.fresh();
  }

  async flush(): Promise<void> {
    if (this.#state === "closed") throw closed();
    await this.#link.flush();
  }

  async drain(): Promise<void> {
    if (this.#state !== "open") throw closed();
    this.#state = "draining";
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.drain()));
    await this.#link.goodbye();
    this.#state = "closed";
  }

  /** The end without a goodbye, as when a process dies: waiting messages are lost. */
  async disconnect(): Promise<void> {
    this.#state = "closed";
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
    await this.#link.close();
  }

  /** N1 */
  #checked(subject: string, payload: Uint8Array, given: BusHeaders | undefined): Outgoing {
    checkSubject(subject);
    const headers = checkedHeaders(given);
    const bytes = payload.length + headerBytes(headers);
    if (bytes > this.payloadBytesMax)
      throw new TroupeError("PAYLOAD_TOO_LARGE", `A message of ${bytes} bytes is larger than the ${this.payloadBytesMax} the bus carries.`);
    // A copy: the driver sends later than this, and the caller may go on with its bytes.
    return { subject, payload: new Uint8Array(payload), headers, bytes };
  }

  async #ask(subject: string, payload: Uint8Array, options: RequestOptions, repliesMax: number): Promise<Ending> {
    const { timeoutMs, signal } = options;
    assert(timeoutMs >= 0 && Number.isFinite(timeoutMs), "a request waits for a time");
    if (this.#state !== "open") throw closed();
    if (signal?.aborted) throw cancelled(subject, signal);
    const message = this.#checked(subject, payload, options.headers);
    try {
      return await this.#askUntil(message, this.#options.clock.nowMs() + timeoutMs, repliesMax, signal);
    } catch (error) {
      throw signal?.aborted && !(error instanceof TroupeError) ? cancelled(subject, signal) : error;
    }
  }

  /** N2 */
  async #askUntil(message: Outgoing, untilMs: number, repliesMax: number, signal: AbortSignal | undefined): Promise<Ending> {
    const { clock } = this.#options;
    for (;;) {
      if (!this.#link.isUp) await this.#link.back(message.bytes, untilMs - clock.nowMs(), signal);
      const timeoutMs = Math.max(0, untilMs - clock.nowMs());
      const outcome = await this.#inbox.ask(this.#link, message, { timeoutMs, repliesMax, signal });
      // After a restart the server knows only those who are back already. Nobody got the request, so that it may be sent again.
      const isTooEarly = outcome.end === "no responders" && this.#link.backForMs < BUS_GATHER_MS;
      if (!isTooEarly) return outcome;
      if (clock.nowMs() + BUS_GATHER_PAUSE_MS >= untilMs) return { ...outcome, end: "too early" };
      await sleep(clock, BUS_GATHER_PAUSE_MS, signal);
    }
  }
}

function closed(): TroupeError {
  return new TroupeError("BUS_UNAVAILABLE", "The bus connection is closed.");
}

function cancelled(subject: string, signal: AbortSignal): TroupeError {
  return new TroupeError("CANCELLED", `The request to ${subject} was given up.`, { cause: signal.reason });
}
