/**
 * A server of somebody else's (nats-server, MariaDB, Redis) as a child process: started, waited for until it answers, and stopped.
 * Used by `npm run cluster`, by `--nats local`, and by tests.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, appendFileSync, constants } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { TroupeError } from "../../core/errors.ts";

export interface EngineOptions {
  /** As people call it: `nats-server`. */
  readonly name: string;
  /** Names under which it may be installed, the best first. */
  readonly programs: readonly string[];
  readonly argv: readonly string[];
  /** More of them, for this start alone: whoever starts it again by hand leaves them out. */
  readonly firstArgv?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Asked again and again until it says yes. */
  readonly isReady: () => Promise<boolean>;
  readonly readyWithinMs?: number;
  readonly watch?: EngineWatch | undefined;
}

/** For whoever starts servers and must find them again. */
export interface EngineWatch {
  /** What the server says is added to this file. */
  readonly logFile: string;
  /** Told of each process as soon as it runs, before it answers, with the words of the command that starts it again. */
  readonly started: (pid: number, command: readonly string[]) => void;
}

export interface EngineProcess {
  readonly pid: number;
  /** What it said last, on both outputs. */
  readonly output: string;
  readonly isRunning: boolean;
  /** Resolves when it is gone, with how it ended in words. */
  readonly ended: Promise<string>;
  /** Asks it to end, and after a grace makes it. */
  stop(): Promise<void>;
  /** kill -9 */
  kill(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const ASK_EVERY_MS = 50;
const STOP_GRACE_MS = 8_000;
const OUTPUT_CHARACTERS_KEPT = 8_192;
/** Where servers are installed that users do not start themselves. */
const SERVER_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];

/** The full path of the first of these programs that is installed. */
export function findProgram(programs: readonly string[]): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""), ...SERVER_FOLDERS];
  return programs.flatMap((program) => folders.map((folder) => join(folder, program))).find(isExecutable);
}

/** A port that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Whether this port of this machine can be listened on at this moment. */
export function isFreePort(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** @throws {TroupeError} `SETTING_INVALID` when it is not installed, or ends or stays silent instead of getting ready */
export async function startEngine(options: EngineOptions): Promise<EngineProcess> {
  const program = findProgram(options.programs);
  if (program === undefined) {
    throw new TroupeError(
      "SETTING_INVALID",
      `${options.name} is not installed: neither PATH nor ${SERVER_FOLDERS.join(", ")} has ${options.programs.join(" or ")}. 'npm run setup' installs it.`,
    );
  }
  // A group of its own: Ctrl-C at the terminal reaches us, and we stop it when those who use it have ended.
  const child = spawn(program, [...options.argv, ...(options.firstArgv ?? [])], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, ...options.environment },
  });
  const engine = new Engine(child, options.watch?.logFile);
  if (child.pid !== undefined) options.watch?.started(child.pid, [program, ...options.argv]);
  try {
    await engine.ready(options);
  } catch (error) {
    await engine.kill();
    throw error;
  }
  return engine;
}

class Engine implements EngineProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<string>;
  output = "";
  isRunning = true;

  constructor(child: ChildProcess, logFile: string | undefined) {
    this.#child = child;
    const keep = (data: Buffer): void => {
      if (logFile !== undefined) append(logFile, data);
      this.output = (this.output + data.toString()).slice(-OUTPUT_CHARACTERS_KEPT);
    };
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    this.ended = new Promise((resolve) => {
      const end = (words: string): void => {
        this.isRunning = false;
        resolve(words);
      };
      child.once("error", (error) => end(error.message));
      child.once("exit", (code, signal) => end(signal === null ? `exit code ${code}` : signal));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async ready({ name, isReady, readyWithinMs = READY_WITHIN_MS }: EngineOptions): Promise<void> {
    const untilMs = performance.now() + readyWithinMs;
    while (!(await isReady())) {
      const why = this.isRunning ? "does not answer" : "has ended";
      if (!this.isRunning || performance.now() > untilMs) {
        throw new TroupeError(
          "SETTING_INVALID",
          `${name} was started and ${why}. It said: ${this.output.trim().slice(-1_000) || "nothing"}`,
        );
      }
      await pause(ASK_EVERY_MS);
    }
  }

  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill("SIGTERM");
    const hurry = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    await this.ended;
    clearTimeout(hurry);
  }

  async kill(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

function append(logFile: string, data: Buffer): void {
  try {
    appendFileSync(logFile, data, { mode: 0o600 });
  } catch {
    // No room, or no folder any more. A log that cannot be written is no reason to end what writes it; its last words are kept anyway.
  }
}

/** A server that can be had again after it has ended, in the same place. */
export class RestartableEngine implements EngineProcess {
  readonly #start: () => Promise<EngineProcess>;
  #engine: EngineProcess;

  constructor(engine: EngineProcess, start: () => Promise<EngineProcess>) {
    this.#engine = engine;
    this.#start = start;
  }

  get pid(): number {
    return this.#engine.pid;
  }

  get isRunning(): boolean {
    return this.#engine.isRunning;
  }

  get output(): string {
    return this.#engine.output;
  }

  /** Of the process that runs now. */
  get ended(): Promise<string> {
    return this.#engine.ended;
  }

  stop(): Promise<void> {
    return this.#engine.stop();
  }

  kill(): Promise<void> {
    return this.#engine.kill();
  }

  /** Stops it first when it runs. */
  async restart(): Promise<void> {
    await this.stop();
    this.#engine = await this.#start();
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there, or not to be run: not the one.
    return false;
  }
}
