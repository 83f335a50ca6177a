/**
 * What node:http calls a ServerResponse, as far as the adapter over it uses one: production's `writeResponse` writes to it, so its rules
 * about slow readers, broken streams and early answers are those that are tried here.
 */
import { EventEmitter } from "node:events";
import { type ServerResponse, validateHeaderValue } from "node:http";
import type { Connection } from "./connection.ts";
import { type AnswerHead, cut, NO_BYTES } from "./segment.ts";

export class SimulatedAnswer extends EventEmitter {
  statusCode = 200;
  headersSent = false;
  destroyed = false;
  /** All has been handed to the connection, which takes it. */
  writableFinished = false;
  readonly writableLength = 0;
  /** Its `destroyed` is what production asks; nothing else of a socket is there. */
  readonly socket = { destroyed: false, writableLength: 0, cork(): void {}, uncork(): void {} };
  readonly #connection: Connection;
  readonly #isHead: boolean;
  readonly #fields = new Map<string, string>();
  #isEnded = false;
  #isFull = false;

  /** @param method of the request */
  constructor(connection: Connection, method: string) {
    super();
    this.#connection = connection;
    this.#isHead = method === "HEAD";
  }

  /** For what production has typed so. */
  get asOutgoing(): ServerResponse {
    return this as unknown as ServerResponse;
  }

  get closesConnection(): boolean {
    return this.#fields.get("connection") === "close";
  }

  setHeader(name: string, value: number | string | readonly string[]): void {
    const text = typeof value === "object" ? value.join(", ") : String(value);
    validateHeaderValue(name, text);
    this.#fields.set(name.toLowerCase(), text);
  }

  getHeader(name: string): string | undefined {
    return this.#fields.get(name);
  }

  hasHeader(name: string): boolean {
    return this.#fields.has(name);
  }

  writeContinue(): void {
    if (!this.destroyed) this.#connection.send("client", { kind: "continue" });
  }

  flushHeaders(): void {
    if (!this.headersSent && !this.destroyed) this.#send(NO_BYTES);
  }

  /** @returns whether more is wanted; otherwise "drain" says when it is */
  write(block: Uint8Array): boolean {
    if (this.destroyed || this.#isHead) return true;
    for (const bytes of cut(block)) this.#send(bytes);
    return !this.#isFull;
  }

  end(): void {
    if (this.#isEnded || this.destroyed) return;
    this.#isEnded = true;
    if (!this.headersSent) this.#send(NO_BYTES);
    else if (!this.#fields.has("content-length") && !this.#connection.endWithLast("client"))
      this.#connection.send("client", { kind: "bytes", bytes: NO_BYTES, isEnd: true });
    if (!this.#isFull) this.#finish();
  }

  /** The connection takes more. */
  drain(): void {
    this.#isFull = false;
    if (this.#isEnded) this.#finish();
    else this.emit("drain");
  }

  /** Breaks the connection. */
  destroy(): void {
    if (this.destroyed || this.writableFinished) return;
    this.#connection.leave("server");
    this.broken();
  }

  /** The connection is no more. */
  broken(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.socket.destroyed = true;
    this.emit("close");
  }

  #send(bytes: Buffer): void {
    if (this.headersSent) {
      if (!this.#connection.send("client", { kind: "bytes", bytes, isEnd: false })) this.#isFull = true;
      return;
    }
    this.headersSent = true;
    // Before bytes, only an end that comes at once says how many there are.
    if (!this.#isEnded && !this.hasHeader("content-length")) this.setHeader("transfer-encoding", "chunked");
    const head: AnswerHead = { status: this.statusCode, headers: Object.fromEntries(this.#fields) };
    if (!this.#connection.send("client", { kind: "answer", head, bytes, isEnd: this.#isEnded })) this.#isFull = true;
  }

  #finish(): void {
    if (this.writableFinished) return;
    this.writableFinished = true;
    this.emit("finish");
    this.emit("close");
  }
}
