/**
 * One request of a client on one connection, until its answer has been read: what node:http calls a ClientRequest, with what
 * `NodeHttpClient` does about it.
 *
 * X1: an answer that comes before the body has been sent is the answer: the rest of the body is not sent.
 * X2: a body that waits to be asked for is not pulled before the server has asked.
 */
import { validateHeaderValue } from "node:http";
import { TroupeError } from "../../../src/core/errors.ts";
import type { HttpClientRequest, HttpClientResponse } from "../../../src/core/ports/http-exchange.ts";
import { IncomingBody } from "../../../src/gateway/node-http-body.ts";
import { type AnswerHead, cut, declaredBytes, NO_BYTES, type RequestHead, type Segment } from "./segment.ts";
import { ClientConnection, type SimulatedHttpClient } from "./simulated-http-client.ts";
import { SimulatedMessage } from "./simulated-message.ts";

/** An attempt to connect that nobody answers is repeated after this, then after twice as long, and so on. */
const CONNECT_AGAIN_MS = 1_000;

/** Nothing was answered on this connection. */
export class DeadConnection extends Error {
  readonly reason: TroupeError;
  readonly wasReused: boolean;
  readonly isReplayable: boolean;

  constructor(reason: TroupeError, wasReused: boolean, isReplayable: boolean) {
    super(reason.message);
    this.reason = reason;
    this.wasReused = wasReused;
    this.isReplayable = isReplayable;
  }
}

/** One request on one connection, until its answer has been read. */
export class ClientExchange {
  readonly #client: SimulatedHttpClient;
  readonly #request: HttpClientRequest;
  readonly #url: URL;
  readonly #answer = Promise.withResolvers<HttpClientResponse>();
  readonly #head: RequestHead;
  readonly #beganMs: number;
  #connection: ClientConnection | undefined;
  #wasReused = false;
  /** A body that can be pulled only once has been. */
  #isPulled = false;
  #isHeadSent = false;
  #isSent = false;
  #isUnwanted = false;
  #isOver = false;
  #wake: (() => void) | undefined;
  /** The server wants the body. */
  #isAsked = false;
  #isFull = false;
  #message: SimulatedMessage | undefined;
  #closesConnection = false;

