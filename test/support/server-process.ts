/** A real server process on a free port, as a user starts it; killed and started again on the same directory as a test wishes. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const START = fileURLToPath(new URL("../../src/bin/start.js", import.meta.url));
const READY = /^troupe ready (\S+) roles=(\S+) node=(\S+)$/m;

export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly nodeId: string;
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
  /** Resident memory now, in bytes. */
  residentBytes(): Promise<number>;
  /** The highest it has been, in bytes. */
  residentPeakBytes(): Promise<number>;
}

export async function startServer(
  dataDirectory: string,
  flags: readonly string[] = [],
  environment: Record<string, string> = {},
): Promise<ServerProcess> {
  const started = spawnServer(["--port", "0", "--data", dataDirectory, ...flags], environment);
  const { child, output } = started;
  const ready = await started.ready;
  const exited = started.exited;
  const memory = async (field: string): Promise<number> => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8");
    return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  };
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  return {
    url: ready.url,
    nodeId: ready.nodeId,
    pid: child.pid as number,
    get stdout() {
      return output.out;
    },
    get stderr() {
      return output.err;
    },
    kill,
    terminate: async () => {
      child.kill("SIGTERM");
      return await exited;
    },
    residentBytes: () => memory("VmRSS"),
    residentPeakBytes: () => memory("VmHWM"),
    [Symbol.asyncDispose]: kill,
  };
}

export interface Started {
  readonly child: ChildProcess;
  readonly output: { out: string; err: string };
  readonly ready: Promise<{ url: string; nodeId: string }>;
  readonly exited: Promise<number | null>;
}

export function spawnServer(argv: readonly string[], environment: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, [START, ...argv], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
  const output = { out: "", err: "" };
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  const ready = new Promise<{ url: string; nodeId: string }>((resolve, reject) => {
    child.stdout.on("data", (data: Buffer) => {
      output.out += data.toString();
      const match = READY.exec(output.out);
      if (match !== null) resolve({ url: match[1] as string, nodeId: match[3] as string });
    });
    child.stderr.on("data", (data: Buffer) => {
      output.err += data.toString();
    });
    void exited.then((code) => reject(new Error(`The server ended with ${code} before it was ready:\n${output.err}`)));
  });
  ready.catch(() => undefined);
  return { child, output, ready, exited };
}
