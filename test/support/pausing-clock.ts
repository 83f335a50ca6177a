import { DATABASE_PAUSE_MS_MAX } from "../../src/core/limits.ts";
import type { Timer } from "../../src/core/ports/clock.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Time stands still but for the pauses between attempts, so that none of it passes while a real server answers. */
export class PausingClock extends VirtualClock {
  /** Before it not even they pass. */
  begins: Promise<void> = Promise.resolve();
  #passed: Promise<void> = Promise.resolve();

  override setTimer(delayMs: number, callback: () => void): Timer {
    const timer = super.setTimer(delayMs, callback);
    if (delayMs <= DATABASE_PAUSE_MS_MAX) this.#passed = this.#pass(this.#passed, delayMs);
    return timer;
  }

  async #pass(before: Promise<void>, delayMs: number): Promise<void> {
    await Promise.all([before, this.begins]);
    await this.advance(delayMs);
  }
}
