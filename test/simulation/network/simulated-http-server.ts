/**
 * The HttpServer port in the world, over connections whose segments are values: what `NodeHttpServer` does with sockets. Bodies are read
 * and answers written by production's own `IncomingBody` and `writeResponse`.
 */
import { TroupeError } from "../../../src/core/errors.ts";
import { FILE_BYTES_LIMIT, SLOW_BODY_BYTES_PER_SECOND_MIN, SLOW_BODY_WINDOW_MS, SLOW_READER_TIMEOUT_MS } from "../../../src/core/limits.ts";
import type { Log } from "../../../src/core/log.ts";
import type { Clock } from "../../../src/core/ports/clock.ts";
import type {
  HttpHandler,
  HttpListener,
  HttpRequest,
  HttpResponse,
  HttpServer,
  ListenAddress,
} from "../../../src/core/ports/http-exchange.ts";
import { problemResponse } from "../../../src/core/problem.ts";
import { type BodyPace, IncomingBody } from "../../../src/gateway/node-http-body.ts";
import { writeResponse } from "../../../src/gateway/node-http-response.ts";
import { SimulatedLog } from "../simulated-log.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import type { Connection, End } from "./connection.ts";
import { declaredBytes, type RequestHead, type Segment } from "./segment.ts";
import { SimulatedAnswer } from "./simulated-answer.ts";
import { SimulatedMessage } from "./simulated-message.ts";

export interface SimulatedServerOptions {
  /** A larger Content-Length is refused before the body. */
  readonly bodyBytesMax?: number;
  readonly slowestBody?: BodyPace;
  readonly slowReaderMs?: number;
  /** Of the process unless a test has its own. */
  readonly clock?: Clock;
  readonly log?: Log;
}

/** The machine on which a process lists what listens. */
export interface ListeningPlace {
  /** @returns the port; 0 picks one. @throws {TroupeError} `SETTING_INVALID` when another listens there */
  open(port: number, listening: Listening): number;
  close(port: number): void;
}

const LISTEN_MS = 0.05;

export class SimulatedHttpServer implements HttpServer {
  readonly #process: SimulatedProcess;
  readonly #place: ListeningPlace;
  readonly #options: ServerSettings;

  constructor(process: SimulatedProcess, place: ListeningPlace, options: SimulatedServerOptions) {
    this.#process = process;
    this.#place = place;
    this.#options = {
      bodyBytesMax: FILE_BYTES_LIMIT,
      slowestBody: { windowMs: SLOW_BODY_WINDOW_MS, bytesMin: (SLOW_BODY_BYTES_PER_SECOND_MIN * SLOW_BODY_WINDOW_MS) / 1_000 },
      slowReaderMs: SLOW_READER_TIMEOUT_MS,
      clock: process.clock,
      log: new SimulatedLog(process),
      ...options,
    };
  }

  async listen(address: ListenAddress, handler: HttpHandler): Promise<HttpListener> {
    if (address.certificate !== undefined) throw new TroupeError("NOT_IMPLEMENTED", "There is no https in this world.");
    return await this.#process.ask(LISTEN_MS, "listens", () => {
      const listening = new Listening(this.#process.name, this.#place, this.#options, handler);
      listening.open(address.port);
      return listening;
    });
  }
}

type ServerSettings = Required<SimulatedServerOptions>;

