/**
 * Node holds on to a signal made of others (`AbortSignal.any`) for as long as somebody listens to it. In a world that somebody may be dead and
 * never stop listening, and by what it listens with it holds on to all of its world. So a run that is over takes these listeners away.
 */
import { getEventListeners } from "node:events";

export class CompositeSignals {
  readonly #any = AbortSignal.any;
  readonly #signals: WeakRef<AbortSignal>[] = [];

  /** From now on those that are made are kept in mind. */
  constructor() {
    AbortSignal.any = (signals) => {
      const signal = this.#any.call(AbortSignal, signals);
      this.#signals.push(new WeakRef(signal));
      return signal;
    };
  }

  /** Nobody listens to them any more. */
  release(): void {
    AbortSignal.any = this.#any;
    for (const kept of this.#signals) {
      const signal = kept.deref();
      if (signal === undefined) continue;
      // The types of `events` know listeners as functions of any kind; these were all added to a signal.
      for (const listener of getEventListeners(signal, "abort")) signal.removeEventListener("abort", listener as () => void);
    }
    this.#signals.length = 0;
  }
}
