/** For tests that know nothing of events: while somebody waits for something in a world, its time goes on; or it does so by itself. */
import type { World } from "./world.ts";

const STEP_MS = 1_000;
/** Of time that goes on by itself: a test may wait for what is not of the world, and none of it has to be late because of that. */
const FLOWING_STEP_MS = 0.5;

export class PassingTime {
  readonly #world: World;
  #waiting = 0;
  #isFlowing = false;
  #running: Promise<void> | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** Goes on by itself from now on, as over real sockets. @returns what makes it stand still */
  flow(): () => Promise<void> {
    this.#isFlowing = true;
    this.#run();
    return async () => {
      this.#isFlowing = false;
      await this.#running;
    };
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    this.#waiting += 1;
    try {
      this.#run();
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

  #run(): void {
    this.#running ??= this.#goOn().finally(() => {
      this.#running = undefined;
    });
  }

  async #goOn(): Promise<void> {
    const { scheduler } = this.#world;
    for (;;) {
      if (this.#waiting > 0) await scheduler.runUntil(scheduler.nowMs + STEP_MS, () => this.#waiting === 0);
      else if (this.#isFlowing) await scheduler.runUntil(scheduler.nowMs + FLOWING_STEP_MS);
      else return;
    }
  }
}
