/**
 * Asking the server. Every request says that the page makes it, so that a missing token is answered with words and not with the
 * browser's own dialog; who one is stands in a cookie that scripts cannot read.
 *
 * S1: an answer that is not a success is a {@link Refusal} with the server's code; no answer at all is {@link Unreachable}.
 * S2: that a token is missing says nothing of whoever has signed in since that was asked.
 */

const ANSWER_MS_MAX = 30_000;
/** A chunk of which nothing moves for so long is sent again. */
const SILENCE_MS_MAX = 60_000;
const HEADERS = { "X-Requested-With": "troupe" };

/** The server said no, and why. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  /** How long the server asks one to wait; absent when it says nothing. */
  readonly retryAfterMs: number | undefined;
  readonly #signInCount: number;

  /** @param signInCountThen how often somebody had signed in when it was asked */
  constructor(status: number, text: string, retryAfter: string | null, signInCountThen: number) {
    const problem = problemOf(text);
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
    const seconds = Number(retryAfter);
    this.retryAfterMs = retryAfter !== null && Number.isFinite(seconds) ? seconds * 1000 : undefined;
    this.#signInCount = signInCountThen;
  }

  /** The server wants a token of whoever it is now (S2). */
  get wantsToken(): boolean {
    return this.status === 401 && this.#signInCount === signInCount;
  }
}

/** There was no answer: the server or the way to it is away. */
export class Unreachable extends Error {}

export interface Answer<T> {
  readonly status: number;
  readonly value: T;
}

export interface Asking {
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** How often somebody has signed in here. */
let signInCount = 0;
export function countSignIn(): void {
  signInCount += 1;
}

/** Called when the server does not know any more who we are. */
let onSignedOut: () => void = () => undefined;
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/**
 * @param path from the root of this server
 * @throws {Refusal}
 * @throws {Unreachable}
 * @throws the signal's reason, when it is aborted
 */
export async function ask<T>(method: string, path: string, asking: Asking = {}): Promise<Answer<T>> {
  const response = await answered(method, path, asking);
  const text = await received(() => response.text(), asking.signal);
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
  return { status: response.status, value: (isJson ? JSON.parse(text) : text) as T };
}

/** The beginning of a stored file as text, at most `bytesMax` of it. */
export async function beginningOf(path: string, bytesMax: number, signal: AbortSignal): Promise<string> {
  const response = await answered("GET", path, { headers: { range: `bytes=0-${bytesMax - 1}` }, signal });
  return await received(() => response.text(), signal);
}

async function answered(method: string, path: string, { json, headers, signal }: Asking): Promise<Response> {
  const patience = AbortSignal.timeout(ANSWER_MS_MAX);
  const request: RequestInit = {
    method,
    headers: { ...HEADERS, ...(json === undefined ? {} : { "content-type": "application/json" }), ...headers },
    signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  };
  const signInCountThen = signInCount;
  const response = await received(() => fetch(path, request), signal);
  if (response.ok) return response;
  const text = await received(() => response.text(), signal);
  throw refused(new Refusal(response.status, text, response.headers.get("retry-after"), signInCountThen));
}

/** Whatever ends without an answer is the server being away, unless we hung up ourselves. */
async function received<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal?.throwIfAborted();
    throw new Unreachable("The server does not answer.", { cause: error });
  }
}

export interface SentBytes {
  readonly bytes: Blob;
  readonly headers?: Readonly<Record<string, string>>;
  /** How many of the bytes have left, again and again. */
  readonly onSent: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Sends bytes; resolves with the text of the answer. `fetch` does not tell how much of a body has gone, so this is the older way. The
 * type is the blob's own, if it has one.
 * @throws {Refusal}
 * @throws {Unreachable}
 * @throws the signal's reason, when it is aborted
 */
export function sendBytes(method: string, path: string, { bytes, headers, onSent, signal }: SentBytes): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    const signInCountThen = signInCount;
    let silence = 0;
    const wait = (): void => {
      clearTimeout(silence);
      silence = window.setTimeout(() => request.abort(), SILENCE_MS_MAX);
    };
    const hangUp = (): void => request.abort();
    const settle = (): void => {
      clearTimeout(silence);
      signal.removeEventListener("abort", hangUp);
    };
    request.upload.onprogress = ({ loaded }) => {
      wait();
      onSent(loaded);
    };
    request.onload = () => {
      settle();
      if (request.status >= 200 && request.status < 300) resolve(request.responseText);
      else reject(refused(new Refusal(request.status, request.responseText, request.getResponseHeader("retry-after"), signInCountThen)));
    };
    request.onerror = request.onabort = () => {
      settle();
      reject(signal.aborted ? signal.reason : new Unreachable("The server does not answer."));
    };
    signal.addEventListener("abort", hangUp, { once: true });
    request.open(method, path);
    for (const [name, value] of Object.entries({ ...HEADERS, ...headers })) request.setRequestHeader(name, value);
    wait();
    request.send(bytes);
  });
}

function refused(refusal: Refusal): Refusal {
  if (refusal.wantsToken) onSignedOut();
  return refusal;
}

/** A proxy in between may answer with anything. */
function problemOf(text: string): { readonly code?: string; readonly detail?: string; readonly title?: string } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}
