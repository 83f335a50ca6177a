/**
 * The HttpClient port over node:http and node:https, with connections kept for the next request.
 *
 * C1: a request whose kept connection turned out to be dead before anything was answered is sent again, if its body can be.
 * C2: an answer that comes before the body has been sent is the answer: the rest of the body is not sent.
 */
import { type ClientRequest, type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";
import { TroupeError } from "../core/errors.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse, HttpHeaders } from "../core/ports/http-exchange.ts";
import { IncomingBody } from "./node-http-body.ts";

const CONNECTIONS_PER_HOST_MAX = 256;
const IDLE_CONNECTIONS_MAX = 64;

export class NodeHttpClient implements HttpClient {
  readonly #plain = new PlainAgent({ keepAlive: true, maxSockets: CONNECTIONS_PER_HOST_MAX, maxFreeSockets: IDLE_CONNECTIONS_MAX });
  readonly #secure = new SecureAgent({ keepAlive: true, maxSockets: CONNECTIONS_PER_HOST_MAX, maxFreeSockets: IDLE_CONNECTIONS_MAX });

  async exchange(request: HttpClientRequest): Promise<HttpClientResponse> {
    for (;;) {
      try {
        return await this.#send(request);
      } catch (error) {
        if (!(error instanceof DeadConnection)) throw error;
        // C1: the other side closed an idle connection while the request was on its way. Each try takes one idle connection away.
        if (!isReplayable(request.body) || !error.wasReused) throw error.reason;
      }
    }
  }

  async close(): Promise<void> {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #send(request: HttpClientRequest): Promise<HttpClientResponse> {
    const { signal, body } = request;
    const url = new URL(request.url);
    const isSecure = url.protocol === "https:";
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancelled(signal));
      const outgoing = (isSecure ? secureRequest : plainRequest)(url, {
        method: request.method,
        headers: { ...request.headers },
        agent: isSecure ? this.#secure : this.#plain,
      });
      const onAbort = (): void => void outgoing.destroy(cancelled(signal));
      signal?.addEventListener("abort", onAbort, { once: true });
      outgoing.once("close", () => signal?.removeEventListener("abort", onAbort));
      outgoing.on("error", (error) => reject(connectionError(request, outgoing, error)));
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
        sendStream(outgoing, body).catch((error: unknown) => {
          reject(error);
          outgoing.destroy();
        });
    });
  }
}

/** Nothing was answered on this connection. */
class DeadConnection extends Error {
  readonly reason: TroupeError;
  readonly wasReused: boolean;
  constructor(reason: TroupeError, wasReused: boolean) {
    super(reason.message);
    this.reason = reason;
    this.wasReused = wasReused;
  }
}

const isReplayable = (body: HttpClientRequest["body"]): boolean =>
  body === undefined || typeof body === "string" || body instanceof Uint8Array;

function cancelled(signal: AbortSignal | undefined): TroupeError {
  return new TroupeError("CANCELLED", undefined, { cause: signal?.reason });
}

function connectionError(request: HttpClientRequest, outgoing: ClientRequest, error: NodeJS.ErrnoException): Error {
  if (error instanceof TroupeError) return error;
  const reason = new TroupeError("UNAVAILABLE", `${new URL(request.url).host} cannot be reached: ${error.code ?? error.message}.`, {
    cause: error,
  });
  return new DeadConnection(reason, outgoing.reusedSocket);
}

/** Pulls and sends as fast as the socket takes it, until the body ends or an answer makes the rest unwanted (C2). */
async function sendStream(outgoing: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  let unwanted = false;
  let wake: (() => void) | undefined;
  const stop = (): void => {
    unwanted = true;
    wake?.();
  };
  outgoing.once("response", stop);
  outgoing.once("close", stop);
  outgoing.on("drain", () => wake?.());
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
