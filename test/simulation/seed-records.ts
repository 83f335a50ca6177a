/**
 * What is known of seeds, kept in a file while the sources stay as they are: a line of JSON for each seed that has been run.
 *
 * K1: a seed that was ended from outside is not kept: that says as much about the machine.
 * K2: lines are appended whole. One that was cut off by a death is no line, and its seed is run again.
 */
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { RunResult } from "./run-result.ts";
import { FORCED_RULES } from "./runner-process.ts";
import { sourcesDigest } from "./sources-digest.ts";

export interface SeedRecord extends RunResult {
  readonly seed: number;
  readonly minutes: number;
  readonly realMs: number;
}

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

  static open(path: string, minutes: number): SeedRecords {
    const records = new SeedRecords(path, minutes);
    mkdirSync(dirname(path), { recursive: true });
    for (const line of linesOf(path)) {
      const record = recordOf(line);
      if (record?.minutes === minutes) records.#records.set(record.seed, record);
    }
    return records;
  }

  find(seed: number): SeedRecord | undefined {
    return this.#records.get(seed);
  }

  add(seed: number, result: RunResult, realMs: number): SeedRecord {
    const record: SeedRecord = { seed, minutes: this.#minutes, realMs: Math.round(realMs), ...result };
    this.#records.set(seed, record);
    // K1
    if (!result.violations.some(({ rule }) => FORCED_RULES.includes(rule))) {
      // A line before it may have been cut off (K2).
      appendFileSync(this.#path, `\n${JSON.stringify(record)}\n`);
    }
    return record;
  }
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** K2 */
function recordOf(line: string): SeedRecord | undefined {
  try {
    return JSON.parse(line) as SeedRecord;
  } catch {
    return undefined;
  }
}
