/**
 * The HttpClient port over node:http and node:https, with connections kept for the next request.
 *
 * C1: a request whose kept connection turned out to be dead before anything was answered is sent again, if its body can be. It may have
 *     been heard before the connection died, so what must not be done twice is left to whoever asked.
 * C2: an answer that comes before the body has been sent is the answer: the rest of the body is not sent.
 * C3: a body that waits to be asked for is not pulled before the server has asked.
 */
import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";
import type { Socket } from "node:net";
import { TroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import {
  type HttpClient,
  type HttpClientRequest,
  type HttpClientResponse,
  type HttpHeaders,
  mayBeRepeated,
} from "../core/ports/http-exchange.ts";
import { IncomingBody } from "./node-http-body.ts";

const CONNECTIONS_PER_HOST_MAX = 256;
const IDLE_CONNECTIONS_MAX = 64;

export interface NodeHttpClientOptions {
  readonly connectionsPerHostMax?: number;
  /** How long a connection may take to come about; absent: as long as the operating system tries. */
  readonly connecting?: { readonly clock: Clock; readonly timeoutMs: number };
}

export class NodeHttpClient implements HttpClient {
  readonly #plain: PlainAgent;
  readonly #secure: SecureAgent;
  readonly #connecting: NodeHttpClientOptions["connecting"];

  constructor({ connectionsPerHostMax = CONNECTIONS_PER_HOST_MAX, connecting }: NodeHttpClientOptions = {}) {
    const agent = { keepAlive: true, maxSockets: connectionsPerHostMax, maxFreeSockets: IDLE_CONNECTIONS_MAX };
    this.#plain = new PlainAgent(agent);
    this.#secure = new SecureAgent(agent);
    this.#connecting = connecting;
  }

  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    for (;;) {
      try {
        return await this.#send(request);
      } catch (error) {
        if (!(error instanceof DeadConnection)) throw error;
        // C1: the other side closed an idle connection while the request was on its way. Each try takes one idle connection away.
        if (!error.isReplayable || !error.wasReused || !mayBeRepeated(request)) throw error.reason;
      }
    }
  }

  async close(): Promise<void> {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #send(request: HttpClientRequest): Promise<HttpClientResponse> {
    const { signal, body, expectContinue = false } = request;
    const url = new URL(request.url);
    const isSecure = url.protocol === "https:";
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancelled(signal));
      const outgoing = (isSecure ? secureRequest : plainRequest)(url, {
        method: request.method,
        headers: { ...request.headers, ...(expectContinue ? { expect: "100-continue" } : {}) },
        agent: isSecure ? this.#secure : this.#plain,
      });
      const onAbort = (): void => void outgoing.destroy(cancelled(signal));
      signal?.addEventListener("abort", onAbort, { once: true });
      outgoing.once("close", () => signal?.removeEventListener("abort", onAbort));
      const sending = { isConnected: false, isPulled: false };
      outgoing.once("socket", (socket) => {
        if (!socket.connecting) sending.isConnected = true;
        else this.#watchConnecting(outgoing, socket, isSecure, () => (sending.isConnected = true));
      });
      outgoing.on("error", (error) => reject(connectionError(url, outgoing, error, sending)));
      outgoing.once("response", (incoming: IncomingMessage) => {
        // Told by the body.
        incoming.on("error", () => undefined);
        incoming.once("end", () => {
          if (!outgoing.writableEnded) outgoing.destroy();
        });
        resolve({
          status: incoming.statusCode ?? 0,
          headers: responseFields(incoming),
          body: new IncomingBody(incoming, {
            endedEarly: () => (signal?.aborted ? cancelled(signal) : new TroupeError("UNAVAILABLE", `${url.host} broke its answer off.`)),
          }),
        });
      });
      if (body === undefined || typeof body === "string" || body instanceof Uint8Array) outgoing.end(body);
      else
        sendStream(outgoing, pulling(body, sending), expectContinue).catch((error: unknown) => {
          reject(error);
          outgoing.destroy();
        });
    });
  }

  #watchConnecting(outgoing: ClientRequest, socket: Socket, isSecure: boolean, onConnected: () => void): void {
    const { clock, timeoutMs } = this.#connecting ?? {};
    const timer =
      clock === undefined || timeoutMs === undefined
        ? undefined
        : clock.setTimer(timeoutMs, () => outgoing.destroy(new Error(`no connection within ${timeoutMs} ms`)));
    socket.once(isSecure ? "secureConnect" : "connect", () => {
      timer?.cancel();
      onConnected();
    });
    outgoing.once("close", () => timer?.cancel());
  }
}

/** Nothing was answered on this connection. */
class DeadConnection extends Error {
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

/** How far one request has come. */
interface Sending {
  isConnected: boolean;
  /** A body that can be pulled only once has been. */
  isPulled: boolean;
}

function cancelled(signal: AbortSignal | undefined): TroupeError {
  return new TroupeError("CANCELLED", undefined, { cause: signal?.reason });
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

function connectionError(url: URL, outgoing: ClientRequest, error: NodeJS.ErrnoException, sending: Sending): Error {
  if (error instanceof TroupeError) return error;
  const { code = error.message } = error;
  const why = UNTRUSTED.has(code)
    ? `nobody this program trusts has signed its certificate (${code}); name the file of its authority in NODE_EXTRA_CA_CERTS`
    : code;
  const reason = new TroupeError("UNAVAILABLE", `${url.host} cannot be reached: ${why}.`, {
    cause: error,
    facts: sending.isConnected || sending.isPulled ? {} : { unconnected: true },
  });
  return new DeadConnection(reason, outgoing.reusedSocket, !sending.isPulled);
}

function pulling(body: AsyncIterable<Uint8Array>, sending: Sending): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      sending.isPulled = true;
      return body[Symbol.asyncIterator]();
    },
  };
}

/** Pulls and sends as fast as the socket takes it, until the body ends or an answer makes the rest unwanted (C2). */
async function sendStream(outgoing: ClientRequest, body: AsyncIterable<Uint8Array>, expectContinue: boolean): Promise<void> {
  let unwanted = false;
  let wake: (() => void) | undefined;
  const stop = (): void => {
    unwanted = true;
    wake?.();
  };
  outgoing.once("response", stop);
  outgoing.once("close", stop);
  outgoing.on("drain", () => wake?.());
  if (expectContinue) {
    // C3
    await new Promise<void>((resolve) => {
      wake = resolve;
      outgoing.once("continue", resolve);
    });
    if (unwanted) return;
  }
  for await (const block of body) {
    if (unwanted) break;
    if (!outgoing.write(block)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (unwanted) resolve();
      });
    }
    if (unwanted) break;
  }
  // A request that was answered before its end cannot be ended truthfully; its connection goes when the answer has been read.
  if (!unwanted) outgoing.end();
}

function responseFields(incoming: IncomingMessage): HttpHeaders {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return headers;
}
