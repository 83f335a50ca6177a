/**
 * The bus inside one process: the adapter of the embedded default and of most tests. It copies, bounds and refuses
 * exactly as NATS does, so that what works here works there.
 *
 * L1: nothing is delivered inside `publish`, and no two parties share a payload's bytes.
 * L2: a subscription's messages arrive in the order of publishing.
 * L3: deliveries give way to input and output: bursts are bounded in time.
 */
import assert from "node:assert/strict";
import { TroupeError } from "../core/errors.ts";
import { BUS_BURST_MESSAGES, BUS_BURST_MS_MAX, BUS_PAYLOAD_BYTES_MAX, BUS_PENDING_MESSAGES_MAX } from "../core/limits.ts";
import type {
  Bus,
  BusHandler,
  BusMessage,
  PublishOptions,
  RequestManyOptions,
  RequestOptions,
  SubscribeOptions,
  Subscription,
} from "../core/ports/bus.ts";
import type { Clock, Timer } from "../core/ports/clock.ts";
import { type Random, randomIdentity } from "../core/ports/random.ts";
import { BoundedSubscription, type Receiver } from "./bounded-subscription.ts";
import { checkedHeaders, headerBytes } from "./headers.ts";
import { nobodyListens } from "./no-responders.ts";
import { checkQueue, checkSubject, checkSubjectPattern, INBOX_PREFIX, subjectMatches } from "./subject.ts";
import { SubjectTrie } from "./subject-trie.ts";

/** What a handler threw. It goes on with the next message; absent, the process prints a warning. */
export type HandlerErrorListener = (error: unknown, subject: string) => void;

export interface ConnectionOptions {
  readonly onError?: HandlerErrorListener | undefined;
}

export interface LoopbackOptions extends ConnectionOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Body and headers of one message; `BUS_PAYLOAD_BYTES_MAX` unless given. */
  readonly payloadBytesMax?: number | undefined;
}

/** What the connections of one process share: the place of the server. */
export class LoopbackMedium {
  readonly clock: Clock;
  readonly random: Random;
  readonly payloadBytesMax: number;
  readonly #receivers = new SubjectTrie<Receiver>();
  #sinceYield = 0;
  #yieldSetMs: number | undefined;
  #parked: (() => void)[] = [];

  constructor(options: LoopbackOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.payloadBytesMax = options.payloadBytesMax ?? BUS_PAYLOAD_BYTES_MAX;
  }

  /** One more party on the same subjects. */
  connect(options: ConnectionOptions = {}): LoopbackBus {
    return new LoopbackBus({ clock: this.clock, random: this.random, ...options }, this);
  }

  /** Subscriptions and open inboxes of all connections. */
  get receiverCount(): number {
    return this.#receivers.count;
  }

  add(pattern: string, receiver: Receiver): void {
    this.#receivers.add(pattern, receiver);
  }

  remove(pattern: string, receiver: Receiver): void {
    this.#receivers.remove(pattern, receiver);
  }

  /** Hands a copy to everyone who subscribed alone and to one member of every queue group. @returns how many got one */
  route(message: BusMessage): number {
    const chosen: Receiver[] = [];
    const groups = new Map<string, Receiver[]>();
    for (const receiver of this.#receivers.match(message.subject)) {
      if (receiver.queue === undefined) {
        chosen.push(receiver);
        continue;
      }
      const members = groups.get(receiver.queue);
      if (members === undefined) groups.set(receiver.queue, [receiver]);
      else members.push(receiver);
    }
    for (const members of groups.values()) chosen.push(members[members.length === 1 ? 0 : this.random.integer(members.length)] as Receiver);
    for (const receiver of chosen) receiver.deliver({ ...message, payload: new Uint8Array(message.payload) });
    return chosen.length;
  }

