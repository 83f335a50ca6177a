/**
 * Whether a process can serve, part by part, and what is wrong where it cannot.
 *
 * R1: however many ask at once, each part is asked once.
 * R2: whoever asks hears within a bound, also of a part that says nothing.
 * R3: anyone may ask: nothing is told of the server's inside but which part is missing, and why in words of the one table.
 * R4: without a disk for new uploads reads go on: that is told, and nobody is sent elsewhere for it.
 */
import { type ErrorCode, TroupeError, toTroupeError } from "../core/errors.ts";
import { READINESS_GRACE_MS, READINESS_TIMEOUT_MS } from "../core/limits.ts";
import type { LoadWatch } from "../core/load-watch.ts";
import type { Clock } from "../core/ports/clock.ts";
import { toldError } from "../core/problem.ts";

/** Why a part cannot do its work. */
export interface Fault {
  readonly code: ErrorCode;
  readonly reason: string;
}

/** Begins to ask: by the name of a part, what is wrong with it. A rejection is a fault as well. */
export type Questions = () => Readonly<Record<string, Promise<Fault | undefined>>>;

type Check = { readonly ok: true } | ({ readonly ok: false } & Fault);

export interface ReadinessReport {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, Check>>;
}

/** R4 */
const TOLD_ONLY: ReadonlySet<string> = new Set(["disk"]);

export class Readiness {
  readonly #clock: Clock;
  readonly #questions: Questions[] = [];
  #underWay: Promise<ReadinessReport> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What one role has to ask. Where several have a part of the same name, all of them have to be well. */
  add(questions: Questions): void {
    this.#questions.push(questions);
  }

  report(): Promise<ReadinessReport> {
    // R1
    this.#underWay ??= this.#ask().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #ask(): Promise<ReadinessReport> {
    const asked = this.#questions.flatMap((questions) => Object.entries(questions()));
    const answers = await Promise.all(asked.map(async ([name, answer]) => [name, await this.#check(answer)] as const));
    const checks: Record<string, Check> = {};
    for (const [name, check] of answers) if (checks[name]?.ok !== false) checks[name] = check;
    return { ready: Object.entries(checks).every(([name, { ok }]) => ok || TOLD_ONLY.has(name)), checks };
  }

  async #check(answer: Promise<Fault | undefined>): Promise<Check> {
    const silent = Promise.withResolvers<never>();
    // R2. What is asked over the bus has its own, shorter, time.
    const timer = this.#clock.setTimer(READINESS_TIMEOUT_MS + READINESS_GRACE_MS, () =>
      silent.reject(new TroupeError("DEADLINE_EXCEEDED", `There was no answer within ${READINESS_TIMEOUT_MS} ms.`)),
    );
    try {
      const fault = await Promise.race([answer, silent.promise]);
      return fault === undefined ? { ok: true } : { ok: false, ...fault };
    } catch (error) {
      return { ok: false, ...faultOf(error) };
    } finally {
      timer.cancel();
    }
  }
}

/** R3 */
function faultOf(error: unknown): Fault {
  const { code, detail } = toTroupeError(error);
  return { code, reason: toldError({ code, detail, retryable: true }).detail };
}

/** Waits for an answer in which nothing else is of interest. */
export async function isThere(answer: Promise<unknown>): Promise<undefined> {
  await answer;
}

/** Whoever would begin something is better off elsewhere. */
export async function loadFault({ reason }: LoadWatch): Promise<Fault | undefined> {
  return reason === undefined ? undefined : { code: "OVERLOADED", reason: `Nothing new is begun for now: ${reason}.` };
}
