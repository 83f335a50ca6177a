/**
 * One connection to NATS servers as it comes and goes.
 *
 * K1: nothing is kept for a server that is away: sending throws at once. Whoever may wait for it does so within a time of its own, and
 *     only so many do.
 * K2: what was handed over and no server has confirmed is bounded.
 * K3: a server that answers nothing is given up within a bound, and its socket cut: the driver would wait for bytes it cannot send.
 * K4: it connects again for ever.
 */
import { AuthorizationError, headers as emptyHeaders, type NatsConnectionImpl, PermissionViolationError } from "nats";
import { TroupeError } from "../core/errors.ts";
import {
  BUS_CONFIRM_BYTES,
  BUS_GOODBYE_MS,
  BUS_PAYLOAD_BYTES_MAX,
  BUS_PAYLOAD_BYTES_MIN,
  BUS_RECONNECT_PAUSE_MAX_MS,
  BUS_RECONNECT_PAUSE_MIN_MS,
  BUS_REFUSALS_KEPT,
  BUS_UNCONFIRMED_BYTES_MAX,
  BUS_WAITING_REQUESTS_MAX,
  STOP_MS_MAX,
} from "../core/limits.ts";
import type { BusHeaders } from "../core/ports/bus.ts";
import { dialNats, type NatsOptions } from "./nats-dial.ts";
import { type Hearing, NatsListening } from "./nats-listening.ts";
import { hearLateErrors } from "./nats-socket.ts";
import { isInbox } from "./subject.ts";

export interface LinkHooks {
  /** The connection broke or was closed: what is open on it gets no answer. */
  readonly onLost: (error: TroupeError) => void;
  readonly onBack: () => void;
  /** The server did not let this user publish on a subject. */
  readonly onPublishRefused: (subject: string) => void;
}

/** What is sent; its payload belongs to the link from now on. */
export interface Outgoing {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: BusHeaders;
  /** Payload and headers, on the wire. */
  readonly bytes: number;
  readonly reply?: string | undefined;
}

type LinkState = "up" | "away" | "closed";

export class NatsLink {
  readonly #options: NatsOptions;
  readonly #hooks: LinkHooks;
  readonly #listenings = new Set<NatsListening>();
  readonly #flushes = new Set<(error: TroupeError) => void>();
  /** How each wait for the connection ends: with an error, or because it is back. */
  readonly #waiters = new Set<(error?: TroupeError) => void>();
  readonly #told = new Set<string>();
  readonly #attempts: { count: number };
  readonly #connection: NatsConnectionImpl;
  #state: LinkState = "up";
  #payloadBytesMax = BUS_PAYLOAD_BYTES_MIN;
  #waitingBytes = 0;
  #sentBytes = 0;
  #confirmedBytes = 0;
  #isConfirming = false;
  #lostMs = 0;
  #backMs: number | undefined;