export class Listening implements HttpListener {
  readonly #name: string;
  readonly #place: ListeningPlace;
  readonly #settings: ServerSettings;
  readonly #handler: HttpHandler;
  readonly #connections = new Set<ServerConnection>();
  #port = 0;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(name: string, place: ListeningPlace, settings: ServerSettings, handler: HttpHandler) {
    this.#name = name;
    this.#place = place;
    this.#settings = settings;
    this.#handler = handler;
  }

  get url(): string {
    return `http://${this.#name}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  get settings(): ServerSettings {
    return this.#settings;
  }

  get isClosing(): boolean {
    return this.#closed !== undefined;
  }

  /** Requests that are being answered. */
  get answeringCount(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.isAnswering) count += 1;
    return count;
  }

  open(port: number): void {
    this.#port = this.#place.open(port, this);
  }

  accept(connection: Connection, remoteAddress: string): void {
    this.#connections.add(new ServerConnection(this, connection, remoteAddress));
  }

  async close(withinMs: number): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = Promise.withResolvers();
      this.#place.close(this.#port);
    }
    for (const connection of [...this.#connections]) if (!connection.isAnswering) connection.leave();
    const timer = this.#settings.clock.setTimer(withinMs, () => {
      for (const connection of [...this.#connections]) connection.leave();
    });
    this.#whenEmpty();
    await this.#closed.promise;
    timer.cancel();
  }

  async handle(request: HttpRequest): Promise<HttpResponse> {
    try {
      return await this.#handler(request);
    } catch (error) {
      this.#settings.log.error({ err: error }, "A request handler threw.");
      return { ...problemResponse(new TroupeError("INTERNAL")), close: true };
    }
  }

  forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
    this.#whenEmpty();
  }

  #whenEmpty(): void {
    if (this.#connections.size === 0) this.#closed?.resolve();
  }
}

/** The server's end of a connection: one exchange after the other. */
class ServerConnection implements End {
  readonly #listening: Listening;
  readonly #connection: Connection;
  readonly #remoteAddress: string;
  #message: SimulatedMessage | undefined;
  #answer: SimulatedAnswer | undefined;

  constructor(listening: Listening, connection: Connection, remoteAddress: string) {
    this.#listening = listening;
    this.#connection = connection;
    this.#remoteAddress = remoteAddress;
    connection.attach("server", this);
  }

  get isAnswering(): boolean {
    return this.#answer !== undefined;
  }

  receive(segment: Segment): void {
    switch (segment.kind) {
      case "request":
        return this.#begin(segment.head, segment.bytes, segment.isEnd);
      case "bytes":
        // More than was declared would be another request, and is none. What comes after the answer belongs to nothing.
        if (this.#message?.feed(segment.bytes, segment.isEnd) === false) this.leave();
        return;
      case "room":
        this.#answer?.drain();
        return;
      case "broken":
        return this.#over();
    }
  }

  leave(): void {
    this.#connection.leave("server");
    this.#over();
  }

  #begin(head: RequestHead, bytes: Buffer, isEnd: boolean): void {
    // A client that sends the next request before the last answer: ours do not.
    if (this.#answer !== undefined) return this.leave();
    const message = new SimulatedMessage({
      method: head.method,
      lengthBytes: declaredBytes(head.headers),
      onTaken: (count) => this.#connection.taken("server", count),
    });
    const answer = new SimulatedAnswer(this.#connection, head.method);
    this.#message = message;
    this.#answer = answer;
    const isHttp = message.feed(bytes, isEnd);
    void this.#answerRequest(head, message, answer);
    if (!isHttp) this.leave();
  }

  async #answerRequest(head: RequestHead, message: SimulatedMessage, answer: SimulatedAnswer): Promise<void> {
    const { settings } = this.#listening;
    const { clock, log, slowReaderMs, slowestBody } = settings;
    try {
      const request = new SimulatedRequest(head, message, answer, { ...slowestBody, clock }, this.#remoteAddress);
      const refusal = refusedBeforeBody(head, settings.bodyBytesMax);
      const response = refusal === undefined ? await this.#listening.handle(request) : { ...problemResponse(refusal), close: true };
      const ports = { clock, log, slowReaderMs, isClosing: () => this.#listening.isClosing };
      await writeResponse(ports, message.asIncoming, answer.asOutgoing, response);
    } catch (error) {
      log.error({ err: error }, "A response could not be written.");
      answer.destroy();
    }
    if (this.#answer !== answer) return;
    this.#answer = undefined;
    this.#message = undefined;
    if (!answer.writableFinished || answer.closesConnection || this.#listening.isClosing) this.leave();
  }

  #over(): void {
    const message = this.#message;
    const answer = this.#answer;
    this.#message = undefined;
    this.#answer = undefined;
    answer?.broken();
    message?.destroy();
    this.#listening.forget(this);
  }
}

class SimulatedRequest implements HttpRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
  readonly remoteAddress: string;
  readonly secure = false;
  readonly #answer: SimulatedAnswer;
  #abort: AbortController | undefined;

  constructor(
    { method, target, headers }: RequestHead,
    message: SimulatedMessage,
    answer: SimulatedAnswer,
    pace: BodyPace & { readonly clock: Clock },
    remoteAddress: string,
  ) {
    this.method = method;
    this.target = target;
    this.headers = headers;
    this.remoteAddress = remoteAddress;
    this.#answer = answer;
    this.body = new IncomingBody(message.asIncoming, {
      endedEarly: () => new TroupeError("CANCELLED", "The client went away before the body had ended."),
      pace,
      ...(headers["expect"] === "100-continue" ? { onFirstPull: () => answer.writeContinue() } : {}),
    });
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController();
      this.#abort = abort;
      const onClose = (): void => {
        if (!this.#answer.writableFinished) abort.abort(new TroupeError("CANCELLED", "The client went away."));
      };
      if (this.#answer.destroyed) onClose();
      else this.#answer.once("close", onClose);
    }
    return this.#abort.signal;
  }
}

function refusedBeforeBody({ target, headers }: RequestHead, bodyBytesMax: number): TroupeError | undefined {
  const { expect = "100-continue", "content-length": length = "0" } = headers;
  if (expect !== "100-continue") return new TroupeError("EXPECTATION_FAILED");
  if (!target.startsWith("/")) return new TroupeError("BAD_PATH", "The request target is a path that begins with '/'.");
  if (BigInt(length) > BigInt(bodyBytesMax))
    return new TroupeError("TOO_LARGE", `A body has at most ${bodyBytesMax} bytes.`, { facts: { bytesMax: bodyBytesMax } });
  return undefined;
}
