/**
 * Chunks on their way, of all uploads together. A browser opens six connections to a server; four are for chunks, so that listing and
 * playing never wait behind an upload.
 */

export const LANES = 4;

let free = LANES;
const waiting: (() => void)[] = [];

/** Runs the work when a lane is free; rejects without having begun it when the signal is aborted before. */
export async function inLane<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  await enter(signal);
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }
}

function enter(signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (free > 0) {
    free -= 1;
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const begin = (): void => {
      signal.removeEventListener("abort", leave);
      resolve();
    };
    const leave = (): void => {
      waiting.splice(waiting.indexOf(begin), 1);
      reject(signal.reason);
    };
    waiting.push(begin);
    signal.addEventListener("abort", leave, { once: true });
  });
}
