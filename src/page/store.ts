/** A value that views watch; several changes at once are told once. */
import { useLayoutEffect, useState } from "preact/hooks";

export class Watched {
  readonly #watchers = new Set<() => void>();
  readonly #delayMs: number;
  #isDue = false;

  /** @param delayMs what changes all the time is told at most so often */
  constructor(delayMs = 0) {
    this.#delayMs = delayMs;
  }

  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    // Not requestAnimationFrame: a page in the background still has to say in its title how far it is.
    setTimeout(() => {
      this.#isDue = false;
      for (const watcher of [...this.#watchers]) watcher();
    }, this.#delayMs);
  }
}

/** Draws the view that calls it again whenever one of these says that it has changed. */
export function useWatched(...watched: readonly Watched[]): void {
  const [, setCount] = useState(0);
  // In the same turn as the drawing: an effect that comes later misses what changes between the two, which may be the last change.
  useLayoutEffect(() => {
    const stops = watched.map((one) => one.watch(() => setCount((count) => count + 1)));
    return () => {
      for (const stop of stops) stop();
    };
  }, watched);
}