  constructor(client: SimulatedHttpClient, request: HttpClientRequest) {
    this.#client = client;
    this.#request = request;
    this.#url = new URL(request.url);
    this.#head = headOf(request, this.#url);
    this.#beganMs = client.process.world.nowMs;
    const { signal } = request;
    if (signal?.aborted) {
      this.#isOver = true;
      this.#answer.reject(this.#cancelled());
      return;
    }
    client.begun(this);
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    const kept = client.take(this.#url.host);
    if (kept !== undefined) {
      this.#wasReused = true;
      this.#use(kept);
    } else this.#dial(1);
    const { body } = request;
    if (typeof body === "object" && !(body instanceof Uint8Array))
      this.#sendStream(body).catch((error: unknown) => {
        this.#answer.reject(error);
        this.#break();
      });
  }

  get answer(): Promise<HttpClientResponse> {
    return this.#answer.promise;
  }

  receive(segment: Segment): void {
    switch (segment.kind) {
      case "answer":
        return this.#onAnswer(segment.head, segment.bytes, segment.isEnd);
      case "bytes":
        // More than was declared is nobody's.
        if (this.#message?.feed(segment.bytes, segment.isEnd) === false) this.#break();
        return;
      case "continue":
        this.#isAsked = true;
        this.#wake?.();
        return;
      case "room":
        this.#isFull = false;
        this.#wake?.();
        return;
      case "broken":
        return this.fail(this.#connection?.connection.isRefused === true ? "ECONNREFUSED" : "ECONNRESET");
    }
  }

  /** There is no connection, or no more. */
  fail(why: string): void {
    if (this.#isOver) return;
    const nowMs = this.#client.process.world.nowMs;
    const connection = this.#connection?.connection;
    const isConnected = connection !== undefined && !connection.isRefused && nowMs >= connection.connectedAtMs;
    const reason = new TroupeError("UNAVAILABLE", `${this.#url.host} cannot be reached: ${why}.`, {
      facts: isConnected || this.#isPulled ? {} : { unconnected: true },
    });
    this.#answer.reject(new DeadConnection(reason, this.#wasReused, !this.#isPulled));
    this.#break();
  }

  readonly #onAbort = (): void => {
    this.#answer.reject(this.#cancelled());
    this.#break();
  };

  #cancelled(): TroupeError {
    return new TroupeError("CANCELLED", undefined, { cause: this.#request.signal?.reason });
  }

  #dial(attempt: number): void {
    const { process, dial, connectTimeoutMs } = this.#client;
    const { hostname, port, host } = this.#url;
    const elapsedMs = process.world.nowMs - this.#beganMs;
    const dialled = dial(hostname, port === "" ? 80 : Number(port), connectTimeoutMs - elapsedMs);
    if (dialled.kind === "accepted") return this.#use(new ClientConnection(this.#client, host, dialled.connection));
    if (dialled.kind === "refused") {
      process.later(dialled.afterMs, `cannot connect to ${host}`, () => this.fail(dialled.code));
      return;
    }
    const pauseMs = CONNECT_AGAIN_MS * 2 ** (attempt - 1);
    if (elapsedMs + pauseMs < connectTimeoutMs)
      process.later(pauseMs, `connects to ${host} again`, () => {
        if (!this.#isOver) this.#dial(attempt + 1);
      });
    else
      process.later(connectTimeoutMs - elapsedMs, `gives up connecting to ${host}`, () =>
        this.fail(`no connection within ${connectTimeoutMs} ms`),
      );
  }

  #use(connection: ClientConnection): void {
    this.#connection = connection;
    connection.exchange = this;
    const { body, expectContinue = false } = this.#request;
    if (body === undefined) this.#sendWhole(NO_BYTES);
    else if (typeof body === "string") this.#sendWhole(Buffer.from(body));
    else if (body instanceof Uint8Array) this.#sendWhole(body);
    else if (expectContinue) this.#send(NO_BYTES);
    else this.#wake?.();
  }

  #sendWhole(body: Uint8Array): void {
    if (body.length === 0) this.#send(NO_BYTES);
    for (const bytes of cut(body)) this.#send(bytes);
    this.#end();
  }

  /** As fast as the connection takes it, until the body ends or an answer makes the rest unwanted (X1). */
  async #sendStream(body: AsyncIterable<Uint8Array>): Promise<void> {
    // X2
    if (this.#request.expectContinue === true && !(await this.#until(() => this.#isAsked))) return;
    this.#isPulled = true;
    for await (const block of body) {
      // A body that need not be asked for is pulled while the connection comes about.
      if (!(await this.#until(() => this.#connection !== undefined))) break;
      for (const bytes of cut(block)) this.#send(bytes);
      if (!(await this.#until(() => !this.#isFull))) break;
    }
    if (await this.#until(() => this.#connection !== undefined)) this.#end();
  }

  /** @returns false when the body is not wanted any more */
  async #until(isSo: () => boolean): Promise<boolean> {
    while (!this.#isUnwanted && !isSo()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return !this.#isUnwanted;
  }

  #send(bytes: Buffer): void {
    const { connection } = this.#connection as ClientConnection;
    if (this.#isHeadSent) {
      if (!connection.send("server", { kind: "bytes", bytes, isEnd: false })) this.#isFull = true;
      return;
    }
    this.#isHeadSent = true;
    connection.clearWindows();
    if (!connection.send("server", { kind: "request", head: this.#head, bytes, isEnd: false })) this.#isFull = true;
  }

  /** Nothing more of the body comes; the server knows that by itself where its length was declared. */
  #end(): void {
    if (!this.#isHeadSent) this.#send(NO_BYTES);
    this.#isSent = true;
    const { connection } = this.#connection as ClientConnection;
    if (this.#head.headers["transfer-encoding"] !== undefined && !connection.endWithLast("server"))
      connection.send("server", { kind: "bytes", bytes: NO_BYTES, isEnd: true });
  }

  #onAnswer(head: AnswerHead, bytes: Buffer, isEnd: boolean): void {
    // X1
    this.#isUnwanted = true;
    this.#wake?.();
    const { status, headers } = head;
    const { signal, method } = this.#request;
    const { connection } = this.#connection as ClientConnection;
    const hasNoBody = method === "HEAD" || status === 204 || status === 304;
    const message = new SimulatedMessage({
      lengthBytes: hasNoBody ? 0 : declaredBytes(headers),
      onTaken: (count) => connection.taken("client", count),
    });
    this.#message = message;
    this.#closesConnection = headers["connection"] === "close";
    message.once("end", () => this.#finish());
    this.#answer.resolve({
      status,
      headers,
      body: new IncomingBody(message.asIncoming, {
        endedEarly: () => (signal?.aborted ? this.#cancelled() : new TroupeError("UNAVAILABLE", `${this.#url.host} broke its answer off.`)),
      }),
    });
    message.feed(bytes, isEnd);
  }

  /** The answer has been read. */
  #finish(): void {
    if (this.#isOver) return;
    const connection = this.#connection;
    const isKept = this.#isSent && !this.#closesConnection;
    this.#over();
    // A request that was answered before its end cannot be ended truthfully.
    if (isKept) connection?.keep();
    else connection?.leave();
  }

  #break(): void {
    if (this.#isOver) return;
    const connection = this.#connection;
    this.#over();
    connection?.leave();
    // What has come whole can still be read.
    if (this.#message?.complete === false) this.#message.destroy();
  }

  #over(): void {
    this.#isOver = true;
    this.#isUnwanted = true;
    this.#wake?.();
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    this.#client.ended(this);
  }
}

function headOf({ method, headers = {}, body, expectContinue = false }: HttpClientRequest, url: URL): RequestHead {
  const fields: Record<string, string> = { host: url.host, connection: "keep-alive" };
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderValue(name, value);
    fields[name.toLowerCase()] = value;
  }
  if (expectContinue) fields["expect"] = "100-continue";
  const length = lengthOf(body, method);
  if (length !== undefined) fields["content-length"] = String(length);
  else if (body !== undefined && fields["content-length"] === undefined) fields["transfer-encoding"] = "chunked";
  return { method, target: url.pathname + url.search, headers: fields };
}

function lengthOf(body: HttpClientRequest["body"], method: string): number | undefined {
  if (body === undefined) return method === "GET" || method === "HEAD" || method === "DELETE" ? undefined : 0;
  if (typeof body === "string") return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : undefined;
}
