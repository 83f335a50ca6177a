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

/** What was begun and has not come back. */
interface UnderWay {
  effects(): MachineInspection["effects"];
  bodies(): MachineInspection["bodies"];
}

export class SessionInspection implements InspectedSession {
  readonly #clock: Pick<Clock, "nowMs" | "wallMs">;
  readonly #openedMs: number;
  readonly #log: StepLog;
  #underWay: UnderWay;
  #endedMs: number | undefined;

  constructor(clock: Pick<Clock, "nowMs" | "wallMs">, underWay: UnderWay) {
    this.#clock = clock;
    this.#underWay = underWay;
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
    this.#underWay = NOTHING;
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
      effects: this.#underWay.effects(),
      bodies: this.#underWay.bodies(),
    };
  }

  /** @param after steps of a higher number */
  news(uploadId: string, after: number): MachineFeed {
    const { state, sinceMs, context } = this.#log;
    return {
      uploadId,
      atMs: this.#clock.wallMs(),
      state,
      sinceMs,
      openedMs: this.#openedMs,
      context: { ...context },
      effects: this.#underWay.effects(),
      bodies: this.#underWay.bodies(),
      steps: this.#log.told(after),
    };
  }
}

const NOTHING: UnderWay = { effects: () => [], bodies: () => [] };
