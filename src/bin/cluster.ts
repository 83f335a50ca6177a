/**
 * `npm run cluster`: a real cluster on this machine, until Ctrl-C.
 *
 * P1: stdout has the ready line and what a person at a terminal wants to know; how it goes is told on stderr.
 * P2: SIGTERM and SIGINT: everything is stopped in order, exit 0; a second one kills what is left.
 */
import { relative, resolve } from "node:path";
import process from "node:process";
import { Command, CommanderError, Option } from "commander";
import { swallowedByNpm } from "../config/server-command.ts";
import { SETTINGS } from "../config/setting-table.ts";
import { TroupeError } from "../core/errors.ts";
import { type Cluster, startCluster } from "./cluster/cluster.ts";
import { onStopSignals } from "./signals.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const PORT_DEFAULT = "8080";
const DATA_DEFAULT = "./data/cluster";

const HELP = `
Starts nats-server, MariaDB and Redis on free ports, and two trackers, two ID allocators, two catalogs, three storage nodes and a gateway,
each a process of its own, with passwords made at the first start. A process that ends is not started again: the cluster says how it
ended and with which command to start it, so that you can watch what the others do meanwhile. Each storage node has a zone of its own, as
if it were a machine of its own.

Examples:
  npm run cluster                                    the gateway on http://127.0.0.1:8080, everything in ./data/cluster
  npm run cluster -- --port 0 --data /tmp/cluster     a free port, another place
`;

/** What `--port` and `--data` say, or nothing when there is nothing to do any more. */
function parse(argv: readonly string[]): { readonly port: number; readonly directory: string } | undefined {
  const swallowed = swallowedByNpm(process.env, argv);
  if (swallowed !== undefined) return refuse(swallowed);
  const command = new Command("npm run cluster --")
    .description("Runs a whole cluster on this machine.")
    .usage("[options]")
    .helpOption("-h, --help", "print this")
    // Said a second time, a default is shown without quotes.
    .addOption(new Option("--port <number>", "the gateway's port; 0 picks a free one").default(PORT_DEFAULT, PORT_DEFAULT))
    .addOption(new Option("--data <directory>", "where everything is kept").default(DATA_DEFAULT, DATA_DEFAULT))
    .allowExcessArguments(false)
    .exitOverride()
    .addHelpText("after", HELP);
  try {
    command.parse([...argv], { from: "user" });
    const { port, data } = command.opts<{ port: string; data: string }>();
    return { port: SETTINGS.port.parse([port]), directory: resolve(SETTINGS.dataDirectory.parse([data])) };
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode !== 0) process.exitCode = EXIT_USAGE;
      return undefined;
    }
    if (error instanceof TroupeError) return refuse(`npm run cluster: --port or --data: ${error.detail}.`);
    throw error;
  }
}

function refuse(sentence: string): undefined {
  process.stderr.write(`${sentence}\n`);
  process.exitCode = EXIT_USAGE;
  return undefined;
}

async function main(): Promise<void> {
  const parsed = parse(process.argv.slice(2));
  if (parsed === undefined) return;
  const starting = new AbortController();
  let cluster: Cluster | undefined;
  // Whoever read what we say may be gone before us: a terminal that was closed is no reason to leave everything running.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => undefined);
  process.on("uncaughtException", (error) => {
    starting.abort();
    cluster?.killAll();
    fail(error);
  });
  let stopping: Promise<void> | undefined;
  // P2
  onStopSignals(
    ["SIGTERM", "SIGINT", "SIGHUP"],
    () => {
      say("Stopping.");
      starting.abort();
      stopping = cluster?.stop();
      stopping?.then(
        () => process.exit(0),
        (error: unknown) => fail(error),
      );
    },
    () => {
      cluster?.killAll();
      process.exit(EXIT_FAILED);
    },
  );
  try {
    cluster = await startCluster({ ...parsed, say, command, typed, signal: starting.signal });
  } catch (error) {
    if (starting.signal.aborted) process.exit(0);
    fail(error);
    return;
  }
  process.stdout.write(`troupe cluster ready ${cluster.gatewayUrl} nats=${cluster.natsUrl("observer")}\n`);
  if (process.stdout.isTTY) process.stdout.write(welcome(cluster));
  else {
    say(`Which process is which: ${shown(cluster.processesFile)}`);
    say(`Where each serves its metrics: ${shown(cluster.metricsFile)}`);
  }
}

function say(sentence: string): void {
  process.stderr.write(`troupe cluster: ${sentence}\n`);
}

function fail(error: unknown): void {
  say(error instanceof TroupeError ? error.detail : String(error));
  process.exit(EXIT_FAILED);
}

/** As a person types it in the folder they are in. */
function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return quoted(near.startsWith("..") ? path : near);
}

function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function typed(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}

function command(configFile: string): string {
  return `npm run node -- --config ${shown(configFile)}`;
}

function welcome(cluster: Cluster): string {
  const members = [cluster.engine("nats"), cluster.engine("mariadb"), cluster.engine("redis"), ...cluster.processes.values()];
  const rows = members.map(({ name, pid, logFile }) => `  ${name.padEnd(12)}${String(pid).padEnd(9)}${shown(logFile)}\n`);
  return [
    `\n  ${"process".padEnd(12)}${"pid".padEnd(9)}log\n`,
    ...rows,
    "\n",
    `  Store a file            curl -T FILE ${cluster.gatewayUrl}/put/\n`,
    `  Ask who is there        nats --server ${cluster.natsUrl("observer")} micro ls\n`,
    `  Speak to the actors     npx troupe --nats ${cluster.natsUrl("client")} nodes\n`,
    `  Watch how it is         Prometheus's file_sd_configs: ${shown(cluster.metricsFile)}\n`,
    `  See what comes of it    kill -9 ${cluster.processes.get("storage-2")?.pid}\n`,
    "  Stop                    Ctrl-C\n\n",
  ].join("");
}

await main();
