/**
 * A server process of the cluster: `src/bin/start.js` with a configuration file. Its log goes straight into a file, so that it lives on
 * when we do not.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { TroupeError } from "../../core/errors.ts";
import type { Running } from "./member.ts";

export interface RoleProcessOptions {
  readonly name: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Told of the process as soon as it runs. */
  readonly started: (pid: number) => void;
}

/** What every one of them runs. */
export const START = fileURLToPath(new URL("../start.js", import.meta.url));
const READY = /^troupe ready \S+ roles=\S+ node=\S+$/m;
const READY_WITHIN_MS = 60_000;
const STOP_GRACE_MS = 10_000;
const OUTPUT_CHARACTERS_KEPT = 8_192;
const SHOWN_CHARACTERS_MAX = 1_000;

/** Resolves when it can serve. @throws {TroupeError} `SETTING_INVALID` when it ends or stays silent instead, with what it said last */
export async function startRoleProcess(options: RoleProcessOptions): Promise<Running> {
  const log = openSync(options.logFile, "a", 0o600);
  const before = statSync(options.logFile).size;
  // A group of its own: Ctrl-C at the terminal reaches us, and we stop it when those that need it have ended.
  const child = spawn(process.execPath, [START, "--config", options.configFile], {
    stdio: ["ignore", "pipe", log],
    detached: true,
    env: withoutSettings(process.env),
  });
  closeSync(log);
  const running = new RunningRole(child);
  if (child.pid !== undefined) options.started(child.pid);
  const problem = await running.problem();
  if (problem === undefined) return running;
  await running.kill();
  const said = readFileSync(options.logFile).subarray(before).toString().trim().slice(-SHOWN_CHARACTERS_MAX);
  throw new TroupeError("SETTING_INVALID", `${options.name} was started and ${problem}. It said: ${said || "nothing"}`);
}

class RunningRole implements Running {
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #ready: Promise<undefined>;
  #isRunning = true;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) => {
      const end = (words: string): void => {
        this.#isRunning = false;
        resolve(words);
      };
      child.once("error", (error) => end(error.message));
      child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    });
    this.#ready = new Promise((resolve) => {
      let output = "";
      child.stdout?.on("data", (data: Buffer) => {
        output = (output + data.toString()).slice(-OUTPUT_CHARACTERS_KEPT);
        if (READY.test(output)) resolve(undefined);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Why it does not get ready; `undefined` when it does. */
  async problem(): Promise<string | undefined> {
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve("is not ready"), READY_WITHIN_MS);
    try {
      return await Promise.race([this.#ready, this.ended.then((how) => `has ended: ${how}`), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    this.#child.kill("SIGTERM");
    const hurry = setTimeout(() => this.#child.kill("SIGKILL"), STOP_GRACE_MS);
    await this.ended;
    clearTimeout(hurry);
  }

  async kill(): Promise<void> {
    if (!this.#isRunning) return;
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** Settings of the environment would win over the configuration file, for all processes alike. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("TROUPE_")));
}
