/** A world whose time goes on by itself while a test waits, as it does over real sockets. */
import { World } from "../world.ts";

export class FlowingWorld {
  readonly world: World;
  #untilMs = 0;
  #isClosed = false;
  readonly #flowing: Promise<void>;

  constructor(seed = 1) {
    this.world = new World(seed);
    this.#flowing = this.#flow();
  }

  async advance(byMs: number): Promise<void> {
    const untilMs = this.world.nowMs + byMs;
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    while (this.world.nowMs < untilMs) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Time stands still from now on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#flowing;
  }

  async #flow(): Promise<void> {
    while (!this.#isClosed) await this.world.scheduler.runUntil(Math.max(this.world.nowMs + 0.5, this.#untilMs));
  }
}
