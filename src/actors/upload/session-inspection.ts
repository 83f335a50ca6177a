/**
 * What can be seen of a session from outside: its log of steps, and the effects that are under way.
 *
 * I1: it goes on being told after the session has ended, as it was then: nothing of the session itself is kept for it.
 */
import type { MachineFeed, MachineInspection } from "../../core/inspection.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { initialSnapshot, pathOf, type SessionStep } from "./machine.ts";
import type { InspectedSession } from "./ports.ts";
import { StepLog } from "./step-log.ts";

/** Work that was begun and has not come back. */
interface RunningEffects {
  list(): readonly { readonly name: string; readonly sinceMs: number }[];
}

export class SessionInspection implements InspectedSession {
  readonly #clock: Pick<Clock, "nowMs" | "wallMs">;
  readonly #openedMs: number;
  readonly #log: StepLog;
  #effects: RunningEffects;
  #endedMs: number | undefined;

  constructor(clock: Pick<Clock, "nowMs" | "wallMs">, effects: RunningEffects) {
    this.#clock = clock;
    this.#effects = effects;
    this.#openedMs = clock.wallMs();
    const first = initialSnapshot();
    this.#log = new StepLog(clock, { state: pathOf(first), context: first.context });
  }

  stepped(step: SessionStep): void {
    this.#log.add(step);
  }

  /** I1 */
  end(): void {
    this.#endedMs ??= this.#clock.wallMs();
    this.#effects = NO_EFFECTS;
    this.#log.close();
  }

  /** The number of the newest step. */
  get steps(): number {
    return this.#log.steps;
  }

  told(): MachineInspection {
    const { state, sinceMs, context, isCut } = this.#log;
    return {
      state,
      sinceMs,
      context: { ...context },
      openedMs: this.#openedMs,
      ...(this.#endedMs === undefined ? {} : { endedMs: this.#endedMs }),
      visits: this.#log.visits(),
      transitions: this.#log.transitions(),
      steps: this.#log.told(),
      isCut,
      effects: [...this.#effects.list()],
    };
  }

  /** @param after steps of a higher number */
  news(uploadId: string, after: number): MachineFeed {
    const { state, sinceMs, context } = this.#log;
    const effects = [...this.#effects.list()];
    return {
      uploadId,
      atMs: this.#clock.wallMs(),
      state,
      sinceMs,
      openedMs: this.#openedMs,
      context: { ...context },
      effects,
      steps: this.#log.told(after),
    };
  }
}

const NO_EFFECTS: RunningEffects = { list: () => [] };
