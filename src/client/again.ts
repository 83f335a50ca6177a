/** Doing an exchange again after a failure that may pass: like `withRetry` of the core, and waits as long as the server asked for. */
import { isRetryable, TroupeError } from "../core/errors.ts";
import { type Clock, sleep } from "../core/ports/clock.ts";
import type { Random } from "../core/ports/random.ts";
import { pauseMs, pauseUsualMs, type RetryPolicy } from "../core/retry.ts";
import { lastError } from "../core/shapes.ts";

export interface AgainPorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Told of each failure that is waited out, before the pause; and about how long it is tried again if it goes on like this. */
  readonly onPause?: ((error: unknown, leftMs: number) => void) | undefined;
}

/** Something is being moved: a restart of the server, or a minute without a network, is waited out. */
export const MOVING_POLICY: RetryPolicy = { attemptsMax: 10, pauseMinMs: 250, pauseMaxMs: 15_000 };
/** Nothing has been done yet: say soon that nobody is there. */
export const STARTING_POLICY: RetryPolicy = { attemptsMax: 3, pauseMinMs: 250, pauseMaxMs: 1_000 };

/** Rejects with the error when it will not pass, the attempts are used up, or the caller has given up; otherwise waits. */
export async function pauseOrGiveUp(
  error: unknown,
  policy: RetryPolicy,
  attempt: number,
  ports: AgainPorts,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted || !isRetryable(error) || hasFailedForGood(error) || attempt >= policy.attemptsMax) throw error;
  const wanted = error instanceof TroupeError ? error.facts["retryAfterMs"] : undefined;
  const wantedMs = typeof wanted === "number" ? wanted : 0;
  let leftMs = 0;
  for (let next = attempt + 1; next <= policy.attemptsMax; next += 1) leftMs += Math.max(pauseUsualMs(policy, next), wantedMs);
  ports.onPause?.(error, leftMs);
  await sleepUnlessAborted(ports.clock, Math.max(pauseMs(policy, attempt + 1, ports.random), wantedMs), signal);
}

/** An error that may pass in general, and has ended this upload. */
function hasFailedForGood(error: unknown): boolean {
  return error instanceof TroupeError && lastError.safeParse(error.facts["lastError"]).data?.retryable === false;
}

export async function again<T>(
  policy: RetryPolicy,
  ports: AgainPorts,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      await pauseOrGiveUp(error, policy, attempt, ports, signal);
    }
  }
}

/** @throws {TroupeError} `CANCELLED` */
export async function sleepUnlessAborted(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(clock, delayMs, signal);
  } catch (error) {
    throw new TroupeError("CANCELLED", undefined, { cause: error });
  }
}

/** @throws {TroupeError} `CANCELLED` */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TroupeError("CANCELLED", undefined, { cause: signal.reason });
}
