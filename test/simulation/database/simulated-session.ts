/** One connection between a process and a database server: what the process sends takes a moment to get there. */
import type { TroupeError } from "../../../src/core/errors.ts";
import type { StatementResult } from "../../../src/store/sql/query-session.ts";
import type { Answer, StatementWire } from "../../../src/store/sql/server-connection.ts";
import type { SimulatedProcess } from "../simulated-process.ts";

export interface Statement {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

export type Outcome = StatementResult | TroupeError;

/** The server as a session sees it. */
export interface StatementReceiver {
  readonly name: string;
  /** How long a statement takes to get there and to be done. */
  delayMs(session: SimulatedSession): number;
  /** @returns `undefined` when it has to wait, or is never answered: see {@link SimulatedSession.goOn} */
  receive(session: SimulatedSession, statement: Statement): Outcome | undefined;
  /** The process has closed its end. */
  hearGoodbye(session: SimulatedSession): void;
}

/** How long after a lock was given up the next one notices. */
const NOTICE_MS = 0.1;

export class SimulatedSession implements StatementWire {
  readonly process: SimulatedProcess;
  /** When the server heard of it last. */
  heardMs: number;
  /** As the server has it. */
  isInTransaction = false;
  /** Lost: what is sent on it goes nowhere. */
  isCut = false;
  /** The process is gone or has closed it; what was sent before still happens. */
  isLeft = false;
  readonly #server: StatementReceiver;
  #answer: Answer | undefined;

  constructor(server: StatementReceiver, process: SimulatedProcess) {
    this.#server = server;
    this.process = process;
    this.heardMs = process.world.nowMs;
  }

  /** Whether a statement is on its way or waits. */
  get isAsking(): boolean {
    return this.#answer !== undefined;
  }

  execute(sql: string, parameters: readonly unknown[], answer: Answer): void {
    this.#answer = answer;
    this.#ask(this.#server.delayMs(this), sql.slice(0, 6), () => this.#server.receive(this, { sql, parameters }));
  }

  command(sql: string, answer: Answer): void {
    this.execute(sql, [], answer);
  }

  destroy(): void {
    if (this.isLeft) return;
    this.isLeft = true;
    this.process.world.scheduler.after(NOTICE_MS, `${this.#server.name} goodbye`, () => this.#server.hearGoodbye(this));
  }

  /** What waited goes on. */
  goOn(what: string, work: () => Outcome | undefined): void {
    if (this.isAsking) this.#ask(NOTICE_MS, what, work);
  }

  #ask(delayMs: number, what: string, work: () => Outcome | undefined): void {
    void this.process
      .ask(delayMs, `${this.#server.name} ${what}`, () => {
        const outcome = work();
        const answer = this.#answer;
        if (outcome !== undefined) this.#answer = undefined;
        if (this.isLeft) this.#server.hearGoodbye(this);
        return outcome === undefined ? undefined : () => answer?.(outcome);
      })
      .then((tell) => tell?.());
  }
}
