/**
 * One connection of mysql2, whose oddities end here: every integer is a `bigint`, bytes are `Uint8Array`, whole numbers are bound as
 * integers (the driver would bind them as floating point), errors are typed, and a statement that is never answered ends.
 *
 * K1: when the server has rolled a transaction back, statements that were asked for meanwhile do not run, for it would run them for good:
 *     nothing does until somebody says ROLLBACK.
 */
import assert from "node:assert/strict";
import mysql, {
  type Connection,
  type ConnectionOptions,
  type ExecuteValues,
  type QueryError,
  type ResultSetHeader,
  type RowDataPacket,
} from "mysql2";
import { TroupeError } from "../../core/errors.ts";
import { DATABASE_CONNECT_MS_MAX, STATEMENTS_KEPT_MAX } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { MysqlAddress } from "./mysql-address.ts";
import { isBusy, isLost, mysqlError } from "./mysql-errors.ts";
import type { StatementResult } from "./query-session.ts";

export const ROLLBACK = "ROLLBACK";
const INTEGERS: readonly string[] = ["TINY", "SHORT", "LONG", "INT24", "LONGLONG", "YEAR"];

/** How every connection is made. */
export function connectionOptions({ host, port, socketPath, user, password, ssl }: MysqlAddress, database?: string): ConnectionOptions {
  return {
    ...(socketPath === undefined ? { host, port } : { socketPath }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(ssl === undefined ? {} : { ssl: { ...ssl } }),
    ...(database === undefined ? {} : { database }),
    connectTimeout: DATABASE_CONNECT_MS_MAX,
    maxPreparedStatements: STATEMENTS_KEPT_MAX,
    // An insert that finds its row there changes nothing, and must say so.
    flags: ["-FOUND_ROWS"],
    supportBigNumbers: true,
    bigNumberStrings: true,
    typeCast: (field, next) => {
      const value = next() as unknown;
      return INTEGERS.includes(field.type) && value !== null ? BigInt(value as string | number) : value;
    },
  };
}

export class MysqlConnection {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #statementMs: number;
  readonly #place: string;
  #last: Promise<unknown> = Promise.resolve();
  #broken: TroupeError | undefined;
  #rolledBack: TroupeError | undefined;

  /** @param options `statementMs`: how long a statement may take; `place`: where the server is, to be shown */
  constructor(connection: Connection, options: { readonly clock: Clock; readonly statementMs: number; readonly place: string }) {
    this.#connection = connection;
    this.#clock = options.clock;
    this.#statementMs = options.statementMs;
    this.#place = options.place;
  }

  /** Whether it answers statements, as far as anybody knows, and runs what it is asked. */
  get isUsable(): boolean {
    return this.#broken === undefined && this.#rolledBack === undefined;
  }

  /** A prepared statement, and its values. @throws {TroupeError} see {@link mysqlError} */
  execute(sql: string, parameters: readonly unknown[] = []): Promise<StatementResult> {
    return this.#inOrder(sql, (answer) => this.#connection.execute<Answered>(sql, parameters.map(bindable), answer));
  }

  /** A statement that cannot be prepared, or is not worth it. @throws {TroupeError} see {@link mysqlError} */
  command(sql: string): Promise<StatementResult> {
    return this.#inOrder(sql, (answer) => this.#connection.query<Answered>(sql, answer));
  }

  /** At once, whatever is under way. */
  destroy(): void {
    this.#broken ??= new TroupeError("DATABASE_UNAVAILABLE", "The connection to the database was given up.", { facts: { lost: true } });
    this.#connection.destroy();
    // The driver only says goodbye, to a server that may never answer.
    (this.#connection as unknown as { stream: { destroy(): void } }).stream.destroy();
  }

  /** The driver would take the next statement before anybody has heard how this one ended. */
  #inOrder(sql: string, send: (answer: Answer) => void): Promise<StatementResult> {
    const result = this.#last.then(() => this.#ask(sql, send));
    this.#last = result.catch(() => {});
    return result;
  }

  #ask(sql: string, send: (answer: Answer) => void): Promise<StatementResult> {
    if (sql === ROLLBACK) this.#rolledBack = undefined;
    const refusal = this.#broken ?? this.#rolledBack;
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#statementMs, () => {
        this.#broken = new TroupeError(
          "DATABASE_UNAVAILABLE",
          `The database server at ${this.#place} has not answered for ${this.#statementMs} ms.`,
          {
            facts: { lost: true },
          },
        );
        reject(this.#broken);
        this.destroy();
      });
      const answer: Answer = (error, result) => {
        timer.cancel();
        if (error === null) return resolve(resultOf(result));
        refuse(error);
      };
      const refuse = (error: unknown): void => {
        const typed = mysqlError(error, sql, this.#place);
        if (isLost(typed)) this.#broken = typed;
        // K1
        if (isBusy(typed)) this.#rolledBack = typed;
        reject(typed);
      };
      try {
        send(answer);
      } catch (error) {
        timer.cancel();
        refuse(error);
      }
    });
  }
}

type Answered = ResultSetHeader | RowDataPacket[];
type Answer = (error: QueryError | null, result: Answered) => void;

function resultOf(result: Answered): StatementResult {
  if (Array.isArray(result)) return { rows: result, changedCount: 0n, insertId: 0n };
  const { affectedRows, insertId } = result;
  return { rows: [], changedCount: BigInt(affectedRows), insertId: BigInt(insertId) };
}

function bindable(value: unknown): ExecuteValues {
  if (typeof value === "number") {
    assert(Number.isSafeInteger(value), `a column holds whole numbers, not ${value}`);
    return mysql.TypedParameter.LONGLONG(value);
  }
  if (typeof value === "bigint") return mysql.TypedParameter.LONGLONG(value);
  if (value === null || typeof value === "string") return value;
  assert(value instanceof Uint8Array, `a ${typeof value} cannot be bound to a statement`);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
