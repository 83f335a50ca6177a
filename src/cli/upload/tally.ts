/** What has come of several files so far, and in one line at the end. */
import { approximateDuration } from "../../config/duration.ts";
import { approximateSize } from "../../config/size.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";

export class Tally {
  uploaded = 0;
  /** Files the server had under their names, with the same content. */
  there = 0;
  skipped = 0;
  emptyFolders = 0;
  failed = 0;
  /** Begun, and stopped by Ctrl-C or by what every file would meet. */
  stopped = 0;
  sentBytes = 0;
  /** Of the first that failed or was stopped. */
  exitCode: ExitCode = EXIT.done;

  fail(exitCode: ExitCode): void {
    this.failed += 1;
    this.#endWith(exitCode);
  }

  stop(exitCode: ExitCode): void {
    this.stopped += 1;
    this.#endWith(exitCode);
  }

  #endWith(exitCode: ExitCode): void {
    if (this.exitCode === EXIT.done) this.exitCode = exitCode;
  }

  sentence(elapsedMs: number): string {
    const { uploaded, there, skipped, emptyFolders, failed, stopped } = this;
    const parts = [`${files(uploaded)} uploaded, ${approximateSize(this.sentBytes)} sent in ${approximateDuration(elapsedMs)}`];
    if (there > 0) parts.push(`${there} already there`);
    if (skipped > 0) parts.push(`${skipped} skipped`);
    if (emptyFolders > 0) parts.push(`${emptyFolders} empty ${emptyFolders === 1 ? "folder" : "folders"} left out`);
    if (failed > 0) parts.push(`${failed} failed`);
    if (stopped > 0) parts.push(`${stopped} stopped`);
    return `${parts.join("; ")}.`;
  }

  json(elapsedMs: number): string {
    const { uploaded, there, skipped, emptyFolders, failed, stopped, sentBytes } = this;
    const summary = { uploaded, there, skipped, emptyFolders, failed, stopped, sentBytes, elapsedMs: Math.round(elapsedMs) };
    return JSON.stringify({ summary });
  }
}

export const files = (count: number): string => `${count} ${count === 1 ? "file" : "files"}`;
