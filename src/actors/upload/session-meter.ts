/** What one upload adds to the metrics of its node as its machine goes on; counted anew after a restart. */
import { SILENT_METRICS } from "../../core/ports/metrics.ts";
import { isEnded, type UploadState } from "../../core/shapes.ts";
import type { SessionPorts } from "./ports.ts";

const MEASURED = ["receiving", "verifying", "replicating", "committing"] as const;
const MERGE: readonly UploadState[] = ["verifying", "replicating", "committing"];

export class SessionMeter {
  readonly #ports: Pick<SessionPorts, "clock" | "metrics">;
  #sinceMs: number;
  /** Since when it is being merged. */
  #mergeMs: number | undefined;

  constructor(ports: Pick<SessionPorts, "clock" | "metrics">) {
    this.#ports = ports;
    this.#sinceMs = ports.clock.nowMs();
  }

  entered(state: UploadState, before: UploadState): void {
    const nowMs = this.#ports.clock.nowMs();
    const { metrics = SILENT_METRICS } = this.#ports;
    const left = MEASURED.find((measured) => measured === before);
    if (left !== undefined) metrics.histogram("troupe_upload_state_seconds", { state: left }).observe((nowMs - this.#sinceMs) / 1_000);
    this.#sinceMs = nowMs;
    if (MERGE.includes(state)) {
      this.#mergeMs ??= nowMs;
      return;
    }
    if (state === "merged" && this.#mergeMs !== undefined)
      metrics.histogram("troupe_merge_seconds", {}).observe((nowMs - this.#mergeMs) / 1_000);
    this.#mergeMs = undefined;
    if (isEnded(state)) metrics.counter("troupe_uploads_ended_total", { state }).add();
  }
}
