/**
 * Looks for seeds that show a planted bug.
 *
 * B1: a bug is caught by a seed that breaks a rule with it and breaks none without it.
 * B2: a program that does not even begin to run is not a bug that was caught.
 */
import { RunnerProcess } from "../runner-process.ts";
import type { RunnerTask } from "../runner-task.ts";
import type { Mutant } from "./mutant.ts";
import { SourceCopy } from "./source-copy.ts";

export type Caught =
  | { readonly kind: "caught"; readonly seed: number; readonly rule: string; readonly sentence: string }
  | { readonly kind: "escaped"; readonly seedCount: number }
  /** The sources have changed, or the changed program does not run. */
  | { readonly kind: "unfit"; readonly sentence: string };

export interface HuntOptions {
  readonly minutes: number;
  readonly boundMs: number;
  /** Whether it breaks no rule without any bug planted (B1). */
  readonly isSound: (task: RunnerTask) => Promise<boolean>;
}

export async function hunt({ changes, seedsMax, drawPlan }: Mutant, { minutes, boundMs, isSound }: HuntOptions): Promise<Caught> {
  let copy: SourceCopy;
  try {
    copy = new SourceCopy(changes);
  } catch (error) {
    return { kind: "unfit", sentence: error instanceof Error ? error.message : String(error) };
  }
  const runner = new RunnerProcess({ program: copy.runnerProgram, boundMs });
  try {
    for (let seed = 1; seed <= seedsMax; seed += 1) {
      const task: RunnerTask = drawPlan === undefined ? { kind: "seed", seed, minutes } : { kind: "plan", plan: drawPlan(seed) };
      const [violation] = (await runner.run(task)).violations;
      if (violation === undefined || !(await isSound(task))) continue;
      const { rule, sentence } = violation;
      // B2
      if (rule === "process-died") return { kind: "unfit", sentence };
      return { kind: "caught", seed, rule, sentence };
    }
    return { kind: "escaped", seedCount: seedsMax };
  } finally {
    await runner.stop();
    copy[Symbol.dispose]();
  }
}

/** Runs with the sources as they are; each seed once. */
export class SoundRuns {
  readonly #copy = new SourceCopy([]);
  readonly #runner: RunnerProcess;
  readonly #seeds = new Map<number, Promise<boolean>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(boundMs: number) {
    this.#runner = new RunnerProcess({ program: this.#copy.runnerProgram, boundMs });
  }

  isSound(task: RunnerTask): Promise<boolean> {
    if (task.kind === "plan") return this.#run(task);
    const known = this.#seeds.get(task.seed) ?? this.#run(task);
    this.#seeds.set(task.seed, known);
    return known;
  }

  async stop(): Promise<void> {
    await this.#runner.stop();
    this.#copy[Symbol.dispose]();
  }

  /** One after the other. */
  #run(task: RunnerTask): Promise<boolean> {
    const sound = this.#last.then(async () => (await this.#runner.run(task)).violations.length === 0);
    this.#last = sound;
    return sound;
  }
}
