/** Reading from a source that may stay silent, without waiting for it longer than a signal allows. */

/** The same values; when the signal is aborted, throws its reason at once and lets the source go. */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  const iterator = source[Symbol.asyncIterator]();
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  // Its rejection is seen through the race; with no race under way it must not count as unhandled.
  aborted.catch(() => undefined);
  let isDone = false;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done) {
        isDone = true;
        return;
      }
      yield next.value;
    }
  } finally {
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    // Not awaited: a source that is silent may not answer this either.
    if (!isDone) void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
