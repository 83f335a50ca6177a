/**
 * A terminal to which no text from elsewhere gives commands.
 *
 * H1: of all control characters only line breaks and tabs are written; any other one stands there as JSON writes it, `\u001b`. So JSON stays
 *     what it was. That is the last line: where a line break would forge a line, texts go through `printable` as well.
 */
import type { Terminal } from "./context.ts";

const COMMANDING = /[^\P{Cc}\n\t]|[\p{Zl}\p{Zp}]/gu;

export function harmless(text: string): string {
  return text.replace(COMMANDING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Bytes that are asked for as they are, by `outBytes`, stay as they are. */
export function harmlessTerminal(terminal: Terminal): Terminal {
  return {
    isTerminal: terminal.isTerminal,
    columns: terminal.columns,
    out: (text) => terminal.out(harmless(text)),
    outBytes: (bytes) => terminal.outBytes(bytes),
    err: (text) => terminal.err(harmless(text)),
    input: () => terminal.input(),
    openBar: (label, totalBytes) => {
      const bar = terminal.openBar(harmless(label), totalBytes);
      return {
        update: (doneBytes, note) => bar.update(doneBytes, harmless(note)),
        say: (text) => bar.say(harmless(text)),
        clear: () => bar.clear(),
        stop: () => bar.stop(),
      };
    },
  };
}
