/**
 * Shows how far a transfer is: a bar with rate and time left on a terminal, elsewhere a line every few seconds. Always on stderr.
 */
import { approximateDuration } from "../config/duration.ts";
import { approximateSize } from "../config/size.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { ProgressBar, Terminal } from "./context.ts";
import { printable } from "./table.ts";

const LINE_EVERY_MS = 5_000;
const SAMPLE_EVERY_MS = 250;
/** The rate shown is that of the last samples: about ten seconds. */
const SAMPLES_MAX = 40;

export class TransferDisplay {
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  #label: string;
  /** `undefined` for a stream whose end nobody knows, and while files are still being counted. */
  #totalBytes: number | undefined;
  #bar: ProgressBar | undefined;
  readonly #samples: { readonly atMs: number; doneBytes: number }[] = [];
  #shownMs: number;

  constructor(terminal: Terminal, clock: Clock, label: string, totalBytes: number | undefined) {
    this.#terminal = terminal;
    this.#clock = clock;
    this.#label = printable(label);
    this.#totalBytes = totalBytes;
    this.#shownMs = clock.nowMs();
    this.#bar = terminal.isTerminal && totalBytes !== undefined ? terminal.openBar(this.#label, totalBytes) : undefined;
  }

  /** The end is known now. Once, where it was not known at the beginning. */
  setTotal(label: string, totalBytes: number): void {
    this.#label = printable(label);
    this.#totalBytes = totalBytes;
    if (this.#terminal.isTerminal) this.#bar = this.#terminal.openBar(this.#label, totalBytes);
  }

  /** So many bytes are done without having moved: they are no part of the rate. */
  found(bytes: number): void {
    for (const sample of this.#samples) sample.doneBytes += bytes;
  }

  /** @param state what goes on besides the transfer, in a word */
  update(doneBytes: number, state?: string): void {
    const nowMs = this.#clock.nowMs();
    const last = this.#samples.at(-1);
    if (last === undefined || nowMs - last.atMs >= SAMPLE_EVERY_MS) {
      this.#samples.push({ atMs: nowMs, doneBytes });
      if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
    }
    if (this.#bar !== undefined) {
      this.#bar.update(doneBytes, this.#note(doneBytes, state));
    } else if (nowMs - this.#shownMs >= LINE_EVERY_MS) {
      this.#shownMs = nowMs;
      this.#terminal.err(`${this.#label}: ${this.#amount(doneBytes)}${this.#note(doneBytes, state)}\n`);
    }
  }

  /** A line of its own, about what is shown. */
  say(text: string): void {
    this.line(`${this.#label}: ${text}`);
  }

  /** A line of its own. */
  line(text: string): void {
    if (this.#bar === undefined) this.#terminal.err(`${text}\n`);
    else this.#bar.say(text);
  }

  /** Somebody else writes to the terminal now. */
  clear(): void {
    this.#bar?.clear();
  }

  end(): void {
    this.#bar?.stop();
  }

  #amount(doneBytes: number): string {
    const total = this.#totalBytes;
    if (total === undefined) return `${approximateSize(doneBytes)}, `;
    return `${approximateSize(doneBytes)} of ${approximateSize(total)} (${total === 0 ? 100 : Math.floor((100 * doneBytes) / total)} %), `;
  }

  #note(doneBytes: number, state: string | undefined): string {
    if (state !== undefined) return state;
    const first = this.#samples[0];
    const elapsedMs = first === undefined ? 0 : this.#clock.nowMs() - first.atMs;
    // Too soon for a rate that means anything.
    if (first === undefined || elapsedMs < SAMPLE_EVERY_MS) return "starting";
    const bytesPerMs = Math.max(0, doneBytes - first.doneBytes) / elapsedMs;
    if (bytesPerMs === 0) return "waiting";
    const rate = `${approximateSize(bytesPerMs * 1000)}/s`;
    if (this.#totalBytes === undefined) return rate;
    return `${rate}, ${approximateDuration((this.#totalBytes - doneBytes) / bytesPerMs)} left`;
  }
}
