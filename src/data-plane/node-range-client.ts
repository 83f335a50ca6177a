/**
 * The HttpClient port for one purpose: ranges of blobs from data servers, over plain sockets. It speaks as much HTTP/1.1 as they do (a GET
 * without a body, an answer with a Content-Length), with as little work a byte as Node allows. Measured beside node:http in
 * `bench/BENCHMARKS.md`.
 *
 * G1: a connection is read only while somebody waits for its bytes: what is not wanted yet stays in the socket.
 * G2: a request whose kept connection turned out to be dead before a byte was answered is sent again.
 * G3: anything but the answer that is expected ends the connection, and the body throws: the end is where the Content-Length says.
 * G4: between two reads, the operating system moves what has come straight into the socket that wants it.
 */
import { connect, type Socket } from "node:net";
import { TroupeError } from "../core/errors.ts";
import type { ByteIterator, ByteStream } from "../core/ports/byte-stream.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse, HttpHeaders } from "../core/ports/http-exchange.ts";
import { splice } from "./node-splice.ts";

/** A leaf and the head of an answer come with one read. */
const READ_BYTES = 80 * 1024;
/** Fewer bytes than this are copied, so that the buffer they came in can be used again. */
const COPIED_BYTES_MAX = 8 * 1024;
const HEAD_BYTES_MAX = 16 * 1024;
const IDLE_CONNECTIONS_MAX = 64;

export interface NodeRangeClientOptions {
  /** How long a connection may take to come about; absent: as long as the operating system tries. */
  readonly connecting?: { readonly clock: Clock; readonly timeoutMs: number };
}

export class NodeRangeClient implements HttpClient {
  readonly #connecting: NodeRangeClientOptions["connecting"];
  /** By host and port; the one used last is used next. */
  readonly #idle = new Map<string, Connection[]>();
  readonly #open = new Set<Connection>();
  #isClosed = false;

  constructor({ connecting }: NodeRangeClientOptions = {}) {
    this.#connecting = connecting;
  }

  /** @throws {TroupeError} also `NOT_IMPLEMENTED` for a request that has a body, or is not plain http */
  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    const url = new URL(request.url);
    if (url.protocol !== "http:" || request.method !== "GET" || request.body !== undefined) throw new TroupeError("NOT_IMPLEMENTED");
    const head = requestHead(url, request.headers ?? {});
    for (;;) {
      if (request.signal?.aborted) throw cancelled(request.signal);
      const kept = this.#take(url.host);
      const connection = kept ?? (await this.#connect(url, request.signal));
      try {
        return await connection.ask(head, request.signal);
      } catch (error) {
        // G2
        if (kept === undefined || connection.hasAnswered || request.signal?.aborted) throw error;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const connection of this.#open) connection.destroy();
  }

  #take(host: string): Connection | undefined {
    const idle = this.#idle.get(host);
    const connection = idle?.pop();
    if (idle?.length === 0) this.#idle.delete(host);
    return connection;
  }

  #connect(url: URL, signal: AbortSignal | undefined): Promise<Connection> {
    const { clock, timeoutMs } = this.#connecting ?? {};
    return new Promise((resolve, reject) => {
      const connection = new Connection(url, {
        onConnected: () => {
          settle();
          resolve(connection);
        },
        onIdle: () => this.#keep(url.host, connection),
        onClosed: (error) => {
          settle();
          this.#open.delete(connection);
          this.#drop(url.host, connection);
          const why = isLate ? `no connection within ${timeoutMs} ms` : (error?.code ?? error?.message ?? "closed");
          reject(
            signal?.aborted
              ? cancelled(signal)
              : new TroupeError("UNAVAILABLE", `${url.host} cannot be reached: ${why}.`, { cause: error, facts: { unconnected: true } }),
          );
        },
      });
      let isLate = false;
      const onAbort = (): void => connection.destroy();
      const timer =
        clock === undefined || timeoutMs === undefined
          ? undefined
          : clock.setTimer(timeoutMs, () => {
              isLate = true;
              connection.destroy();
            });
      const settle = (): void => {
        timer?.cancel();
        signal?.removeEventListener("abort", onAbort);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#open.add(connection);
    });
  }

  #keep(host: string, connection: Connection): void {
    const idle = this.#idle.get(host) ?? [];
    if (this.#isClosed || idle.length >= IDLE_CONNECTIONS_MAX) return connection.destroy();
    idle.push(connection);
    this.#idle.set(host, idle);
  }

  #drop(host: string, connection: Connection): void {
    const idle = (this.#idle.get(host) ?? []).filter((other) => other !== connection);
    if (idle.length === 0) this.#idle.delete(host);
    else this.#idle.set(host, idle);
  }
}

interface ConnectionHooks {
  readonly onConnected: () => void;
  /** The answer has come whole, and another request may follow. */
  readonly onIdle: () => void;
  readonly onClosed: (error: NodeJS.ErrnoException | undefined) => void;
}

interface Asked {
  readonly answer: PromiseWithResolvers<HttpClientResponse>;
  readonly signal: AbortSignal | undefined;
  readonly end: () => void;
}

class Connection {
  readonly #host: string;
  readonly #socket: Socket;
  readonly #hooks: ConnectionHooks;
  #buffer: Uint8Array | undefined;
  #head = "";
  #asked: Asked | undefined;
  #body: Body | undefined;
  #error: NodeJS.ErrnoException | undefined;
  #isLast = false;
  hasAnswered = false;

