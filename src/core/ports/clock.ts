/** The Clock port: the only source of time. Monotonic time for durations, leases and timers; wall time only to be shown or stored. */

export interface Timer {
  /** The callback will not run any more. Cancelling twice is harmless. */
  cancel(): void;
}

export interface Clock {
  /** Milliseconds on a monotonic scale with an arbitrary zero; differences mean something, values do not. */
  nowMs(): number;
  /** Milliseconds since 1970 as the operating system tells them; may jump. */
  wallMs(): number;
  /** Runs `callback` once, `delayMs` from now. A timer does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** Resolves after `delayMs`; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
