/** What a process logs, as part of the story. An error without a code, or with `INTERNAL`, is a violation: no fault may cause one. */
import { TroupeError } from "../../src/core/errors.ts";
import type { Log } from "../../src/core/log.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

type Facts = Readonly<Record<string, unknown>>;

export class SimulatedLog implements Log {
  readonly #process: SimulatedProcess;

  constructor(process: SimulatedProcess) {
    this.#process = process;
  }

  debug(): void {}

  info(): void {}

  warn(facts: Facts, sentence: string): void {
    this.#note("warns", facts, sentence);
  }

  error(facts: Facts, sentence: string): void {
    this.#note("logs an error", facts, sentence);
  }

  child(): Log {
    return this;
  }

  #note(how: string, facts: Facts, sentence: string): void {
    const { world, name } = this.#process;
    const error = facts["err"] ?? facts["error"];
    const said = error === undefined ? "" : ` (${error instanceof TroupeError ? `${error.code} ${error.message}` : String(error)})`;
    world.note(`${name} ${how}: ${sentence}${said}`);
    if (!isForeseen(error))
      world.violate("unforeseen-error", `${name} ${how}: ${sentence} ${error instanceof Error ? error.stack : String(error)}`);
  }
}

/** No error at all, or one with a code that says what is wrong. */
function isForeseen(error: unknown): boolean {
  if (error === undefined) return true;
  return error instanceof TroupeError && error.code !== "INTERNAL";
}