  constructor(url: URL, hooks: ConnectionHooks) {
    this.#host = url.host;
    this.#hooks = hooks;
    this.#socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: Number(url.port === "" ? 80 : url.port),
      noDelay: true,
      onread: {
        // Asked for after each read: a buffer of which nothing was handed out is used again.
        buffer: () => {
          this.#buffer ??= Buffer.allocUnsafeSlow(READ_BYTES);
          return this.#buffer as Buffer;
        },
        callback: (count, { buffer, byteOffset }) => this.#receive(Buffer.from(buffer, byteOffset, count)),
      },
    });
    this.#socket.once("connect", hooks.onConnected);
    this.#socket.on("error", (error) => {
      this.#error = error;
    });
    this.#socket.once("close", () => this.#onClose());
  }

  get descriptor(): number | undefined {
    const { _handle: handle } = this.#socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
    return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
  }

  ask(head: string, signal: AbortSignal | undefined): Promise<HttpClientResponse> {
    const answer = Promise.withResolvers<HttpClientResponse>();
    const onAbort = (): void => this.destroy();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#asked = { answer, signal, end: () => signal?.removeEventListener("abort", onAbort) };
    this.hasAnswered = false;
    if (this.#socket.destroyed) this.#onClose();
    else {
      this.#socket.ref();
      this.#socket.resume();
      this.#socket.write(head, "latin1");
    }
    return answer.promise;
  }

  /** Reads on. */
  resume(): void {
    this.#socket.resume();
  }

  /** The answer has come whole: its body may still have to be handed on, but nothing of it is in the socket. */
  finish(): void {
    this.#asked?.end();
    this.#asked = undefined;
    this.#body = undefined;
    if (this.#isLast) return this.destroy();
    // Read on, to notice when the other side closes it.
    this.#socket.resume();
    this.#socket.unref();
    this.#hooks.onIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** @returns whether to read on (G1) */
  #receive(bytes: Buffer): boolean {
    if (this.#asked === undefined) {
      this.destroy();
      return false;
    }
    this.hasAnswered = true;
    let rest: Uint8Array = bytes;
    if (this.#body === undefined) {
      const before = this.#head.length;
      this.#head += bytes.toString("latin1", 0, Math.min(bytes.length, HEAD_BYTES_MAX));
      const end = this.#head.indexOf("\r\n\r\n");
      if (end === -1 && this.#head.length < HEAD_BYTES_MAX) return true;
      const head = end === -1 ? undefined : parseHead(this.#head.slice(0, end));
      this.#head = "";
      if (head === undefined) {
        this.#error = new Error("it answered something that is no answer of a data server");
        this.destroy();
        return false;
      }
      rest = bytes.subarray(end + 4 - before);
      this.#isLast = head.isLast;
      this.#body = new Body(this, head.lengthBytes);
      const { status, headers } = head;
      this.#asked.answer.resolve({ status, headers, body: this.#body });
    }
    const body = this.#body;
    // Small pieces are copied, so that the buffer stays ours.
    const isKept = rest.length > COPIED_BYTES_MAX;
    if (isKept) this.#buffer = undefined;
    if (rest.length > 0 || body.isWhole) body.take(isKept ? rest : Uint8Array.from(rest));
    return this.#body === undefined;
  }

  #onClose(): void {
    const asked = this.#asked;
    const body = this.#body;
    this.#asked = undefined;
    this.#body = undefined;
    asked?.end();
    const why = this.#error?.code ?? this.#error?.message;
    const error = asked?.signal?.aborted
      ? cancelled(asked.signal)
      : new TroupeError("UNAVAILABLE", `${this.#host} broke its answer off${why === undefined ? "" : ` (${why})`}.`, {
          cause: this.#error,
        });
    asked?.answer.reject(error);
    body?.fail(error);
    this.#hooks.onClosed(this.#error);
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The bytes of one answer. */
class Body implements ByteIterator, ByteStream {
  readonly #connection: Connection;
  #missingBytes: number;
  #ready: Uint8Array | undefined;
  #waiting: PromiseWithResolvers<IteratorResult<Uint8Array, undefined>> | undefined;
  #failure: TroupeError | undefined;

  constructor(connection: Connection, lengthBytes: number) {
    this.#connection = connection;
    this.#missingBytes = lengthBytes;
  }

  /** Nothing of it is missing. */
  get isWhole(): boolean {
    return this.#missingBytes === 0;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  take(bytes: Uint8Array): void {
    // G3
    if (bytes.length > this.#missingBytes) return this.#connection.destroy();
    this.#ready = bytes.length === 0 ? undefined : bytes;
    this.#came(bytes.length);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(this.#hand());
  }

  fail(error: TroupeError): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#ready !== undefined || this.isWhole) return Promise.resolve(this.#hand());
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting = Promise.withResolvers();
    this.#connection.resume();
    return this.#waiting.promise;
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#ready = undefined;
    if (!this.isWhole) this.#connection.destroy();
    return Promise.resolve(DONE);
  }

  /** G4 */
  pour(descriptor: number, bytesMax: number): number {
    if (this.#ready !== undefined || this.isWhole || this.#failure !== undefined || this.#waiting !== undefined) return 0;
    const from = this.#connection.descriptor;
    const move = splice();
    if (from === undefined || move === undefined) return 0;
    const { movedBytes, rest } = move(from, descriptor, Math.min(bytesMax, this.#missingBytes));
    this.#ready = rest;
    this.#came(movedBytes + (rest?.length ?? 0));
    return movedBytes;
  }

  #came(countBytes: number): void {
    this.#missingBytes -= countBytes;
    if (this.isWhole) this.#connection.finish();
  }

  #hand(): IteratorResult<Uint8Array, undefined> {
    const value = this.#ready;
    this.#ready = undefined;
    return value === undefined ? DONE : { done: false, value };
  }
}

function requestHead(url: URL, headers: HttpHeaders): string {
  const fields = Object.entries(headers).map(([name, value]) => {
    if (!/^[\x20-\x7e]*$/.test(value)) throw new TroupeError("BAD_REQUEST", `The field ${name} has a value that cannot be sent.`);
    return `${name}: ${value}\r\n`;
  });
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\n${fields.join("")}\r\n`;
}

interface Head {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly lengthBytes: number;
  /** The other side closes the connection after this answer. */
  readonly isLast: boolean;
}

/** Undefined for anything but an answer of known length. */
function parseHead(text: string): Head | undefined {
  const [first = "", ...lines] = text.split("\r\n");
  const status = /^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/.exec(first)?.[1];
  if (status === undefined) return undefined;
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    if (colon < 1 || (name === "content-length" && name in headers)) return undefined;
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  const { "content-length": length = "", "transfer-encoding": encoding, connection } = headers;
  if (encoding !== undefined || !/^\d{1,15}$/.test(length)) return undefined;
  return { status: Number(status), headers, lengthBytes: Number(length), isLast: connection?.toLowerCase() === "close" };
}

function cancelled(signal: AbortSignal | undefined): TroupeError {
  return new TroupeError("CANCELLED", undefined, { cause: signal?.reason });
}
