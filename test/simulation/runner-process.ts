/**
 * Plans run in a process of their own.
 *
 * X1: a run that does not end within its bound of real time, or takes more memory than it may, is ended from outside and is a failure like
 *     any other: its violation's rule is `never-ends` or `process-died`.
 * X2: after such an end the next task gets a new process.
 * X3: a process runs so many plans and no more: what each leaves in memory until somebody collects it does not add up.
 * X4: none outlives the process that asks, not even one that hears nothing any more.
 */
import { type ChildProcess, fork } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { TimedRunResult } from "./run-result.ts";
import type { RunnerAnswer, RunnerProgress, RunnerTask } from "./runner-task.ts";

export interface RunnerProcessOptions {
  /** Path of the program; {@link RUNNER_PROGRAM} but for copies of it. */
  readonly program?: string;
  /** Of real time for a run; none for one that somebody watches. */
  readonly boundMs?: number;
  readonly memoryMib?: number;
  /** A watched run says how far it is; its trace goes to this process's standard output. */
  readonly onProgress?: (simulatedMs: number) => void;
}

export const RUNNER_PROGRAM = fileURLToPath(new URL("runner-program.ts", import.meta.url));
/** Rules that are broken from outside of the world: they depend on the machine, too. */
export const FORCED_RULES: readonly string[] = ["never-ends", "process-died"];

const MEMORY_MIB = 1_024;
/**
 * The contents of simulated disks are outside of the heap, and each 64 MiB of them made the engine collect all of a small heap: a dozen times
 * a run, which cost a sixth of it. They count as the heap's own now, which may grow before it is collected. Nor is it collected after a run:
 * what the engine has learnt of the shapes of objects goes with the last of them, and the next world begins slowly.
 */
const SELDOM_COLLECTED = ["--external-memory-accounted-in-global-limit", "--initial-old-space-size=700"];
/** X3 */
const RUNS_MAX = 40;
/** Of what a process said before it died; the end of it says why. */
const WORDS_KEPT = 4_000;

interface Begun {
  readonly child: ChildProcess;
  runCount: number;
  /** The last it wrote to its standard error. */
  words: string;
}

/** X4 */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class RunnerProcess {
  readonly #options: RunnerProcessOptions;
  #begun: Begun | undefined;

  constructor(options: RunnerProcessOptions) {
    this.#options = options;
  }

  /** One at a time. Never rejects: what goes wrong is a violation. */
  async run(task: RunnerTask): Promise<TimedRunResult> {
    const begun = (this.#begun ??= this.#start());
    const { child } = begun;
    const { boundMs } = this.#options;
    const answer = Promise.withResolvers<RunnerAnswer | { readonly kind: "ended"; readonly rule: string; readonly sentence: string }>();
    const died = (sentence: string): void => answer.resolve({ kind: "ended", rule: "process-died", sentence });
    const onMessage = (message: unknown): void => {
      const said = message as RunnerAnswer | RunnerProgress;
      if (said.kind === "progress") this.#options.onProgress?.(said.simulatedMs);
      else answer.resolve(said);
    };
    const onClose = (code: number | null, signal: string | null): void =>
      died(`It ended with ${signal ?? code}${begun.words.trim() === "" ? "." : `: ${begun.words.trim()}`}`);
    const onError = (error: Error): void => died(error.message);
    const onLate = (): void =>
      answer.resolve({ kind: "ended", rule: "never-ends", sentence: `It had not ended after ${(boundMs ?? 0) / 1000} s of real time.` });
    const late = boundMs === undefined ? undefined : setTimeout(onLate, boundMs);
    child.on("message", onMessage).on("close", onClose).on("error", onError);
    child.send(task, (error) => {
      // A process that has ended says so itself.
      if (error !== null && child.connected) onError(error);
    });
    const end = await answer.promise;
    clearTimeout(late);
    child.off("message", onMessage).off("close", onClose).off("error", onError);
    begun.runCount += 1;
    // X2, X3
    if (end.kind !== "result" || begun.runCount >= RUNS_MAX) await this.stop();
    if (end.kind === "result") return end.result;
    const rule = end.kind === "thrown" ? "process-died" : end.rule;
    const violation = { rule, sentence: end.sentence, atMs: 0 };
    return {
      hash: "",
      violations: [violation],
      counts: {},
      simulatedMs: 0,
      healedAtMs: 0,
      realUntilHealedMs: 0,
      eventCount: 0,
      operationCount: 0,
    };
  }

  /** A run under way ends with it. */
  async stop(): Promise<void> {
    const child = this.#begun?.child;
    this.#begun = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }

  #start(): Begun {
    const { program = RUNNER_PROGRAM, memoryMib = MEMORY_MIB, onProgress } = this.#options;
    const execArgv = [
      `--max-old-space-size=${memoryMib}`,
      ...SELDOM_COLLECTED,
      // Node's warnings about what is experimental are nothing a reader of a failure needs.
      "--disable-warning=ExperimentalWarning",
    ];
    const child = fork(program, [], {
      execArgv,
      stdio: ["ignore", onProgress === undefined ? "ignore" : "inherit", "pipe", "ipc"],
      serialization: "json",
    });
    const begun: Begun = { child, runCount: 0, words: "" };
    child.stderr?.on("data", (bytes: Buffer) => {
      begun.words = (begun.words + bytes.toString()).slice(-WORDS_KEPT);
    });
    running.add(child);
    child.once("close", () => {
      running.delete(child);
      if (this.#begun === begun) this.#begun = undefined;
    });
    return begun;
  }
}