  private constructor(options: NatsOptions, hooks: LinkHooks, connection: NatsConnectionImpl, attempts: { count: number }) {
    this.#options = options;
    this.#hooks = hooks;
    this.#connection = connection;
    this.#attempts = attempts;
    this.#readLimits();
    hearLateErrors(connection.protocol.transport);
    void this.#watch();
    void connection.closed().then((error) => this.#onClosed(error ?? undefined));
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE`, `SETTING_INVALID` */
  static async open(options: NatsOptions, hooks: LinkHooks): Promise<NatsLink> {
    const attempts = { count: 0 };
    const connection = await dialNats(options, () => redialPauseMs(attempts.count));
    return new NatsLink(options, hooks, connection, attempts);
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  get payloadBytesMax(): number {
    return this.#payloadBytesMax;
  }

  /** How long it has been back since it was lost; without end if it never was. */
  get backForMs(): number {
    return this.#backMs === undefined ? Number.POSITIVE_INFINITY : this.#options.clock.nowMs() - this.#backMs;
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE`: closed, away (K1), or too much unconfirmed (K2) */
  send(message: Outgoing): void {
    if (this.#state !== "up") throw this.#absence();
    const bytes = message.bytes + message.subject.length;
    if (this.#sentBytes - this.#confirmedBytes + bytes > BUS_UNCONFIRMED_BYTES_MAX) {
      throw new TroupeError(
        "BUS_UNAVAILABLE",
        `The bus has not taken the last ${this.#sentBytes - this.#confirmedBytes} bytes yet, and no more are kept for it.`,
      );
    }
    try {
      this.#connection.publish(message.subject, message.payload, wireOptions(message));
    } catch (error) {
      throw new TroupeError("BUS_UNAVAILABLE", "The bus connection could not take the message.", { cause: error });
    }
    this.#sentBytes += bytes;
    if (this.#sentBytes - this.#confirmedBytes >= BUS_CONFIRM_BYTES && !this.#isConfirming) void this.#confirm();
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE`: closed. While it is away, it is heard from when it is back. */
  listen(pattern: string, queue: string | undefined, hearing: Hearing): NatsListening {
    if (this.#state === "closed") throw this.#absence();
    const listening = new NatsListening(this.#connection, pattern, queue, hearing);
    this.#listenings.add(listening);
    return listening;
  }

  stopListening(listening: NatsListening): void {
    this.#listenings.delete(listening);
    listening.stop();
  }

  /** Nothing new is sent by the server; what was on its way arrives first, unless that takes too long. */
  async drainListening(listening: NatsListening): Promise<void> {
    if (this.#state === "up") await this.#soon(listening.drain());
    this.stopListening(listening);
  }

  /** @throws {TroupeError} `BUS_UNAVAILABLE` */
  async flush(): Promise<void> {
    if (this.#state !== "up") throw this.#absence();
    const sentBytes = this.#sentBytes;
    const lost = Promise.withResolvers<never>();
    this.#flushes.add(lost.reject);
    try {
      await Promise.race([this.#connection.flush(), lost.promise]);
    } catch (error) {
      throw error instanceof TroupeError ? error : this.#absence(error);
    } finally {
      this.#flushes.delete(lost.reject);
    }
    this.#confirmedBytes = Math.max(this.#confirmedBytes, sentBytes);
  }

  /**
   * Resolves when the connection is back.
   * @param bytes what the caller keeps in memory meanwhile
   * @throws {TroupeError} `BUS_UNAVAILABLE`: not back in time, closed, or too many wait; then nothing was sent
   * @throws the signal's reason
   */
  back(bytes: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#state === "closed") return Promise.reject(this.#absence());
    if (this.#waiters.size >= BUS_WAITING_REQUESTS_MAX || this.#waitingBytes + bytes > BUS_UNCONFIRMED_BYTES_MAX)
      return Promise.reject(new TroupeError("BUS_UNAVAILABLE", `The bus is away, and ${this.#waiters.size} requests wait for it already.`));
    return new Promise((resolve, reject) => {
      const release = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
        this.#waiters.delete(end);
        this.#waitingBytes -= bytes;
      };
      const end = (error?: TroupeError): void => {
        release();
        if (error === undefined) resolve();
        else reject(error);
      };
      const onAbort = (): void => {
        release();
        reject(signal?.reason);
      };
      const timer = this.#options.clock.setTimer(timeoutMs, () => end(this.#absence()));
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(end);
      this.#waitingBytes += bytes;
    });
  }

  /** Waits for what was published to reach the server, but not long; then closes. */
  async goodbye(): Promise<void> {
    if (this.#state === "up") await this.#soon(this.flush());
    await this.close();
  }

  /** The end without a goodbye. */
  async close(): Promise<void> {
    if (this.#state === "closed") return;
    this.#lose("closed");
    await this.#connection.close();
    // The driver would go on with an attempt to connect that is under way.
    this.#connection.protocol.transport.discard();
  }

  #absence(cause?: unknown): TroupeError {
    if (this.#state === "closed") return new TroupeError("BUS_UNAVAILABLE", "The bus connection is closed.", { cause });
    const why = "The bus is away; it is connected to again as soon as it is back.";
    return new TroupeError("BUS_UNAVAILABLE", why, { cause, facts: { away: true } });
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") this.#onLost();
      else if (status.type === "reconnecting") this.#attempts.count += 1;
      else if (status.type === "reconnect") this.#onBack();
      else if (status.type === "staleConnection") await this.#cut();
      else if (status.type === "error") this.#onError(status.error);
    }
  }

  /** K3 */
  async #cut(): Promise<void> {
    await this.#connection.protocol.transport.close(new Error("The server has not answered for too long."));
  }

  #onLost(): void {
    if (this.#state !== "up") return;
    this.#lostMs = this.#options.clock.nowMs();
    this.#options.log.warn(
      { servers: this.#options.servers },
      "The bus connection is lost. Requests wait for it, and it is tried again and again.",
    );
    this.#lose("away");
  }

  #lose(state: "away" | "closed"): void {
    this.#state = state;
    const error = new TroupeError(
      "BUS_UNAVAILABLE",
      state === "closed" ? "The bus connection is closed." : "The bus connection broke; whether the request was carried out is not known.",
      state === "closed" ? {} : { facts: { away: true } },
    );
    for (const reject of [...this.#flushes]) reject(error);
    if (state === "closed") for (const end of [...this.#waiters]) end(error);
    this.#hooks.onLost(error);
  }

  #onBack(): void {
    hearLateErrors(this.#connection.protocol.transport);
    if (this.#state !== "away") return;
    const { clock, log, servers } = this.#options;
    this.#state = "up";
    this.#attempts.count = 0;
    this.#backMs = clock.nowMs();
    this.#confirmedBytes = this.#sentBytes;
    this.#told.clear();
    this.#readLimits();
    log.info({ servers, awayMs: Math.round(this.#backMs - this.#lostMs) }, "The bus is connected to again.");
    if (this.#payloadBytesMax < BUS_PAYLOAD_BYTES_MIN) {
      log.error(
        { servers, payloadBytesMax: this.#payloadBytesMax },
        `The bus carries smaller messages than before: what is larger fails. Raise max_payload to ${BUS_PAYLOAD_BYTES_MIN} or more.`,
      );
    }
    for (const listening of this.#listenings) listening.reopen();
    this.#hooks.onBack();
    for (const end of [...this.#waiters]) end();
  }

  #onError(error: Error): void {
    if (error instanceof PermissionViolationError) {
      const { operation, subject } = error;
      // Its own inbox, at the beginning: then there is no connection, and whoever asked for one is told why.
      const isOwnInbox = subject.startsWith(`${this.#options.inboxPrefix}.`);
      if (operation !== "publish" && isOwnInbox && this.#backMs === undefined) return;
      const what = operation === "publish" ? "publish on" : "subscribe";
      // Every answer has a subject of its own; those of one user are refused together.
      const whose = isInbox(subject) ? subject.slice(0, subject.indexOf(".")) : subject;
      const sentence = `This process's NATS user may not ${what} ${subject}; see the permissions in the server's configuration.`;
      this.#tellOnce(`${what} ${whose}`, error, sentence);
      if (operation === "publish") this.#hooks.onPublishRefused(subject);
    } else if (error instanceof AuthorizationError)
      this.#tellOnce("authorization", error, "The NATS server refuses this process's user; it is tried again, in case it is let in later.");
    else this.#tellOnce(error.message, error, "The NATS server complained.");
  }

  /** Once for each subject until the next outage: who is refused a thing mostly asks for it often. */
  #tellOnce(what: string, error: Error, sentence: string): void {
    if (this.#told.has(what)) return;
    if (this.#told.size >= BUS_REFUSALS_KEPT) this.#told.clear();
    this.#told.add(what);
    this.#options.log.error({ err: error, servers: this.#options.servers }, sentence);
  }

  #onClosed(error: Error | undefined): void {
    if (this.#state === "closed") return;
    this.#options.log.error({ err: error, servers: this.#options.servers }, "The NATS driver gave the connection up for good.");
    this.#lose("closed");
  }

  /** Asks the server to confirm until little is unconfirmed. */
  async #confirm(): Promise<void> {
    this.#isConfirming = true;
    try {
      while (this.#state === "up" && this.#sentBytes - this.#confirmedBytes >= BUS_CONFIRM_BYTES) await this.flush();
    } catch {
      // The connection is lost, and with it what was unconfirmed.
    } finally {
      this.#isConfirming = false;
    }
  }

  /**
   * Waits for work that a lost connection may end or hold up, but not long; how it ended is not asked. A server that let one connection of
   * this process wait in vain gets no time from any for as long as a stop may take: there are several, and a stop has one limit for all.
   */
  async #soon(work: Promise<void>): Promise<void> {
    const { clock, patience } = this.#options;
    const late = Promise.withResolvers<void>();
    const isOver = patience !== undefined && clock.nowMs() - patience.ranOutMs < STOP_MS_MAX;
    const timer = clock.setTimer(isOver ? 0 : BUS_GOODBYE_MS, () => {
      if (patience !== undefined && !isOver) patience.ranOutMs = clock.nowMs();
      late.resolve();
    });
    await Promise.race([work.catch(() => undefined), late.promise]);
    timer.cancel();
  }

  #readLimits(): void {
    const { info } = this.#connection;
    // Absent when the connection is lost again already.
    if (info !== undefined) this.#payloadBytesMax = Math.min(info.max_payload, BUS_PAYLOAD_BYTES_MAX);
  }
}

function wireOptions({ headers, reply }: Outgoing): { headers?: ReturnType<typeof emptyHeaders>; reply?: string } {
  const options: { headers?: ReturnType<typeof emptyHeaders>; reply?: string } = {};
  if (reply !== undefined) options.reply = reply;
  const entries = Object.entries(headers);
  if (entries.length > 0) {
    options.headers = emptyHeaders();
    for (const [name, value] of entries) options.headers.append(name, value);
  }
  return options;
}

/** Doubled with each attempt up to a bound, half of it random: many that lost one server do not come back at one moment. */
function redialPauseMs(attempts: number): number {
  const fullMs = Math.min(BUS_RECONNECT_PAUSE_MAX_MS, BUS_RECONNECT_PAUSE_MIN_MS * 2 ** Math.min(20, attempts));
  return fullMs / 2 + (Math.random() * fullMs) / 2;
}