  /**
   * L3: a timer that is due at once shows whether the process came to anything else since it was set. While it has not, and time
   * goes by, deliveries wait for it. A clock that stands still never makes them wait.
   */
  breathe(): Promise<void> | undefined {
    if (this.#yieldSetMs === undefined) {
      this.#sinceYield += 1;
      if (this.#sinceYield < BUS_BURST_MESSAGES) return undefined;
      this.#yieldSetMs = this.clock.nowMs();
      this.clock.setTimer(0, () => this.#resume());
      return undefined;
    }
    if (this.clock.nowMs() - this.#yieldSetMs < BUS_BURST_MS_MAX) return undefined;
    return new Promise((resolve) => void this.#parked.push(resolve));
  }

  #resume(): void {
    this.#sinceYield = 0;
    this.#yieldSetMs = undefined;
    const parked = this.#parked;
    this.#parked = [];
    for (const resolve of parked) resolve();
  }
}

type ConnectionState = "open" | "draining" | "closed";

interface Outcome {
  readonly replies: BusMessage[];
  readonly end: "complete" | "timeout" | "no responders";
}

/** One connection; with a medium of its own unless made by {@link LoopbackMedium.connect}. */
export class LoopbackBus implements Bus {
  readonly #medium: LoopbackMedium;
  readonly #onError: HandlerErrorListener;
  readonly #subscriptions = new Set<BoundedSubscription>();
  /** How each open request ends when the connection does. */
  readonly #open = new Set<(error: TroupeError) => void>();
  readonly #inbox: string;
  #inboxCount = 0;
  #state: ConnectionState = "open";

  constructor(options: LoopbackOptions, medium = new LoopbackMedium(options)) {
    this.#medium = medium;
    this.#onError = options.onError ?? warn;
    this.#inbox = `${INBOX_PREFIX}${randomIdentity(options.random)}`;
  }

  get payloadBytesMax(): number {
    return this.#medium.payloadBytesMax;
  }

  nowMs(): number {
    return this.#medium.clock.nowMs();
  }

  publish(subject: string, payload: Uint8Array, options: PublishOptions = {}): void {
    const heard = this.#send(subject, payload, options);
    if (heard > 0 || options.reply === undefined) return;
    const unheard: BusMessage = { subject: options.reply, headers: {}, payload: new Uint8Array() };
    for (const subscription of this.#subscriptions)
      if (subjectMatches(subscription.subject, unheard.subject)) subscription.deliver(unheard);
  }

  subscribe(subject: string, handler: BusHandler, options: SubscribeOptions = {}): Subscription {
    if (this.#state !== "open") throw closed();
    checkSubjectPattern(subject);
    if (options.queue !== undefined) checkQueue(options.queue);
    const remove = (ended: BoundedSubscription): void => {
      this.#medium.remove(subject, ended);
      this.#subscriptions.delete(ended);
    };
    const subscription = new BoundedSubscription(subject, handler, options, {
      onClosed: remove,
      // Publishing delivers at once: nothing is ever on its way.
      onDraining: remove,
      onError: this.#onError,
      breathe: () => this.#medium.breathe(),
    });
    this.#subscriptions.add(subscription);
    this.#medium.add(subject, subscription);
    return subscription;
  }

  async request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage> {
    const { replies, end } = await this.#ask(subject, payload, options, 1);
    const [reply] = replies;
    if (reply !== undefined) return reply;
    if (end === "timeout") throw new TroupeError("DEADLINE_EXCEEDED", `${subject} did not answer within ${options.timeoutMs} ms.`);
    throw nobodyListens(subject);
  }

  async requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): Promise<BusMessage[]> {
    const repliesMax = Math.min(options.repliesMax ?? BUS_PENDING_MESSAGES_MAX, BUS_PENDING_MESSAGES_MAX);
    return (await this.#ask(subject, payload, options, repliesMax)).replies;
  }

  inbox(): string {
    this.#inboxCount += 1;
    return `${this.#inbox}.${this.#inboxCount}`;
  }

  async flush(): Promise<void> {
    // Publishing routes at once: there is nothing on its way.
    if (this.#state === "closed") throw closed();
  }

  async drain(): Promise<void> {
    if (this.#state !== "open") throw closed();
    this.#state = "draining";
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.drain()));
    this.#close();
  }

  /** The end without a goodbye, as when a process dies: waiting messages are lost. */
  disconnect(): void {
    for (const subscription of [...this.#subscriptions]) subscription.unsubscribe();
    this.#close();
  }

  #close(): void {
    this.#state = "closed";
    for (const abandon of [...this.#open]) abandon(closed());
  }

  #send(subject: string, payload: Uint8Array, options: PublishOptions): number {
    if (this.#state === "closed") throw closed();
    checkSubject(subject);
    if (options.reply !== undefined) checkSubject(options.reply);
    const headers = checkedHeaders(options.headers);
    const bytes = payload.length + headerBytes(headers);
    if (bytes > this.payloadBytesMax)
      throw new TroupeError("PAYLOAD_TOO_LARGE", `A message of ${bytes} bytes is larger than the ${this.payloadBytesMax} the bus carries.`);
    return this.#medium.route({ subject, reply: options.reply, headers, payload });
  }

  #ask(subject: string, payload: Uint8Array, options: RequestOptions, repliesMax: number): Promise<Outcome> {
    assert(options.timeoutMs >= 0 && Number.isFinite(options.timeoutMs), "a request waits for a time");
    if (this.#state !== "open") return Promise.reject(closed());
    if (options.signal?.aborted) return Promise.reject(cancelled(subject, options.signal));
    const inbox = this.inbox();
    return new Promise((resolve, reject) => {
      const replies: BusMessage[] = [];
      let timer: Timer | undefined;
      const release = (): void => {
        timer?.cancel();
        options.signal?.removeEventListener("abort", onAbort);
        this.#medium.remove(inbox, receiver);
        this.#open.delete(fail);
      };
      const end = (how: Outcome["end"]): void => {
        release();
        resolve({ replies, end: how });
      };
      const fail = (error: unknown): void => {
        release();
        reject(error);
      };
      const onAbort = (): void => fail(cancelled(subject, options.signal));
      const receiver: Receiver = {
        queue: undefined,
        deliver(message) {
          replies.push(message);
          if (replies.length >= repliesMax) end("complete");
        },
      };
      this.#medium.add(inbox, receiver);
      this.#open.add(fail);
      try {
        const heard = this.#send(subject, payload, {
          ...(options.headers === undefined ? {} : { headers: options.headers }),
          reply: inbox,
        });
        if (heard === 0) return end("no responders");
      } catch (error) {
        return fail(error);
      }
      timer = this.#medium.clock.setTimer(options.timeoutMs, () => end("timeout"));
      options.signal?.addEventListener("abort", onAbort, { once: true });
    });
  }
}

function closed(): TroupeError {
  return new TroupeError("BUS_UNAVAILABLE", "The bus connection is closed.");
}

function cancelled(subject: string, signal: AbortSignal | undefined): TroupeError {
  return new TroupeError("CANCELLED", `The request to ${subject} was given up.`, { cause: signal?.reason });
}

function warn(error: unknown, subject: string): void {
  process.emitWarning(`A handler of ${subject} threw: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
