/** How far a long run is: one line that is written over on a terminal, and now and then a line elsewhere. */
import { performance } from "node:perf_hooks";
import process from "node:process";

const TERMINAL_EVERY_MS = 200;
const ELSEWHERE_EVERY_MS = 10_000;

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #toldMs = 0;
  #width = 0;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** @param text made only when it is shown */
  show(text: () => string): void {
    const nowMs = performance.now();
    const { isTTY } = this.#stream;
    if (nowMs - this.#toldMs < (isTTY ? TERMINAL_EVERY_MS : ELSEWHERE_EVERY_MS)) return;
    this.#toldMs = nowMs;
    const line = text();
    if (!isTTY) return void this.#stream.write(`${line}\n`);
    // A line longer than the terminal would not be written over.
    const shown = line.slice(0, Math.max(20, this.#stream.columns - 1));
    this.#stream.write(`\r${shown.padEnd(this.#width)}`);
    this.#width = shown.length;
  }

  /** Makes room for what stays. */
  clear(): void {
    if (this.#width > 0) this.#stream.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }
}
