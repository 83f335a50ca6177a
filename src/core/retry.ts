/** Doing something again after a retryable error, with growing, jittered pauses on the Clock port. */
import { isRetryable } from "./errors.ts";
import { type Clock, sleep } from "./ports/clock.ts";
import type { Random } from "./ports/random.ts";

export interface RetryPolicy {
  readonly attemptsMax: number;
  readonly pauseMinMs: number;
  readonly pauseMaxMs: number;
}

/** The pause before attempt `attempt` (2 for the second): doubled each time, half of it random. */
export function pauseMs(policy: RetryPolicy, attempt: number, random: Random): number {
  const full = pauseFullMs(policy, attempt);
  return full / 2 + (random.integer(1000) / 1000) * (full / 2);
}

/** What that pause is on average. */
export function pauseUsualMs(policy: RetryPolicy, attempt: number): number {
  return 0.75 * pauseFullMs(policy, attempt);
}

function pauseFullMs(policy: RetryPolicy, attempt: number): number {
  return Math.min(policy.pauseMaxMs, policy.pauseMinMs * 2 ** Math.min(30, attempt - 2));
}

/**
 * @param again which errors are worth another attempt; retryable ones unless given
 * @throws the last error
 */
export async function withRetry<T>(
  policy: RetryPolicy,
  ports: { readonly clock: Clock; readonly random: Random },
  work: (attempt: number) => Promise<T>,
  again: (error: unknown) => boolean = isRetryable,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= policy.attemptsMax || !again(error) || signal?.aborted) throw error;
      await sleep(ports.clock, pauseMs(policy, attempt + 1, ports.random), signal);
    }
  }
}
