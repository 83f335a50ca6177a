/** A load that a test sets: whether the process has descriptors left. */
import { LOAD_CALM_MS, LOAD_CHECK_MS, OVERLOAD_STALL_MS_DEFAULT } from "../../src/core/limits.ts";
import { LoadWatch } from "../../src/core/load-watch.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { VirtualClock } from "./virtual-clock.ts";

const OPEN_MAX = 1_000;

export class TestLoad {
  readonly #clock = new VirtualClock();
  #openCount = 0;
  readonly watch = new LoadWatch(
    {
      clock: this.#clock,
      log: SILENT_LOG,
      descriptors: { counts: () => ({ openCount: this.#openCount, openMax: OPEN_MAX }) },
    },
    OVERLOAD_STALL_MS_DEFAULT,
  );

  constructor() {
    this.watch.start();
  }

  async begin(): Promise<void> {
    this.#openCount = OPEN_MAX;
    await this.#clock.advance(LOAD_CALM_MS);
  }

  async end(): Promise<void> {
    this.#openCount = 0;
    await this.#clock.advance(LOAD_CALM_MS + 2 * LOAD_CHECK_MS);
  }
}
