/**
 * The HttpServer port over node:http, and over node:https where there is a certificate.
 *
 * H1: what makes the end of a request doubtful (two Host fields, Transfer-Encoding on HTTP/1.0, a target that is not a path, a length
 *     no file can have) is refused before a byte of body is read, and the connection is closed.
 * H2: every wait has a bound: headers (node:http's own check), body (bytes a second), reader (progress), an idle connection.
 * H3: a body's length is never limited in time: long honest uploads live.
 * H4: pipelined requests are answered one after the other, in their order: one that waits for its turn holds nothing but itself, and
 *     at most `PIPELINED_REQUESTS_MAX` do.
 * H5: whoever speaks plain HTTP where https is spoken is told so, and a renewed certificate is used from the next connection on.
 * H6: where few descriptors are left, and until there is room for new work again, connections without a request are closed, idle ones and
 *     those that never sent a whole one; and one too many is closed without an answer.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TroupeError } from "../core/errors.ts";
import {
  FILE_BYTES_LIMIT,
  HEADERS_TIMEOUT_MS,
  HTTP_CONNECTIONS_MAX,
  KEEP_ALIVE_MS,
  LINGER_MS,
  PIPELINED_REQUESTS_MAX,
  READ_BLOCK_BYTES,
  SILENT_CONNECTION_MS_MAX,
  SLOW_BODY_BYTES_PER_SECOND_MIN,
  SLOW_BODY_WINDOW_MS,
  SLOW_READER_TIMEOUT_MS,
} from "../core/limits.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Log } from "../core/log.ts";
import type { HttpServerName } from "../core/metrics.ts";
import type { Clock } from "../core/ports/clock.ts";
import type {
  CertificatePair,
  CertificateSource,
  HttpHandler,
  HttpHeaders,
  HttpListener,
  HttpRequest,
  HttpResponse,
  HttpServer,
  ListenAddress,
} from "../core/ports/http-exchange.ts";
import { type Counter, type Metrics, SILENT_METRICS } from "../core/ports/metrics.ts";
import { problemResponse } from "../core/problem.ts";
import { type BodyPace, IncomingBody } from "./node-http-body.ts";
import { hasItsTurn, writeResponse } from "./node-http-response.ts";

export interface NodeHttpServerPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly load?: LoadWatch | undefined;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics | undefined;
}

export interface NodeHttpServerOptions {
  /** A larger Content-Length is refused before the body. Default `FILE_BYTES_LIMIT`. */
  readonly bodyBytesMax?: number;
  readonly connectionsMax?: number;
  /** Of which server its metrics are. */
  readonly name?: HttpServerName;
  /** Node's own clock keeps this one. */
  readonly headersTimeoutMs?: number;
  readonly slowReaderMs?: number;
  /** Of a request's body. Default: `SLOW_BODY_BYTES_PER_SECOND_MIN` over `SLOW_BODY_WINDOW_MS`. */
  readonly slowestBody?: BodyPace;
}

const SLOWEST_BODY: BodyPace = {
  windowMs: SLOW_BODY_WINDOW_MS,
  bytesMin: (SLOW_BODY_BYTES_PER_SECOND_MIN * SLOW_BODY_WINDOW_MS) / 1_000,
};

export class NodeHttpServer implements HttpServer {
  readonly #ports: NodeHttpServerPorts;
  readonly #options: Required<NodeHttpServerOptions>;

  constructor(ports: NodeHttpServerPorts, options: NodeHttpServerOptions = {}) {
    this.#ports = ports;
    this.#options = {
      bodyBytesMax: FILE_BYTES_LIMIT,
      connectionsMax: HTTP_CONNECTIONS_MAX,
      name: "gateway",
      headersTimeoutMs: HEADERS_TIMEOUT_MS,
      slowReaderMs: SLOW_READER_TIMEOUT_MS,
      slowestBody: SLOWEST_BODY,
      ...options,
    };
  }

  async listen(address: ListenAddress, handler: HttpHandler): Promise<HttpListener> {
    const { headersTimeoutMs, connectionsMax } = this.#options;
    const { certificate } = address;
    const options = {
      noDelay: true,
      highWaterMark: READ_BLOCK_BYTES,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: Math.max(10, Math.floor(headersTimeoutMs / 6)),
      // H3
      requestTimeout: 0,
      // A missing Host is answered by us, like every other error.
      requireHostHeader: false,
    };
    const server =
      certificate === undefined
        ? createServer(options)
        : createTlsServer({ ...options, ...tlsOptions(certificate.current), handshakeTimeout: headersTimeoutMs });
    server.maxConnections = connectionsMax;
    const listening = new Listening(server, this.#ports, this.#options, handler);
    await listening.open(address);
    return listening;
  }
}

