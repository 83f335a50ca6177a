/** The terminal of this process: stdout, stderr and stdin as commands see them. */
import { once } from "node:events";
import process from "node:process";
import cliProgress from "cli-progress";
import type { ProgressBar, Terminal } from "./context.ts";

const COLUMNS_DEFAULT = 80;
const LABEL_COLUMNS_MAX = 28;
/** Percentage, sizes, rate and time left. */
const NOTE_COLUMNS = 42;
const BAR_COLUMNS_MAX = 40;

export function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  // Whoever reads our output may have enough of it (`troupe ls | head`): that is no failure of ours.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  return {
    out: (text) => void stdout.write(text),
    outBytes: async (bytes) => {
      if (!stdout.write(bytes)) await once(stdout, "drain");
    },
    err: (text) => void stderr.write(text),
    isTerminal: stderr.isTTY === true,
    columns: stderr.columns ?? COLUMNS_DEFAULT,
    input: () => stdin,
    openBar: (label, totalBytes) => openBar(stderr, label, totalBytes),
  };
}

function openBar(stream: NodeJS.WriteStream, label: string, totalBytes: number): ProgressBar {
  const shown = shorten(label, LABEL_COLUMNS_MAX);
  const bar = new cliProgress.SingleBar({
    stream,
    format: "{label} [{bar}] {percentage}% {note}",
    barsize: Math.max(5, Math.min(BAR_COLUMNS_MAX, (stream.columns ?? COLUMNS_DEFAULT) - [...shown].length - NOTE_COLUMNS)),
    barCompleteChar: "#",
    barIncompleteChar: ".",
    hideCursor: false,
    clearOnComplete: false,
    stopOnComplete: false,
    gracefulExit: false,
    autopadding: true,
  });
  bar.start(Math.max(1, totalBytes), totalBytes === 0 ? 1 : 0, { label: shown, note: "" });
  return {
    update: (doneBytes, note) => bar.update(totalBytes === 0 ? 1 : doneBytes, { label: shown, note }),
    // The bar's line is wiped for the text, and drawn again below it.
    say: (text) => void stream.write(`\r\u001b[K${text}\n`),
    clear: () => void stream.write("\r\u001b[K"),
    stop: () => bar.stop(),
  };
}

function shorten(text: string, columnsMax: number): string {
  const characters = [...text];
  if (characters.length <= columnsMax) return text;
  const half = Math.floor((columnsMax - 1) / 2);
  return `${characters.slice(0, half).join("")}…${characters.slice(-half).join("")}`;
}
