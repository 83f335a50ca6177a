/**
 * The HttpClient port in the world: what `NodeHttpClient` does with sockets.
 *
 * H1: connections are kept for the next request; one that turned out to be dead before anything was answered costs another try, if the
 *     body can be sent again and the request be done twice.
 */
import { CONNECT_TIMEOUT_MS, KEEP_ALIVE_MS } from "../../../src/core/limits.ts";
import { type HttpClient, type HttpClientRequest, type HttpClientResponse, mayBeRepeated } from "../../../src/core/ports/http-exchange.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import { ClientExchange, DeadConnection } from "./client-exchange.ts";
import type { Connection, End } from "./connection.ts";
import type { Segment } from "./segment.ts";

export interface SimulatedClientOptions {
  /** How long a connection may take to come about. */
  readonly connectTimeoutMs?: number;
}

/** What becomes of an attempt to connect. */
export type Dialled =
  | { readonly kind: "accepted"; readonly connection: Connection }
  | { readonly kind: "refused"; readonly afterMs: number; readonly code: "ECONNREFUSED" | "ENOTFOUND" }
  | { readonly kind: "silence" };

/** Connects to `host:port`; what takes longer than `patienceMs` does not come about. */
export type Dial = (host: string, port: number, patienceMs: number) => Dialled;

const IDLE_CONNECTIONS_MAX = 64;
/** A client lets an idle connection go a little before its server does. */
const KEPT_MS = KEEP_ALIVE_MS - 1_000;

export class SimulatedHttpClient implements HttpClient {
  readonly process: SimulatedProcess;
  readonly dial: Dial;
  readonly connectTimeoutMs: number;
  /** By address; the one used last is used next. */
  readonly #idle = new Map<string, ClientConnection[]>();
  readonly #underWay = new Set<ClientExchange>();
  #isClosed = false;

  constructor(process: SimulatedProcess, dial: Dial, { connectTimeoutMs = CONNECT_TIMEOUT_MS }: SimulatedClientOptions = {}) {
    this.process = process;
    this.dial = dial;
    this.connectTimeoutMs = connectTimeoutMs;
  }

  /** Exchanges whose answer has not been read to its end. */
  get openCount(): number {
    return this.#underWay.size;
  }

  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    // What is dead asks nothing.
    if (!this.process.isAlive) return await new Promise(() => undefined);
    for (;;) {
      try {
        return await new ClientExchange(this, request).answer;
      } catch (error) {
        if (!(error instanceof DeadConnection)) throw error;
        // H1: each try takes one kept connection away.
        if (!error.isReplayable || !error.wasReused || !mayBeRepeated(request)) throw error.reason;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const idle of this.#idle.values()) for (const connection of idle) connection.leave();
    this.#idle.clear();
    for (const exchange of [...this.#underWay]) exchange.fail("closed");
  }

  begun(exchange: ClientExchange): void {
    this.#underWay.add(exchange);
  }

  ended(exchange: ClientExchange): void {
    this.#underWay.delete(exchange);
  }

  take(address: string): ClientConnection | undefined {
    const idle = this.#idle.get(address);
    for (let connection = idle?.pop(); connection !== undefined; connection = idle?.pop()) {
      if (this.process.world.nowMs - connection.idleSinceMs < KEPT_MS) return connection;
      connection.leave();
    }
    return undefined;
  }

  keep(address: string, connection: ClientConnection): void {
    const idle = this.#idle.get(address) ?? [];
    if (this.#isClosed || idle.length >= IDLE_CONNECTIONS_MAX) return connection.leave();
    connection.idleSinceMs = this.process.world.nowMs;
    idle.push(connection);
    this.#idle.set(address, idle);
  }

  /** It was broken while nobody used it. */
  drop(address: string, connection: ClientConnection): void {
    const idle = this.#idle.get(address);
    const index = idle?.indexOf(connection) ?? -1;
    if (index !== -1) idle?.splice(index, 1);
  }
}

/** The client's end of a connection, between exchanges or in one. */
export class ClientConnection implements End {
  readonly connection: Connection;
  readonly #client: SimulatedHttpClient;
  readonly #address: string;
  exchange: ClientExchange | undefined;
  idleSinceMs = 0;

  constructor(client: SimulatedHttpClient, address: string, connection: Connection) {
    this.#client = client;
    this.#address = address;
    this.connection = connection;
    connection.attach("client", this);
  }

  receive(segment: Segment): void {
    if (this.exchange !== undefined) return this.exchange.receive(segment);
    if (segment.kind === "broken") return this.#client.drop(this.#address, this);
  }

  keep(): void {
    this.exchange = undefined;
    this.#client.keep(this.#address, this);
  }

  leave(): void {
    this.exchange = undefined;
    this.connection.leave("client");
  }
}