function tlsOptions({ certificate, key }: CertificatePair) {
  return { cert: certificate, key, minVersion: "TLSv1.2" } as const;
}

/** H5. @returns ends it */
function renewing(server: Server | TlsServer, certificate: CertificateSource | undefined): () => void {
  if (certificate === undefined || !("setSecureContext" in server)) return () => undefined;
  return certificate.onRenewal((pair) => server.setSecureContext(tlsOptions(pair)));
}

class Listening implements HttpListener {
  readonly #server: Server | TlsServer;
  readonly #ports: NodeHttpServerPorts;
  readonly #options: Required<NodeHttpServerOptions>;
  readonly #handler: HttpHandler;
  readonly #undo: (() => void)[] = [];
  /** When each connection came: monotonic. */
  readonly #connections = new Map<Duplex, number>();
  /** Responses under way on a connection: while there are any, nothing else may be written to it. */
  readonly #underWay = new WeakMap<Duplex, number>();
  readonly #received: Counter;
  readonly #sent: Counter;
  #endCounting: (() => void) | undefined;
  #closing = false;
  #url = "";
  #port = 0;

  constructor(server: Server | TlsServer, ports: NodeHttpServerPorts, options: Required<NodeHttpServerOptions>, handler: HttpHandler) {
    this.#server = server;
    this.#ports = ports;
    this.#options = options;
    this.#handler = handler;
    const { metrics = SILENT_METRICS } = ports;
    this.#received = metrics.counter("troupe_http_received_bytes_total", { server: options.name });
    this.#sent = metrics.counter("troupe_http_sent_bytes_total", { server: options.name });
    server.on("request", (incoming, outgoing) => void this.#exchange(incoming, outgoing, "nothing"));
    server.on("checkContinue", (incoming, outgoing) => void this.#exchange(incoming, outgoing, "continue"));
    server.on("checkExpectation", (incoming, outgoing) => void this.#exchange(incoming, outgoing, "other"));
    server.on("connect", (_incoming, socket) => this.#refuse(socket, new TroupeError("BAD_PATH", "This server is no proxy.")));
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#clientError(error, socket));
  }

  get url(): string {
    return this.#url;
  }

  get port(): number {
    return this.#port;
  }

  async open(address: ListenAddress): Promise<void> {
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(address, PORT_FLAGS[this.#options.name], error)));
      server.listen({ host: address.host, port: address.port, backlog: 1024 }, () => resolve());
    });
    server.removeAllListeners("error");
    server.on("error", (error) => this.#ports.log.error({ err: error }, "The HTTP server failed to accept a connection."));
    this.#endCounting = this.#ports.metrics?.read("troupe_http_connections", async () => [
      { labels: { server: this.#options.name }, value: await connectionCount(server) },
    ]);
    this.#undo.push(renewing(server, address.certificate));
    const { load } = this.#ports;
    if (load !== undefined) this.#relieve(load);
    this.#port = (server.address() as AddressInfo).port;
    this.#url = `${address.certificate === undefined ? "http" : "https"}://${address.host.includes(":") ? `[${address.host}]` : address.host}:${this.#port}`;
  }

  async close(withinMs: number): Promise<void> {
    this.#closing = true;
    for (const step of this.#undo) step();
    this.#endCounting?.();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = this.#ports.clock.setTimer(withinMs, () => this.#server.closeAllConnections());
    await closed;
    timer.cancel();
  }

  /** H6 */
  #relieve(load: LoadWatch): void {
    const { clock } = this.#ports;
    this.#server.on("connection", (socket: Socket) => {
      if (!load.mayStay()) socket.destroy();
    });
    this.#server.on("setSecureContext" in this.#server ? "secureConnection" : "connection", (socket: Socket) => {
      this.#connections.set(socket, clock.nowMs());
      socket.once("close", () => this.#connections.delete(socket));
    });
    const relieved = (): void => {
      const beforeMs = clock.nowMs() - SILENT_CONNECTION_MS_MAX;
      for (const [socket, sinceMs] of this.#connections)
        if (sinceMs < beforeMs && (this.#underWay.get(socket) ?? 0) === 0) socket.destroy();
    };
    this.#undo.push(load.onShortage(relieved));
  }

  async #exchange(incoming: IncomingMessage, outgoing: ServerResponse, expected: Expected): Promise<void> {
    const { socket } = incoming;
    const count = (this.#underWay.get(socket) ?? 0) + 1;
    this.#underWay.set(socket, count);
    // An error of a message is told by its body and by "close"; without a listener it would end the process.
    incoming.on("error", ignoreError);
    outgoing.on("error", ignoreError);
    const pace = { ...this.#options.slowestBody, clock: this.#ports.clock };
    const request = new NodeHttpRequest(incoming, outgoing, expected === "continue", pace, this.#received);
    try {
      // H4
      if (count > PIPELINED_REQUESTS_MAX) socket.destroy();
      if (!(await hasItsTurn(incoming, outgoing))) return;
      const refusal =
        expected === "other" ? new TroupeError("EXPECTATION_FAILED") : refusedBeforeBody(incoming, this.#options.bodyBytesMax);
      const response = refusal === undefined ? await this.#handle(request) : { ...problemResponse(refusal), close: true };
      await writeResponse(
        { ...this.#ports, slowReaderMs: this.#options.slowReaderMs, sent: this.#sent, isClosing: () => this.#closing },
        incoming,
        outgoing,
        response,
      );
    } catch (error) {
      this.#ports.log.error({ err: error }, "A response could not be written.");
      outgoing.destroy();
    } finally {
      this.#underWay.set(socket, (this.#underWay.get(socket) ?? 1) - 1);
      if (this.#closing) this.#server.closeIdleConnections();
    }
  }

  async #handle(request: HttpRequest): Promise<HttpResponse> {
    try {
      return await this.#handler(request);
    } catch (error) {
      this.#ports.log.error({ err: error }, "A request handler threw.");
      return { ...problemResponse(new TroupeError("INTERNAL")), close: true };
    }
  }

  #clientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === "ERR_SSL_HTTP_REQUEST") {
      const plain = plainSocketOf(socket);
      if (plain !== undefined)
        return this.#refuse(
          plain,
          new TroupeError("BAD_REQUEST", "This port speaks https: write https:// where the address begins with http://."),
        );
    }
    if (error.code === "ECONNRESET" || !socket.writable || (this.#underWay.get(socket) ?? 0) > 0) {
      socket.destroy();
      return;
    }
    if (error.code === "ERR_HTTP_REQUEST_TIMEOUT")
      this.#refuse(socket, new TroupeError("REQUEST_TIMEOUT", "The headers did not arrive in time."));
    else if (error.code === "HPE_HEADER_OVERFLOW") this.#refuse(socket, new TroupeError("HEADERS_TOO_LARGE"));
    else this.#refuse(socket, new TroupeError("BAD_REQUEST", "The request is not HTTP/1.1."));
  }

  /** Answers on a connection that has no request yet, and closes it. */
  #refuse(socket: Duplex, error: TroupeError): void {
    const { status, headers, body } = problemResponse(error);
    const bytes = Buffer.from(String(body));
    const fields = Object.entries({ ...headers, "content-length": String(bytes.length), connection: "close" });
    socket.on("error", ignoreError);
    socket.end(
      `HTTP/1.1 ${status} Refused\r\n${fields.map(([name, value]) => `${name}: ${String(value)}\r\n`).join("")}\r\n${bytes.toString()}`,
    );
    const timer = this.#ports.clock.setTimer(LINGER_MS, () => socket.destroy());
    socket.once("close", () => timer.cancel());
  }
}

/** What a request's Expect wants before its body is sent. */
type Expected = "nothing" | "continue" | "other";

class NodeHttpRequest implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: HttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  readonly remoteAddress: string;
  readonly secure: boolean;
  readonly #outgoing: ServerResponse;
  #abort: AbortController | undefined;

  constructor(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    expectsContinue: boolean,
    pace: BodyPace & { readonly clock: Clock },
    received: Counter,
  ) {
    this.method = incoming.method ?? "";
    this.target = incoming.url ?? "";
    this.headers = joinedFields(incoming);
    this.remoteAddress = incoming.socket.remoteAddress ?? "";
    this.secure = "encrypted" in incoming.socket;
    this.#outgoing = outgoing;
    this.body = new IncomingBody(incoming, {
      endedEarly: () => new TroupeError("CANCELLED", "The client went away before the body had ended."),
      pace,
      received,
      ...(expectsContinue ? { onFirstPull: () => outgoing.writeContinue() } : {}),
    });
  }

  // Made when somebody asks: most requests are over before a client can go away.
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      const onClose = (): void => {
        if (!this.#outgoing.writableFinished) abort.abort(new TroupeError("CANCELLED", "The client went away."));
      };
      if (this.#outgoing.destroyed) onClose();
      else this.#outgoing.once("close", onClose);
    }
    return this.#abort.signal;
  }
}

function connectionCount(server: Server | TlsServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}

/** Nothing to do: whoever waits for the message hears of it by other ways. */
function ignoreError(): void {}

function joinedFields(incoming: IncomingMessage): HttpHeaders {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return headers;
}

/** H1 */
function refusedBeforeBody(incoming: IncomingMessage, bodyBytesMax: number): TroupeError | undefined {
  const { rawHeaders, httpVersion, headers, url = "" } = incoming;
  let hostCount = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) if (rawHeaders[index]?.toLowerCase() === "host") hostCount += 1;
  if (hostCount > 1) return new TroupeError("BAD_REQUEST", "A request has one Host field.");
  if (hostCount === 0 && httpVersion !== "1.0") return new TroupeError("BAD_REQUEST", "A request has a Host field.");
  if (httpVersion === "1.0" && headers["transfer-encoding"] !== undefined) {
    return new TroupeError("BAD_REQUEST", "HTTP/1.0 has no Transfer-Encoding.");
  }
  if (!url.startsWith("/")) return new TroupeError("BAD_PATH", "The request target is a path that begins with '/'.");
  const length = headers["content-length"];
  // The parser has seen to it that these are digits; as a number 2^63 would be rounded.
  if (length !== undefined && BigInt(length) > BigInt(bodyBytesMax)) {
    return new TroupeError("TOO_LARGE", `A body has at most ${bodyBytesMax} bytes.`, { facts: { bytesMax: bodyBytesMax } });
  }
  return undefined;
}

/** The connection below one whose encryption has failed. */
function plainSocketOf(socket: Duplex): Duplex | undefined {
  const { _parent: plain } = socket as Duplex & { readonly _parent?: Duplex | null };
  return plain?.writable === true ? plain : undefined;
}

const PORT_FLAGS: Readonly<Record<HttpServerName, string>> = { gateway: "--port", data: "--data-port", metrics: "--metrics-port" };

function listenError(address: { readonly host: string; readonly port: number }, flag: string, error: NodeJS.ErrnoException): TroupeError {
  const where = `${address.host}:${address.port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `Another program listens on ${where} already; stop it, or give ${flag} another number (0 picks a free one).`,
    EACCES: `This user may not listen on ${where}; give ${flag} a number of 1024 or more.`,
    EADDRNOTAVAIL: `${address.host} is not an address of this machine; give --host one that is.`,
    ENOTFOUND: `The name ${address.host} has no address; give --host one that has.`,
  };
  return new TroupeError(
    "SETTING_INVALID",
    reasons[error.code ?? ""] ?? `It is not possible to listen on ${where}: ${error.code ?? error.message}.`,
    { cause: error },
  );
}
