/** The machine this process runs on, as the command line and the server look at it. */
import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, hostname, constants as systemConstants } from "node:os";
import { delimiter, join } from "node:path";
import type { Machine } from "../cli/context.ts";
import { TroupeError } from "../core/errors.ts";

export function thisMachine(): Machine {
  return {
    hostname: hostname(),
    nodeVersion: process.versions.node,
    platform: process.platform,
    homeDirectory: homeDirectory(),
    openFilesMax,
    portState,
    readFile,
    findProgram,
    runProgram,
  };
}

function homeDirectory(): string | undefined {
  try {
    return homedir() || undefined;
  } catch {
    // A user that the system has no entry for.
    return undefined;
  }
}

function findProgram(name: string): string | undefined {
  const isPath = /[\\/]/.test(name);
  const folders = isPath ? [""] : (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const endings = process.platform === "win32" ? ["", ".exe", ".com"] : [""];
  const candidates = folders.flatMap((folder) => endings.map((ending) => (folder === "" ? name : join(folder, name)) + ending));
  return candidates.find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Not there, or not ours to run: it is looked for elsewhere.
    return false;
  }
}

function runProgram(path: string, argv: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, argv, { stdio: ["inherit", process.stderr, "inherit"] });
    child.once("error", (cause) => reject(new TroupeError("UNAVAILABLE", `${path} cannot be started (${cause.message}).`, { cause })));
    child.once("exit", (code, signal) => resolve(code ?? 128 + systemConstants.signals[signal as NodeJS.Signals]));
  });
}

/** The report is the only place where Node tells the limits it runs under. */
function openFilesMax(): number | undefined {
  const report: (NodeJS.ProcessReport & { excludeNetwork?: boolean }) | undefined = process.report;
  if (report === undefined) return undefined;
  // Looking up the names of open connections could take long.
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : undefined;
}

function portState(host: string, port: number): ReturnType<Machine["portState"]> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "EADDRINUSE" ? { kind: "taken" } : { kind: "impossible", reason: error.code ?? error.message });
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve({ kind: "free" })));
  });
}

/** `undefined` when there is none. */
export function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
