/**
 * The Bus port: subjects, queue groups, request and reply. Delivery is at most once. Every adapter passes
 * `test/contract/bus.ts`, and refuses exactly what the others refuse.
 */

/** Header names are case-sensitive tokens; a value has no CR or LF. */
export type BusHeaders = Readonly<Record<string, string>>;

export interface BusMessage {
  readonly subject: string;
  /** Where an answer goes; absent when none is expected. */
  readonly reply?: string | undefined;
  readonly headers: BusHeaders;
  /** Belongs to the receiver alone: nobody else sees or changes these bytes. */
  readonly payload: Uint8Array;
}

export interface PublishOptions {
  readonly headers?: BusHeaders;
  /** Where an answer is wanted. If this connection subscribes it and nobody hears the message, an empty one without headers comes there. */
  readonly reply?: string;
}

export interface SubscribeOptions {
  /** Each message goes to one member of a queue group. */
  readonly queue?: string;
  /** Messages that may wait for the handler; more are dropped and counted. Default `BUS_PENDING_MESSAGES_MAX`. */
  readonly pendingMax?: number;
}

export interface RequestOptions {
  readonly headers?: BusHeaders;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface RequestManyOptions extends RequestOptions {
  /** End after this many replies; otherwise when `timeoutMs` is over. */
  readonly repliesMax?: number;
}

/** One message at a time: the next is handed over when the promise of the last has settled. */
export type BusHandler = (message: BusMessage) => void | Promise<void>;

export interface Subscription {
  readonly subject: string;
  /** Messages dropped because `pendingMax` were waiting. */
  readonly dropped: number;
  /** No message any more, waiting ones included. */
  unsubscribe(): void;
  /** No new messages; resolves when those waiting have been handled. */
  drain(): Promise<void>;
}

export interface Bus {
  /** The largest message, in bytes: its body, and its headers as they are on the wire. */
  readonly payloadBytesMax: number;
  /** Milliseconds on the monotonic clock by which requests' times pass here. */
  nowMs(): number;
  /**
   * Sends without waiting for anybody.
   * @throws {TroupeError} `PAYLOAD_TOO_LARGE`, `BUS_UNAVAILABLE` (closed, away, or too far behind with what it was given before),
   * `BAD_IDENTITY` (a malformed subject), `BAD_REQUEST` (a malformed header)
   */
  publish(subject: string, payload: Uint8Array, options?: PublishOptions): void;
  /** `subject` may hold `*` (one token) and `>` (all the rest). */
  subscribe(subject: string, handler: BusHandler, options?: SubscribeOptions): Subscription;
  /**
   * Waits, within its time, for a bus that is away. Ends at once with `BUS_UNAVAILABLE` when the connection breaks while the request is on
   * its way: whether it was carried out is not known then, as after `DEADLINE_EXCEEDED`.
   *
   * An error with `facts.away` says that an outage is why: `BUS_UNAVAILABLE` of a bus that is away, but not closed, and `UNAVAILABLE` so soon
   * after one that those who listen may not be back yet. With more time the same request may be answered.
   * @throws {TroupeError} `UNAVAILABLE` with `facts.noResponders` when nobody listens, `DEADLINE_EXCEEDED`, `CANCELLED` (signal),
   * `FORBIDDEN` where the bus has permissions and this party may not ask there, and what {@link publish} throws
   */
  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusMessage>;
  /** All answers that come in time; an empty list when nobody listens. */
  requestMany(subject: string, payload: Uint8Array, options: RequestManyOptions): Promise<BusMessage[]>;
  /** A fresh subject below this connection's inbox, which nobody else may hear: for answers that are more than one message. */
  inbox(): string;
  /** Resolves when everything published before has reached the server. */
  flush(): Promise<void>;
  /**
   * Drains every subscription, then closes; open requests end with `BUS_UNAVAILABLE`. Subscribing and asking throw
   * `BUS_UNAVAILABLE` from now on, publishing once it is closed: handlers still answer.
   */
  drain(): Promise<void>;
}
