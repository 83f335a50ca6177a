/**
 * Trying again what can succeed later: the server is away, busy, full, or wants a token first. There is no last attempt: a page that is
 * left open goes on by itself when the server is back.
 *
 * A1: pauses grow to a bound and are spread, so that a server that comes back is not met by everybody at once.
 * A2: when anything reaches the server again, whoever waits because it was unreachable tries at once.
 */
import { countSignIn, Refusal, Unreachable } from "./server.ts";
import { errorText } from "./words.ts";

const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 8_000;
/** However long a server asks us to wait. */
const RETRY_AFTER_MS_MAX = 60_000;
/** Something broke on the server: perhaps once, perhaps always. */
const BROKEN_ATTEMPTS_MAX = 5;
const LATER = new Set([408, 425, 429, 502, 503, 504, 507]);

const AWAY = "Waiting for the server. It goes on by itself.";

export interface Patience {
  readonly signal: AbortSignal;
  /** Why it waits; `undefined` when it does not any more. */
  readonly onWaiting: (reason: string | undefined) => void;
}

/** @throws whatever trying again does not help against, and the signal's reason */
export async function persist<T>(work: () => Promise<T>, { signal, onWaiting }: Patience): Promise<T> {
  let isWaiting = false;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      const value = await work();
      if (isWaiting) onWaiting(undefined);
      reached();
      return value;
    } catch (error) {
      signal.throwIfAborted();
      const reason = reasonToWait(error, attempt);
      if (reason === undefined) throw error;
      isWaiting = true;
      onWaiting(reason);
      await pause(error, attempt, signal);
    }
  }
}

function reasonToWait(error: unknown, attempt: number): string | undefined {
  if (error instanceof Unreachable) return AWAY;
  if (!(error instanceof Refusal)) return undefined;
  if (error.status === 401) return errorText(error);
  if (LATER.has(error.status) || error.code === "UPLOAD_BUSY") return `${errorText(error)} It goes on by itself.`;
  return error.status === 500 && attempt < BROKEN_ATTEMPTS_MAX ? "Something broke on the server. Trying again." : undefined;
}

const sleepers = new Set<() => void>();
const signInSleepers = new Set<() => void>();

function reached(): void {
  for (const wake of [...sleepers]) wake();
}

/** Whoever waits for a token goes on. */
export function signedIn(): void {
  countSignIn();
  for (const wake of [...signInSleepers]) wake();
}

function pause(error: unknown, attempt: number, signal: AbortSignal): Promise<void> {
  const isUnauthorized = error instanceof Refusal && error.status === 401;
  // What it would wait for has been.
  if (isUnauthorized && !error.wantsToken) return Promise.resolve();
  const asked = error instanceof Refusal ? Math.min(RETRY_AFTER_MS_MAX, error.retryAfterMs ?? 0) : 0;
  const grown = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(10, attempt - 1));
  const waitMs = Math.max(asked, grown * (0.75 + Math.random() / 2));
  return new Promise((resolve, reject) => {
    const kind = isUnauthorized ? signInSleepers : sleepers;
    const end = (): void => {
      clearTimeout(timer);
      kind.delete(wake);
      window.removeEventListener("online", wake);
      signal.removeEventListener("abort", stop);
    };
    const wake = (): void => {
      end();
      resolve();
    };
    const stop = (): void => {
      end();
      reject(signal.reason);
    };
    const timer = isUnauthorized ? undefined : setTimeout(wake, waitMs);
    if (isUnauthorized || error instanceof Unreachable) kind.add(wake);
    // A2
    if (error instanceof Unreachable) window.addEventListener("online", wake);
    signal.addEventListener("abort", stop, { once: true });
  });
}
