/**
 * A connection of mysql2, whose oddities end here: every integer is a `bigint`, bytes are `Uint8Array`, whole numbers are bound as
 * integers (the driver would bind them as floating point), and errors are typed.
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
import { DATABASE_CONNECT_MS_MAX, STATEMENTS_KEPT_MAX } from "../../core/limits.ts";
import type { MysqlAddress } from "./mysql-address.ts";
import { mysqlError } from "./mysql-errors.ts";
import type { StatementResult } from "./query-session.ts";
import { type Answer, ServerConnection, type ServerConnectionOptions, type StatementWire } from "./server-connection.ts";

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

export function mysqlConnection(connection: Connection, options: ServerConnectionOptions): ServerConnection {
  return new ServerConnection(new MysqlWire(connection, options.place), options);
}

class MysqlWire implements StatementWire {
  readonly #connection: Connection;
  readonly #place: string;

  constructor(connection: Connection, place: string) {
    this.#connection = connection;
    this.#place = place;
  }

  execute(sql: string, parameters: readonly unknown[], answer: Answer): void {
    this.#send(sql, answer, (done) => this.#connection.execute<Answered>(sql, parameters.map(bindable), done));
  }

  command(sql: string, answer: Answer): void {
    this.#send(sql, answer, (done) => this.#connection.query<Answered>(sql, done));
  }

  destroy(): void {
    this.#connection.destroy();
    // The driver only says goodbye, to a server that may never answer.
    (this.#connection as unknown as { stream: { destroy(): void } }).stream.destroy();
  }

  #send(sql: string, answer: Answer, send: (done: (error: QueryError | null, result: Answered) => void) => void): void {
    try {
      send((error, result) => answer(error === null ? resultOf(result) : mysqlError(error, sql, this.#place)));
    } catch (error) {
      answer(mysqlError(error, sql, this.#place));
    }
  }
}

type Answered = ResultSetHeader | RowDataPacket[];

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
