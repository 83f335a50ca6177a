/**
 * The `troupe` command: adapters for one run, and its exit code.
 *
 * Ctrl-C asks the command to stop, so that it can say how to go on; a second one ends it at once.
 */
import { readFileSync } from "node:fs";
import { runCommandLine } from "../cli/program.ts";
import { processTerminal } from "../cli/terminal.ts";
import { NodeHttpClient } from "../gateway/node-http-client.ts";
import { BlakeHasher } from "../store/blake-hasher.ts";
import { NodeDisk } from "../store/node-disk.ts";
import { SystemClock } from "../store/system-clock.ts";
import { SystemRandom } from "../store/system-random.ts";
import { openActors } from "./actors.ts";
import { onStopSignals } from "./signals.ts";
import { thisMachine } from "./this-machine.ts";

/** As any program that saves a file: the umask decides. */
const DOWNLOADED_FILE_MODE = 0o666;
const HOUR_MS = 3_600_000;
/** As a shell tells it of a program that Ctrl-C ended. */
const EXIT_INTERRUPTED = 130;

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
const interruption = new AbortController();
onStopSignals(
  ["SIGINT", "SIGTERM"],
  () => interruption.abort(),
  () => process.exit(EXIT_INTERRUPTED),
);
// Timers of the Clock port keep no process alive, and between two attempts there is nothing else.
const alive = setInterval(() => undefined, HOUR_MS);
const http = new NodeHttpClient();
const clock = new SystemClock();
const random = new SystemRandom();
let actors: ReturnType<typeof openActors> | undefined;
const hasher = new BlakeHasher();
try {
  process.exitCode = await runCommandLine(process.argv.slice(2), {
    terminal: processTerminal(),
    machine: thisMachine(),
    http,
    openActors: (nats, owner) => {
      actors ??= openActors(nats, owner, { clock, random, http });
      return actors;
    },
    hasher,
    clock,
    random,
    disk: new NodeDisk(DOWNLOADED_FILE_MODE),
    environment: process.env,
    workingDirectory: process.cwd(),
    signal: interruption.signal,
    version,
  });
} finally {
  clearInterval(alive);
  await actors?.close();
  await http.close();
  await hasher.close();
}
