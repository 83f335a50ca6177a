/**
 * One server process: settings, the composition, one line when it can serve, and a clean end.
 *
 * P1: stdout has the ready line and what a person at a terminal wants to know; the log goes to stderr.
 * P2: SIGTERM and SIGINT: not ready, drained, exit 0 within 10 s; a second one ends it at once.
 * P3: systemd, where it has started this, hears the same, and that the main loop turns.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { withoutPassword } from "../config/engine-url.ts";
import { parseServerCommand } from "../config/server-command.ts";
import { rolesText, type ServerSettings } from "../config/setting-table.ts";
import { tokensInTheClear } from "../config/settings.ts";
import { TroupeError } from "../core/errors.ts";
import { STOP_MS_MAX } from "../core/limits.ts";
import "../core/limits-agree.ts";
import { createLog } from "../store/pino-log.ts";
import { SystemClock } from "../store/system-clock.ts";
import { type RunningServer, startServer } from "./server.ts";
import { openServiceNotify } from "./service-notify.ts";
import { onStopSignals } from "./signals.ts";
import { readFile } from "./this-machine.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

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
  const service = openServiceNotify(process.env, process.pid, { clock: new SystemClock(), log });
  // What nobody caught is a bug: the log has it, and the next start goes on from what is recorded.
  process.on("uncaughtException", (error) => {
    log.error({ err: error }, "An error nobody caught; the process ends.");
    process.exit(EXIT_FAILED);
  });
  const starting = new AbortController();
  let server: RunningServer | undefined;
  // P2, from the first moment on: a start may wait long for others.
  onStopSignals(
    ["SIGTERM", "SIGINT"],
    () => {
      setTimeout(() => process.exit(EXIT_FAILED), STOP_MS_MAX).unref();
      service.stopping();
      starting.abort();
      server?.stop().then(
        () => process.exit(0),
        () => process.exit(EXIT_FAILED),
      );
    },
    () => process.exit(EXIT_FAILED),
  );
  try {
    server = await startServer(settings, version, log, starting.signal);
  } catch (error) {
    if (starting.signal.aborted) process.exit(0);
    log.debug({ err: error }, "Starting failed.");
    process.stderr.write(`troupe: ${error instanceof TroupeError ? error.detail : String(error)}\n`);
    process.exit(EXIT_FAILED);
  }
  const { stop } = server;
  void server.failed.then(async ({ detail }) => {
    process.stderr.write(`troupe: ${detail}\n`);
    setTimeout(() => process.exit(EXIT_FAILED), STOP_MS_MAX).unref();
    service.stopping();
    await stop();
    process.exit(EXIT_FAILED);
  });
  process.stdout.write(readyLine(settings, server));
  service.ready(`Serves ${server.gatewayUrl ?? "others"} as ${rolesText(settings.roles)}, node ${server.nodeId}`);
  if (process.stdout.isTTY) process.stdout.write(welcome(settings, server));
}

function readyLine(settings: ServerSettings, server: RunningServer): string {
  return `troupe ready ${server.gatewayUrl ?? "-"} roles=${rolesText(settings.roles)} node=${server.nodeId}\n`;
}

/** What a person at a terminal wants to know. */
function welcome(settings: ServerSettings, { gatewayUrl, freeBytes, observerUrl }: RunningServer): string {
  const lines: string[] = [];
  if (gatewayUrl !== undefined) lines.push(`Address   ${gatewayUrl}/`);
  if (freeBytes !== undefined) {
    lines.push(`Data      ${settings.dataDirectory} (${(freeBytes / 1024 ** 3).toFixed(1)} GiB free)`);
    lines.push("Copies    1 (single copy: this disk is the only place where its files are)");
  }
  if (observerUrl !== undefined) lines.push(`Bus       nats --server ${observerUrl} micro ls`);
  else if (settings.nats !== undefined) lines.push(`Bus       ${withoutPassword(settings.nats)}`);
  lines.push("");
  if (gatewayUrl !== undefined) {
    lines.push(`Store a file      curl -T FILE ${gatewayUrl}/put/`, "or, resumably     npx troupe upload FILE");
  }
  lines.push("Stop              Ctrl-C", ...tokensInTheClear(settings).flatMap((warning) => ["", warning]));
  return `\n${lines.map((line) => (line === "" ? "\n" : `  ${line}\n`)).join("")}\n`;
}

await main();
