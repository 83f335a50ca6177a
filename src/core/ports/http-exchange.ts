/**
 * The HTTP exchange port: a request and a response as values, so that routes are functions and the whole gateway runs without a
 * socket. `src/gateway/node-http.ts` is the adapter over node:http.
 */

import type { ByteStream } from "./byte-stream.ts";

/** Lowercase names; several fields of one name are joined with ", " (`set-cookie` excepted, which only responses have). */
export type HttpHeaders = Readonly<Record<string, string>>;

export interface HttpRequest {
  readonly method: string;
  /** The request target as it came: undecoded. */
  readonly target: string;
  readonly headers: HttpHeaders;
  /** Read at most once; ends with a `TroupeError` (`CANCELLED`) when the client goes away, `REQUEST_TIMEOUT` when it is too slow. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly remoteAddress: string;
  /** The connection is encrypted. */
  readonly secure: boolean;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/**
 * Bytes of a response. A stream is pulled only as fast as the client takes it, one block at a time; when it throws, the connection
 * is destroyed, so that nobody takes half an answer for a whole one. Its `return()` is called when the client goes away.
 */
export type HttpResponseBody = string | Uint8Array | ByteStream | AsyncIterable<Uint8Array>;

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: HttpResponseBody | undefined;
  /** Close the connection after this answer: the rest of the request's body is not wanted. */
  readonly close?: boolean;
}

export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

export interface HttpListener {
  /** Where it listens, `http://127.0.0.1:8080` or `https://…`. */
  readonly url: string;
  readonly port: number;
  /** Stops accepting, ends idle connections, resolves when the requests under way have ended or after `withinMs`. */
  close(withinMs: number): Promise<void>;
}

/** In PEM: a certificate with those between it and its authority, and its private key. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate that may be renewed while it is in use. */
export interface CertificateSource {
  readonly current: CertificatePair;
  /** @returns ends the telling */
  onRenewal(listener: (pair: CertificatePair) => void): () => void;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Present: https, and nothing else. */
  readonly certificate?: CertificateSource | undefined;
}

export interface HttpServer {
  /** @throws {TroupeError} `SETTING_INVALID` when the address cannot be listened on; the detail says why */
  listen(address: ListenAddress, handler: HttpHandler): Promise<HttpListener>;
}

export interface HttpClientRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: HttpHeaders;
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array>;
  /** The body is read only when the server has asked for it (RFC 9110, 10.1.1): until then a failure leaves it untouched. */
  readonly expectContinue?: boolean;
  readonly signal?: AbortSignal;
}

export interface HttpClientResponse {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** Throws when the body ends early. */
  readonly body: AsyncIterable<Uint8Array> | ByteStream;
}

/** RFC 9110, 9.2.2: done twice it is as good as done once, by its method or by its key. */
export function mayBeRepeated({ method, headers = {} }: HttpClientRequest): boolean {
  return (method !== "POST" && method !== "PATCH") || headers["idempotency-key"] !== undefined;
}

export interface HttpClient {
  /**
   * @throws {TroupeError} `UNAVAILABLE` when there is no connection, with `facts.unconnected` when there never was one: nothing was sent,
   * and a body that waits to be asked for is untouched; `CANCELLED` upon the signal
   */
  exchange(request: HttpClientRequest): Promise<HttpClientResponse>;
  close(): Promise<void>;
}
