/** What a person sees of uploads under way: the one file, or the sum of several. */
import { basename } from "node:path";
import type { TransferProgress } from "../../client/uploader.ts";
import type { CommandContext } from "../context.ts";
import { TransferDisplay } from "../progress.ts";
import { printable } from "../table.ts";
import type { FileSource } from "./sources.ts";

export interface Shown {
  /** A file begins. */
  begin(source: FileSource): ShownFile;
  /** A line of its own, to a person. */
  line(text: string): void;
  /** What was asked for, on stdout. */
  out(text: string): void;
  end(): void;
}

export interface ShownFile {
  /** After Ctrl-C nothing moves any more: what has left has left, also of a chunk that is broken off. */
  update(progress: TransferProgress): void;
  /** A line about it. */
  say(text: string): void;
  /** Bytes that have left for it. */
  readonly sentBytes: number;
  /** @param isOver nothing more will come of it: it is stored, or has failed, and was not stopped */
  end(isOver: boolean): void;
}

const wordOf = ({ state }: TransferProgress): string | undefined => (state === "receiving" || state === "init" ? undefined : state);

export class ShownOne implements Shown {
  readonly #context: CommandContext;
  #display: TransferDisplay | undefined;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  begin({ word, path }: FileSource): ShownFile {
    const { terminal, clock, signal } = this.#context;
    const sent = new SentBytes();
    return {
      update: (progress) => {
        if (signal.aborted) return;
        sent.add(progress.doneBytes);
        this.#display ??= new TransferDisplay(terminal, clock, basename(path), progress.totalBytes);
        this.#display.update(progress.doneBytes, wordOf(progress));
      },
      say: (text) => this.line(`${printable(word)}: ${text}`),
      get sentBytes() {
        return sent.bytes;
      },
      end: () => this.end(),
    };
  }

  line(text: string): void {
    if (this.#display === undefined) this.#context.terminal.err(`${text}\n`);
    else this.#display.line(text);
  }

  out(text: string): void {
    this.#context.terminal.out(text);
  }

  end(): void {
    this.#display?.end();
    this.#display = undefined;
  }
}

export class ShownMany implements Shown {
  readonly #context: CommandContext;
  readonly #display: TransferDisplay;
  #doneBytes = 0;

  constructor(context: CommandContext) {
    this.#context = context;
    this.#display = new TransferDisplay(context.terminal, context.clock, "files", undefined);
  }

  /** All have been counted. */
  setTotal({ files, bytes }: { readonly files: number; readonly bytes: number }): void {
    this.#display.setTotal(`${files} ${files === 1 ? "file" : "files"}`, bytes);
  }

  begin({ word, sizeBytes }: FileSource): ShownFile {
    const { signal } = this.#context;
    const sent = new SentBytes();
    let shownBytes = 0;
    const move = (toBytes: number): void => {
      this.#doneBytes += toBytes - shownBytes;
      shownBytes = toBytes;
      this.#display.update(this.#doneBytes);
    };
    return {
      update: ({ doneBytes }) => {
        if (signal.aborted) return;
        const foundBytes = sent.add(doneBytes);
        this.#display.found(foundBytes);
        move(doneBytes);
      },
      say: (text) => this.line(`${printable(word)}: ${text}`),
      get sentBytes() {
        return sent.bytes;
      },
      // What did not have to be sent is done as well; what failed will not come.
      end: (isOver) => {
        if (!isOver) return;
        this.#display.found(sizeBytes - shownBytes);
        move(sizeBytes);
      },
    };
  }

  line(text: string): void {
    this.#display.line(text);
  }

  out(text: string): void {
    this.#display.clear();
    this.#context.terminal.out(text);
  }

  end(): void {
    this.#display.end();
  }
}

/** Tells bytes that leave from those that were there: the first figure is what the server had. */
class SentBytes {
  bytes = 0;
  #lastBytes: number | undefined;

  /** @returns bytes that were there already */
  add(doneBytes: number): number {
    const last = this.#lastBytes;
    this.#lastBytes = doneBytes;
    if (last === undefined) return doneBytes;
    this.bytes += doneBytes - last;
    return 0;
  }
}
