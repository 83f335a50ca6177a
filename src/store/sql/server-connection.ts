/**
 * One connection to a database server, whatever carries its statements there: they go one after the other, and one that is never answered
 * ends.
 *
 * K1: when the server has rolled a transaction back, statements that were asked for meanwhile do not run, for it would run them for good:
 *     nothing does until somebody says ROLLBACK.
 */
import { TroupeError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { isBusy, isLost } from "./mysql-errors.ts";
import type { StatementResult } from "./query-session.ts";

export const ROLLBACK = "ROLLBACK";

/** The driver's side of a connection. Errors are as `mysqlError` makes them; an answer may never come. */
export interface StatementWire {
  /** A prepared statement, and its values. */
  execute(sql: string, parameters: readonly unknown[], answer: Answer): void;
  /** A statement that cannot be prepared, or is not worth it. */
  command(sql: string, answer: Answer): void;
  /** At once, whatever is under way. */
  destroy(): void;
}

export type Answer = (outcome: StatementResult | TroupeError) => void;

export interface ServerConnectionOptions {
  readonly clock: Clock;
  /** How long a statement may take. */
  readonly statementMs: number;
  /** Where the server is, to be shown. */
  readonly place: string;
}

export class ServerConnection {
  readonly #wire: StatementWire;
  readonly #options: ServerConnectionOptions;
  #last: Promise<unknown> = Promise.resolve();
  #broken: TroupeError | undefined;
  #rolledBack: TroupeError | undefined;

  constructor(wire: StatementWire, options: ServerConnectionOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  /** Whether it answers statements, as far as anybody knows, and runs what it is asked. */
  get isUsable(): boolean {
    return this.#broken === undefined && this.#rolledBack === undefined;
  }

  /** @throws {TroupeError} see `mysqlError` */
  execute(sql: string, parameters: readonly unknown[] = []): Promise<StatementResult> {
    return this.#inOrder(sql, (answer) => this.#wire.execute(sql, parameters, answer));
  }

  /** @throws {TroupeError} see `mysqlError` */
  command(sql: string): Promise<StatementResult> {
    return this.#inOrder(sql, (answer) => this.#wire.command(sql, answer));
  }

  destroy(): void {
    this.#broken ??= new TroupeError("DATABASE_UNAVAILABLE", "The connection to the database was given up.", { facts: { lost: true } });
    this.#wire.destroy();
  }

  /** A driver may take the next statement before anybody has heard how this one ended. */
  #inOrder(sql: string, send: (answer: Answer) => void): Promise<StatementResult> {
    const result = this.#last.then(() => this.#ask(sql, send));
    this.#last = result.catch(() => {});
    return result;
  }

  #ask(sql: string, send: (answer: Answer) => void): Promise<StatementResult> {
    if (sql === ROLLBACK) this.#rolledBack = undefined;
    const refusal = this.#broken ?? this.#rolledBack;
    if (refusal !== undefined) return Promise.reject(refusal);
    const { clock, statementMs, place } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = clock.setTimer(statementMs, () => {
        this.#broken = new TroupeError("DATABASE_UNAVAILABLE", `The database server at ${place} has not answered for ${statementMs} ms.`, {
          facts: { lost: true },
        });
        reject(this.#broken);
        this.destroy();
      });
      send((outcome) => {
        timer.cancel();
        if (!(outcome instanceof TroupeError)) return resolve(outcome);
        if (isLost(outcome)) this.#broken = outcome;
        // K1
        if (isBusy(outcome)) this.#rolledBack = outcome;
        reject(outcome);
      });
    });
  }
}
