/**
 * Makes a failing plan small: takes away what the failure does not need.
 *
 * H1: a smaller plan stands only if its run breaks the same rule.
 * H2: faults go first, then operations, then nodes, then numbers, then time, for in this order a plan becomes easier to read; and again,
 *     until nothing goes any more or so many runs were made.
 * H3: the same plan and the same runs give the same result, however many run at once.
 */

import type { Plan } from "./plan.ts";
import { inEarlierTime, lessOf, numberSteps, withoutFaults, withoutNodes, withoutOperations } from "./shrink-steps.ts";
import type { Violation } from "./world.ts";

export interface ShrinkOptions {
  /** What its run breaks. */
  readonly run: (plan: Plan) => Promise<readonly Violation[]>;
  /** Of the violation that is to stay. */
  readonly rule: string;
  readonly runsMax: number;
  /** How many runs may be under way. */
  readonly width?: number;
  /** Whoever waits has had enough: the smallest plan so far stands, and what is under way counts for nothing. */
  readonly signal?: AbortSignal;
  readonly onSmaller?: (plan: Plan, runCount: number) => void;
}

export interface Shrunk {
  readonly plan: Plan;
  /** Of the smallest plan; nothing when the given plan was not seen to break the rule. */
  readonly violation: Violation | undefined;
  readonly runCount: number;
  /** Whether nothing more goes, or it ended before that was known. */
  readonly end: "smallest" | "runs-spent" | "interrupted";
}

export async function shrink(plan: Plan, options: ShrinkOptions): Promise<Shrunk> {
  const search = new Search(options);
  const first = await search.failureOf(plan);
  if (first === undefined) return { plan, violation: undefined, runCount: search.runCount, end: search.end };
  search.accept(plan, first);
  // What begins after the failure did not bring it about.
  await search.takeFirst([inEarlierTime(plan, first.atMs)]);
  for (;;) {
    const before = search.plan;
    for (const parts of [withoutFaults, withoutOperations]) await lessOf(search, parts);
    await search.whileSmaller(withoutNodes);
    for (const step of numberSteps(search.plan)) await search.whileSmaller(step);
    await search.whileSmaller((current) => [inEarlierTime(current, 0)]);
    if (search.plan === before || search.isSpent) break;
  }
  return { plan: search.plan, violation: search.violation, runCount: search.runCount, end: search.end };
}

export class Search {
  readonly #options: ShrinkOptions;
  #found: { readonly plan: Plan; readonly violation: Violation } | undefined;
  #runCount = 0;

  constructor(options: ShrinkOptions) {
    this.#options = options;
  }

  get plan(): Plan {
    if (this.#found === undefined) throw new Error("the search begins with a plan that fails");
    return this.#found.plan;
  }

  get violation(): Violation | undefined {
    return this.#found?.violation;
  }

  get runCount(): number {
    return this.#runCount;
  }

  get isSpent(): boolean {
    return this.end !== "smallest";
  }

  /** If it ended now, with nothing left to try. */
  get end(): Shrunk["end"] {
    const { runsMax, signal } = this.#options;
    if (signal?.aborted) return "interrupted";
    return this.#runCount >= runsMax ? "runs-spent" : "smallest";
  }

  accept(plan: Plan, violation: Violation): void {
    this.#found = { plan, violation };
    this.#options.onSmaller?.(plan, this.#runCount);
  }

  async failureOf(plan: Plan): Promise<Violation | undefined> {
    this.#runCount += 1;
    return await this.#violationOf(plan);
  }

  /** Goes on with the first of the candidates that fails as it should (H1, H3). @returns whether there was one */
  async takeFirst(candidates: readonly Plan[]): Promise<boolean> {
    const { width = 1, runsMax } = this.#options;
    const now = this.#found === undefined ? "" : JSON.stringify(this.#found.plan);
    const others = candidates.filter((candidate) => JSON.stringify(candidate) !== now);
    for (let index = 0; index < others.length && !this.isSpent; index += width) {
      const some = others.slice(index, Math.min(index + width, index + runsMax - this.#runCount));
      const ends = await Promise.all(some.map((candidate) => this.#violationOf(candidate)));
      const failed = ends.findIndex((end) => end !== undefined);
      // H3: those behind the first that fails count as little as if they had not been run.
      this.#runCount += failed < 0 ? some.length : failed + 1;
      if (failed < 0) continue;
      this.accept(some[failed] as Plan, ends[failed] as Violation);
      return true;
    }
    return false;
  }

  /** As long as one of what `candidates` makes of the plan fails, too. */
  async whileSmaller(candidates: (plan: Plan) => readonly Plan[]): Promise<void> {
    while (!this.isSpent && (await this.takeFirst(candidates(this.plan)))) {
      // The next candidates are those of the smaller plan.
    }
  }

  async #violationOf(plan: Plan): Promise<Violation | undefined> {
    const violations = await this.#options.run(plan);
    if (this.#options.signal?.aborted) return undefined;
    return violations.find(({ rule }) => rule === this.#options.rule);
  }
}
