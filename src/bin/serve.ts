/**
 * One server process: settings, the composition, one line when it can serve, and a clean end.
 *
 * P1: stdout has the ready line and what a person at a terminal wants to know; the log goes to stderr.
 * P2: SIGTERM and SIGINT: not ready, drained, exit 0 within 10 s; a second one ends it at once.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseServerCommand } from "../config/server-command.ts";
import { ROLES, type ServerSettings } from "../config/setting-table.ts";
import { TroupeError } from "../core/errors.ts";
import { STOP_MS_MAX } from "../core/limits.ts";
import { createLog } from "../store/pino-log.ts";
import { type RunningServer, startEmbedded } from "./embedded.ts";
import { readFile } from "./this-machine.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const SAME_SIGNAL_MS = 500;

async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  const command = parseServerCommand({
    argv: process.argv.slice(2),
    environment: process.env,
    workingDirectory: process.cwd(),
    hostname: hostname(),
    readFile,
    version,
  });
  if (command.kind === "print") {
    process.stdout.write(command.text);
    return;
  }
  if (command.kind === "refuse") {
    process.stderr.write(command.text);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const { settings, warnings } = command.resolved;
  const log = createLog(settings.logLevel);
  for (const warning of warnings) log.warn({}, warning);
  // What nobody caught is a bug: the log has it, and the next start goes on from what is recorded.
  process.on("uncaughtException", (error) => {
    log.error({ err: error }, "An error nobody caught; the process ends.");
    process.exit(EXIT_FAILED);
  });
  let server: RunningServer;
  try {
    server = await startEmbedded(settings, version, log);
  } catch (error) {
    log.debug({ err: error }, "Starting failed.");
    process.stderr.write(`troupe: ${error instanceof TroupeError ? error.detail : String(error)}\n`);
    process.exit(EXIT_FAILED);
  }
  stopOnSignals(server);
  process.stdout.write(readyLine(settings, server));
  if (process.stdout.isTTY) process.stdout.write(welcome(settings, server));
}

/** P2 */
function stopOnSignals(server: RunningServer): void {
  let stoppingSinceMs: number | undefined;
  const onSignal = (): void => {
    // A terminal sends Ctrl-C to npm and to this process, and npm passes it on: the same one, twice.
    if (stoppingSinceMs !== undefined && performance.now() - stoppingSinceMs < SAME_SIGNAL_MS) return;
    if (stoppingSinceMs !== undefined) process.exit(EXIT_FAILED);
    stoppingSinceMs = performance.now();
    setTimeout(() => process.exit(EXIT_FAILED), STOP_MS_MAX).unref();
    server.stop().then(
      () => process.exit(0),
      () => process.exit(EXIT_FAILED),
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

function readyLine(settings: ServerSettings, server: RunningServer): string {
  const roles = settings.roles.length === ROLES.length ? "all" : settings.roles.join(",");
  return `troupe ready ${server.gatewayUrl} roles=${roles} node=${server.nodeId}\n`;
}

function welcome(settings: ServerSettings, server: RunningServer): string {
  const freeGiB = (server.freeBytes / 1024 ** 3).toFixed(1);
  return [
    "",
    `  Address   ${server.gatewayUrl}/`,
    `  Data      ${settings.dataDirectory} (${freeGiB} GiB free)`,
    "  Copies    1 (single copy: this disk is the only place where files are)",
    "",
    `  Store a file      curl -T FILE ${server.gatewayUrl}/put/`,
    "  or, resumably     npx troupe upload FILE",
    "  Stop              Ctrl-C",
    "",
    "",
  ].join("\n");
}

await main();
