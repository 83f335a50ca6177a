/** What sessions went through that have ended on this node, for whoever wants to know why: the newest, for a time. In memory only. */
import { ENDED_LOGS_KEPT } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { InspectedSession } from "../upload/ports.ts";

export class EndedLogs {
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #keptMs: number;
  /** By the time they ended. */
  readonly #logs = new Map<string, { readonly inspection: InspectedSession; readonly endedMs: number }>();

  /** @param keptMs 0: none is kept */
  constructor(clock: Pick<Clock, "nowMs">, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  keep(uploadId: string, inspection: InspectedSession): void {
    if (this.#keptMs === 0) return;
    this.#logs.delete(uploadId);
    this.#logs.set(uploadId, { inspection, endedMs: this.#clock.nowMs() });
    this.#forget();
  }

  find(uploadId: string): InspectedSession | undefined {
    this.#forget();
    return this.#logs.get(uploadId)?.inspection;
  }

  #forget(): void {
    const sinceMs = this.#clock.nowMs() - this.#keptMs;
    for (const [uploadId, { endedMs }] of this.#logs) {
      if (this.#logs.size <= ENDED_LOGS_KEPT && endedMs > sinceMs) return;
      this.#logs.delete(uploadId);
    }
  }
}
