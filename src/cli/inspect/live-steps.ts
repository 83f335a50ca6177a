/**
 * An upload's steps as lines while they happen. A run of steps goes on for a while and is told again and again: it is a line when it is over,
 * or has been quiet for as long as a run lasts.
 *
 * L1: each step is in one line only. A machine that is started anew counts its steps from the first again.
 */
import type { InspectionEvent, UploadInspection } from "../../client/inspection-answers.ts";
import type { LoggedStep } from "../../core/inspection.ts";
import { STEP_RUN_MS } from "../../core/limits.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import { stepLine } from "./step-line.ts";

export class LiveSteps {
  readonly #clock: Clock;
  readonly #out: (line: string) => void;
  #openedMs: number | undefined;
  /** The number of the newest step that is in a line. */
  #told: number;
  #held: LoggedStep | undefined;
  #timer: Timer | undefined;

  /** @param known its steps are told already */
  constructor(clock: Clock, { machine }: UploadInspection, out: (line: string) => void) {
    this.#clock = clock;
    this.#openedMs = machine?.openedMs;
    this.#told = machine?.steps.at(-1)?.last ?? 0;
    this.#out = out;
  }

  take(event: InspectionEvent): void {
    const machine = event.kind === "steps" ? event.steps : event.inspection.machine;
    if (machine === undefined) return;
    if (machine.openedMs !== this.#openedMs) {
      this.flush();
      this.#openedMs = machine.openedMs;
      this.#told = 0;
    }
    for (const step of machine.steps) {
      // L1
      if (step.last <= this.#told) continue;
      if (this.#held !== undefined && this.#held.first < step.first) this.flush();
      this.#held = step;
    }
    if (this.#held === undefined) return;
    if (this.#held.from !== this.#held.to) return this.flush();
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(STEP_RUN_MS, () => this.flush());
  }

  /** What is held is said now. */
  flush(): void {
    this.#timer?.cancel();
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    this.#told = held.last;
    this.#out(stepLine(held));
  }
}
