/**
 * What the driver of NATS is to our adapter, in the world: one connection that is made again and again when it is lost. Above it runs the
 * adapter of production, with all it does about outages.
 *
 * D1: what is published without a connection is lost: the adapter above does not do so.
 * D2: subscriptions come back with the connection, before anybody is told that it is back.
 */
import type { Msg, MsgHdrs, NatsConnectionImpl, Status } from "nats";
import { TroupeError } from "../../../src/core/errors.ts";
import { BUS_PAYLOAD_BYTES_MAX, BUS_RECONNECT_PAUSE_MAX_MS, BUS_RECONNECT_PAUSE_MIN_MS } from "../../../src/core/limits.ts";
import type { RandomStream } from "../random-streams.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import { type BusSession, type SessionOwner, type WireMessage, wireMessage } from "./bus-session.ts";
import type { SimulatedBusServer } from "./simulated-bus-server.ts";
import { StatusQueue } from "./status-queue.ts";

type Hear = (error: null, message: Msg) => void;

interface SubscribeOptions {
  readonly queue?: string;
  readonly callback: Hear;
}

export class SimulatedDriver implements SessionOwner {
  readonly info = { max_payload: BUS_PAYLOAD_BYTES_MAX };
  readonly protocol = { transport: { close: async (): Promise<void> => this.#cut(), discard: (): void => undefined } };
  readonly #server: SimulatedBusServer;
  readonly #process: SimulatedProcess;
  /** For the pauses between attempts to connect. */
  readonly #random: RandomStream;
  readonly #subscriptions = new Set<DriverSubscription>();
  readonly #pongs = new Set<(error: Error) => void>();
  readonly #statuses = new StatusQueue<Status>();
  readonly #closed = Promise.withResolvers<void>();
  #session: BusSession | undefined;
  #attempts = 0;
  #isClosed = false;

  private constructor(server: SimulatedBusServer, process: SimulatedProcess, random: RandomStream) {
    this.#server = server;
    this.#process = process;
    this.#random = random;
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE` */
  static connect(server: SimulatedBusServer, process: SimulatedProcess, random: RandomStream): Promise<SimulatedDriver> {
    const driver = new SimulatedDriver(server, process, random);
    return new Promise((resolve, reject) => {
      server.dial(process, driver, (session) => {
        driver.#session = session;
        if (session !== undefined) resolve(driver);
        else reject(new TroupeError("BUS_UNAVAILABLE", "There is no connection to the NATS server."));
      });
    });
  }

  /** As the adapter takes it: these are all its members that the adapter uses. */
  asConnection(): NatsConnectionImpl {
    return this as unknown as NatsConnectionImpl;
  }

  publish(subject: string, payload: Uint8Array, options: { readonly reply?: string; readonly headers?: MsgHdrs }): void {
    // D1
    if (this.#process.isAlive) this.#session?.publish(wireMessage(this.#process.name, subject, payload, options));
  }

  subscribe(pattern: string, { queue, callback }: SubscribeOptions): DriverSubscription {
    const subscription = new DriverSubscription(pattern, queue, callback, () => this.flush());
    subscription.onClosed = () => void this.#subscriptions.delete(subscription);
    this.#subscriptions.add(subscription);
    if (this.#session !== undefined) subscription.open(this.#session);
    return subscription;
  }

  flush(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return Promise.reject(new Error("connection disconnected"));
    return new Promise((resolve, reject) => {
      this.#pongs.add(reject);
      session.ping(() => {
        this.#pongs.delete(reject);
        resolve();
      });
    });
  }

  status(): AsyncIterable<Status> {
    return this.#statuses;
  }

  closed(): Promise<void> {
    return this.#closed.promise;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#session?.leave();
    this.#forgetSession();
    this.#statuses.end();
    this.#closed.resolve();
  }

  onLost(session: BusSession): void {
    if (session !== this.#session) return;
    this.#forgetSession();
    this.#statuses.push({ type: "disconnect", server: "bus" });
    this.#dial();
  }

  /** The server has left its pings without an answer. */
  onStale(session: BusSession): void {
    if (session === this.#session) this.#statuses.push({ type: "staleConnection" });
  }

  /** The adapter gives the connection up. */
  #cut(): void {
    const session = this.#session;
    if (session === undefined) return;
    session.leave();
    this.onLost(session);
  }

  #forgetSession(): void {
    this.#session = undefined;
    for (const subscription of this.#subscriptions) subscription.forgetSession();
    const error = new Error("connection disconnected");
    for (const reject of this.#pongs) reject(error);
    this.#pongs.clear();
  }

  #dial(): void {
    if (this.#isClosed) return;
    this.#attempts += 1;
    this.#statuses.push({ type: "reconnecting" });
    this.#server.dial(this.#process, this, (session) => {
      if (this.#isClosed) return session?.leave();
      if (session === undefined) return void this.#process.later(this.#pauseMs(), "dials the bus", () => this.#dial());
      this.#session = session;
      this.#attempts = 0;
      // D2
      for (const subscription of this.#subscriptions) subscription.open(session);
      this.#statuses.push({ type: "reconnect", server: "bus" });
    });
  }

  /** As the adapter has it of the driver in production. */
  #pauseMs(): number {
    const fullMs = Math.min(BUS_RECONNECT_PAUSE_MAX_MS, BUS_RECONNECT_PAUSE_MIN_MS * 2 ** Math.min(20, this.#attempts));
    return this.#random.between(fullMs / 2, fullMs);
  }
}

export class DriverSubscription {
  readonly #pattern: string;
  readonly #queue: string | undefined;
  readonly #callback: Hear;
  readonly #flush: () => Promise<void>;
  #takeBack: (() => void) | undefined;
  #isClosed = false;
  onClosed: () => void = () => undefined;

  constructor(pattern: string, queue: string | undefined, callback: Hear, flush: () => Promise<void>) {
    this.#pattern = pattern;
    this.#queue = queue;
    this.#callback = callback;
    this.#flush = flush;
  }

  open(session: BusSession): void {
    this.#takeBack = session.subscribe(this.#pattern, this.#queue, this.#hear);
  }

  forgetSession(): void {
    this.#takeBack = undefined;
  }

  isClosed(): boolean {
    return this.#isClosed;
  }

  unsubscribe(): void {
    if (this.#isClosed) return;
    this.#takeBack?.();
    this.#close();
  }

  /** What the server sent before it knew of this has come then. */
  async drain(): Promise<void> {
    this.#takeBack?.();
    this.#takeBack = undefined;
    try {
      await this.#flush();
    } catch {
      // The connection is lost, and with it what was on its way.
    }
    this.#close();
  }

  #close(): void {
    this.#isClosed = true;
    this.#takeBack = undefined;
    this.onClosed();
  }

  readonly #hear = ({ subject, reply, headers, payload }: WireMessage): void => {
    if (this.#isClosed) return;
    this.#callback(null, { subject, reply, headers, data: payload } as unknown as Msg);
  };
}
