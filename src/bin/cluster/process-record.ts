/**
 * The processes of one cluster, on disk: what a cluster that was killed has left running is found at the next start and ended.
 *
 * R1: only a process that is proven ours gets a signal. A number alone proves nothing, as numbers are used again: the moment at which the
 *     process began, as the operating system tells it, must be the one that was noted.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";

interface Noted {
  readonly name: string;
  readonly pid: number;
  /** When it began, in the operating system's words. */
  readonly began: string;
}

const RECORD_FILE = "processes.json";
const LOOK_EVERY_MS = 50;
const LEFTOVER_GRACE_MS = 5_000;

export class ProcessRecord {
  /** Who reads this file finds the number of each. */
  readonly path: string;
  #noted: readonly Noted[];

  constructor(directory: string) {
    this.path = join(directory, RECORD_FILE);
    this.#noted = readRecord(this.path);
  }

  /** As soon as it runs, and synchronously: whoever kills us next must find it noted. */
  note(name: string, pid: number): void {
    const began = beginOf(pid);
    // It is gone already.
    if (began === undefined) return;
    this.#write([...this.#noted.filter((noted) => noted.name !== name || isAlive(noted)), { name, pid, began }]);
  }

  /** Whether this process is one of them. */
  has(pid: number): boolean {
    return this.#alive().some((noted) => noted.pid === pid);
  }

  /** kill -9 to all of them. */
  killAll(): void {
    for (const { pid } of this.#alive()) send(pid, "SIGKILL");
  }

  /** Those that run are asked to end, and after a grace made to; `found` is told of each. Resolves when none is left. */
  async endLeftovers(found: (name: string, pid: number) => void, graceMs = LEFTOVER_GRACE_MS): Promise<void> {
    const left = this.#alive();
    for (const { name, pid } of left) found(name, pid);
    await this.end(
      left.map(({ pid }) => pid),
      graceMs,
    );
    this.#write([]);
  }

  /** These are asked to end, and after a grace made to. Resolves when none of them is left. */
  async end(pids: readonly number[], graceMs = LEFTOVER_GRACE_MS): Promise<void> {
    const left = (): Noted[] => this.#alive().filter(({ pid }) => pids.includes(pid));
    for (const { pid } of left()) send(pid, "SIGTERM");
    const untilMs = performance.now() + graceMs;
    while (left().length > 0) {
      if (performance.now() > untilMs) for (const { pid } of left()) send(pid, "SIGKILL");
      await pause(LOOK_EVERY_MS);
    }
  }

  #alive(): Noted[] {
    return this.#noted.filter(isAlive);
  }

  #write(noted: readonly Noted[]): void {
    this.#noted = noted;
    writeFileSync(`${this.path}.new`, `${JSON.stringify(noted, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(`${this.path}.new`, this.path);
  }
}

/** R1 */
function isAlive({ pid, began }: Noted): boolean {
  return beginOf(pid) === began;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended since we looked.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readRecord(path: string): readonly Noted[] {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Noted[];
  } catch {
    // None, or one that was being written when the machine went down: its processes went with it.
    return [];
  }
}

/** `undefined` when there is no such process, or only what its parent has not collected yet. */
function beginOf(pid: number): string | undefined {
  if (process.platform !== "linux") {
    const { status, stdout } = spawnSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" });
    const [, state, began] = /^\s*(\S+)\s+(.+?)\s*$/.exec(stdout ?? "") ?? [];
    return status !== 0 || state?.startsWith("Z") ? undefined : began;
  }
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold anything; the state follows it, and 19 fields on the clock ticks since the machine started.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${fields[19]}`;
  } catch {
    // No such process.
    return undefined;
  }
}
