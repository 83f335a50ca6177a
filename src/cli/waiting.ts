/** Says why a transfer does not go on and that it is tried again: each reason once, whichever of several connections meets it. */
import { approximateDuration } from "../config/duration.ts";
import { TroupeError } from "../core/errors.ts";
import type { Clock } from "../core/ports/clock.ts";
import { printable } from "./table.ts";

/** Longer than anything is waited for without a break, so that an outage is told once and the next one again. */
const TOLD_FOR_MS = 180_000;
/** A shorter wait is over before its length has been read. */
const LENGTH_TOLD_FROM_MS = 5_000;

export class Waiting {
  readonly #clock: Clock;
  readonly #say: (text: string) => void;
  readonly #toldMs = new Map<string, number>();

  /** @param say to a person, one line */
  constructor(clock: Clock, say: (text: string) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  /**
   * What failed and may pass.
   * @param leftMs about how long it is tried again; 0 when that is not known
   */
  tell(error: unknown, leftMs: number): void {
    if (!(error instanceof TroupeError)) return;
    const { code, detail, facts } = error;
    // Not by its words: they may name a time or a port that differs with every attempt.
    const reason = facts["unreachable"] === true ? "unreachable" : `${code} ${String(facts["nodeId"] ?? "")}`;
    const nowMs = this.#clock.nowMs();
    const toldMs = this.#toldMs.get(reason);
    if (toldMs !== undefined && nowMs - toldMs < TOLD_FOR_MS) return;
    this.#toldMs.set(reason, nowMs);
    const length = leftMs < LENGTH_TOLD_FROM_MS ? "" : ` for about ${approximateDuration(leftMs)}`;
    this.#say(`${printable(detail)}${/[.!?]$/.test(detail) ? "" : "."} Trying again${length}.`);
  }
}
