/**
 * The HttpClient port over a gateway's own handler, without a socket: for a program that plays the gateway itself and speaks to the
 * actors directly.
 */
import { abortable } from "../core/abortable.ts";
import { TroupeError } from "../core/errors.ts";
import type { HttpClient, HttpClientRequest, HttpClientResponse, HttpHandler, HttpResponseBody } from "../core/ports/http-exchange.ts";

export class InProcessClient implements HttpClient {
  readonly #handler: () => Promise<HttpHandler>;
  readonly #close: () => Promise<void>;

  /** @param handler asked for once a request: it may connect first, and throw when it cannot */
  constructor(handler: () => Promise<HttpHandler>, close: () => Promise<void>) {
    this.#handler = handler;
    this.#close = close;
  }

  async exchange({ method, url, headers = {}, body, signal = NEVER }: HttpClientRequest): Promise<HttpClientResponse> {
    const { host, pathname, search } = new URL(url);
    const handler = await this.#handler();
    const answering = handler({
      method,
      target: pathname + search,
      headers: { host, ...lengthOf(body), ...headers },
      body: blocksOf(body),
      remoteAddress: "127.0.0.1",
      secure: false,
      signal,
    });
    const answer = await unlessAborted(answering, signal);
    const fields = Object.entries(answer.headers).map(([name, value]) => [name, typeof value === "string" ? value : value.join(", ")]);
    return { status: answer.status, headers: Object.fromEntries(fields), body: untilAborted(blocksOf(answer.body), signal) };
  }

  close(): Promise<void> {
    return this.#close();
  }
}

const NEVER = new AbortController().signal;

function lengthOf(body: HttpClientRequest["body"]): { readonly "content-length"?: string } {
  if (body === undefined) return { "content-length": "0" };
  if (typeof body === "string") return { "content-length": String(Buffer.byteLength(body)) };
  return body instanceof Uint8Array ? { "content-length": String(body.length) } : {};
}

/** A stream as it is: a generator around it could not be told to end while it waits for the next block. */
function blocksOf(body: HttpResponseBody | undefined): AsyncIterable<Uint8Array> {
  if (body === undefined) return one();
  if (typeof body === "string") return one(Buffer.from(body));
  return body instanceof Uint8Array ? one(body) : body;
}

async function* one(...blocks: Uint8Array[]): AsyncGenerator<Uint8Array, undefined> {
  yield* blocks;
}

/** The same, until the signal is aborted: then whoever answers is left alone, and was told by the signal too. */
function unlessAborted<T>(answering: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cancelled(signal));
    signal.addEventListener("abort", onAbort, { once: true });
    answering.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    if (signal.aborted) onAbort();
  });
}

async function* untilAborted(blocks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array, undefined> {
  try {
    yield* abortable(blocks, signal);
  } catch (error) {
    throw signal.aborted ? cancelled(signal) : error;
  }
}

function cancelled(signal: AbortSignal): TroupeError {
  return new TroupeError("CANCELLED", undefined, { cause: signal.reason });
}
