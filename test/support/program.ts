/** Another program, run to its end, as a person at a shell runs it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "./temporary-directory.ts";

export const TROUPE = fileURLToPath(new URL("../../src/bin/troupe.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly workingDirectory?: string;
  /** Goes into its stdin, a pipe. */
  readonly input?: Readable;
  /** Besides this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Resolves however it ends; rejects when it cannot be started. */
export async function endOf(name: string, argv: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const { workingDirectory, input, environment } = options;
  const child = spawn(name, argv, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...environment },
    ...(workingDirectory === undefined ? {} : { cwd: workingDirectory }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (data: Buffer) => out.push(data));
  child.stderr.on("data", (data: Buffer) => err.push(data));
  const closed = once(child, "close");
  if (input === undefined) child.stdin.end();
  // A program that ends without reading all of it says why by its exit code.
  else await pipeline(input, child.stdin).catch(() => undefined);
  const [code] = (await closed) as [number | null];
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

/** Its stdout. Rejects with what it said when it does not end with 0. */
export async function run(name: string, argv: readonly string[], options: ProgramOptions = {}): Promise<Buffer> {
  const { code, stdout, stderr } = await endOf(name, argv, options);
  if (code !== 0) throw new Error(`${name} ${argv.join(" ")}\nended with ${code}:\n${stderr}`);
  return stdout;
}

/** `troupe …`, speaking to the gateway at `url`, or to the actors on the bus there. */
export async function runTroupe(url: string, argv: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const whom = url.startsWith("nats:") ? "--nats" : "--gateway";
  await using state = await temporaryDirectory();
  const environment = { TROUPE_STATE_DIR: state.path, ...options.environment };
  return (await run(process.execPath, [TROUPE, whom, url, ...argv], { ...options, environment })).toString();
}
