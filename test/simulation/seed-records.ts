/**
 * What is known of seeds, kept in a file while the sources stay as they are: a line of JSON for each seed that has been run.
 *
 * K1: a seed that was ended from outside is not kept: that says as much about the machine.
 * K2: lines are appended whole. One that was cut off by a death, or was written by something else, is no line, and its seed is run again.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fileTrouble, Refusal } from "./refusal.ts";
import type { TimedRunResult } from "./run-result.ts";
import { FORCED_RULES } from "./runner-process.ts";
import { sourcesDigest } from "./sources-digest.ts";

export interface SeedRecord extends TimedRunResult {
  readonly seed: number;
  readonly minutes: number;
  /** Of its first run, in real time. */
  readonly realMs: number;
  /** It was run a second time, with the same trace. */
  readonly isRepeated: boolean;
}

const recordShape: z.ZodType<SeedRecord> = z.object({
  seed: z.int(),
  minutes: z.number(),
  realMs: z.number(),
  isRepeated: z.boolean(),
  hash: z.string(),
  violations: z.array(z.object({ rule: z.string(), sentence: z.string(), atMs: z.number() })),
  counts: z.record(z.string(), z.number()),
  simulatedMs: z.number(),
  healedAtMs: z.number(),
  realUntilHealedMs: z.number(),
  eventCount: z.number(),
  operationCount: z.number(),
});

export class SeedRecords {
  readonly #path: string;
  readonly #minutes: number;
  readonly #records = new Map<number, SeedRecord>();

  private constructor(path: string, minutes: number) {
    this.#path = path;
    this.#minutes = minutes;
  }

  /** Of runs of so many minutes, in `.sim` of the checkout. */
  static ofCheckout(root: string, minutes: number): SeedRecords {
    return SeedRecords.open(join(root, ".sim", `${sourcesDigest(root)}-${minutes}m.jsonl`), minutes);
  }

  /** @throws {Refusal} when there can be no such file */
  static open(path: string, minutes: number): SeedRecords {
    const records = new SeedRecords(path, minutes);
    kept(path, () => mkdirSync(dirname(path), { recursive: true }));
    for (const line of linesOf(path)) {
      const record = recordOf(line);
      if (record?.minutes === minutes) records.#records.set(record.seed, record);
    }
    return records;
  }

  find(seed: number): SeedRecord | undefined {
    return this.#records.get(seed);
  }

  /** @throws {Refusal} when it cannot be kept */
  add(seed: number, result: TimedRunResult, how: { readonly realMs: number; readonly isRepeated: boolean }): SeedRecord {
    const { realMs, isRepeated } = how;
    const record: SeedRecord = { seed, minutes: this.#minutes, realMs: Math.round(realMs), isRepeated, ...result };
    this.#records.set(seed, record);
    // K1
    if (!result.violations.some(({ rule }) => FORCED_RULES.includes(rule))) {
      // A line before it may have been cut off (K2).
      kept(this.#path, () => appendFileSync(this.#path, `\n${JSON.stringify(record)}\n`));
    }
    return record;
  }
}

function linesOf(path: string): string[] {
  if (!existsSync(path)) return [];
  return kept(path, () => readFileSync(path, "utf8").split("\n"));
}

function kept<Result>(path: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw new Refusal(`what is known of seeds cannot be kept in ${path}: ${fileTrouble(error)}`);
  }
}

/** K2 */
function recordOf(line: string): SeedRecord | undefined {
  try {
    return recordShape.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
