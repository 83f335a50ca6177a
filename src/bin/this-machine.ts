/** The machine this process runs on, as the command line and the server look at it. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import type { Machine } from "../cli/context.ts";

export function thisMachine(): Machine {
  return { hostname: hostname(), nodeVersion: process.versions.node, openFilesMax, portState, readFile };
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
