import { VirtualClock } from "./virtual-clock.ts";

/** Time goes on while nobody has a turn: timers that fall due meanwhile run late. */
export class StallingClock extends VirtualClock {
  #stalledMs = 0;

  override nowMs(): number {
    return super.nowMs() + this.#stalledMs;
  }

  stall(byMs: number): void {
    this.#stalledMs += byMs;
  }
}
