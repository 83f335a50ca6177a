/** For tests that know nothing of events: while somebody waits for something in a world, its time goes on. */
import type { World } from "./world.ts";

const STEP_MS = 1_000;

export class PassingTime {
  readonly #world: World;
  #waiting = 0;
  #isRunning = false;

  constructor(world: World) {
    this.#world = world;
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    this.#waiting += 1;
    try {
      void this.#run();
      return await promise;
    } finally {
      this.#waiting -= 1;
    }
  }

  async pass(durationMs: number): Promise<void> {
    await this.until(new Promise<void>((resolve) => void this.#world.scheduler.after(durationMs, "time passed", resolve)));
  }

  /** The same thing, whose methods let time pass until what they promise has come. */
  around<T extends object>(thing: T): T {
    return new Proxy(thing, {
      get: (target, key) => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return (...parameters: unknown[]): unknown => {
          const result: unknown = member.apply(target, parameters);
          return result instanceof Promise ? this.until(result) : result;
        };
      },
    });
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#waiting > 0) await this.#world.scheduler.runUntil(this.#world.nowMs + STEP_MS, () => this.#waiting === 0);
    this.#isRunning = false;
  }
}
