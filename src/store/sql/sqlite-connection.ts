/**
 * One connection of `node:sqlite`, whose oddities end here: rows are plain objects, every integer is a `bigint`, bytes are `Uint8Array`,
 * whole numbers are bound as integers (the driver would bind them as floating point), and errors are typed.
 *
 * Statements run in this thread: a commit with synchronous=FULL was measured at a quarter of a millisecond.
 */
import assert from "node:assert/strict";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { STATEMENTS_KEPT_MAX } from "../../core/limits.ts";
import type { StatementResult } from "./query-session.ts";
import { sqliteError } from "./sqlite-errors.ts";

interface Prepared {
  readonly statement: StatementSync;
  readonly answersRows: boolean;
}

/** How long a statement waits, in this thread, for another process's lock; waiting longer is done outside of it. */
const BUSY_TIMEOUT_MS = 20;

export class SqliteConnection {
  readonly #database: DatabaseSync;
  /** In order of last use. */
  readonly #prepared = new Map<string, Prepared>();

  /** @throws {TroupeError} `DATABASE_UNAVAILABLE` when the file cannot be opened */
  constructor(path: string, options: { readonly readOnly: boolean }) {
    try {
      this.#database = new DatabaseSync(path, { readOnly: options.readOnly, timeout: BUSY_TIMEOUT_MS, enableForeignKeyConstraints: true });
    } catch (error) {
      throw sqliteError(error, `open ${path}`);
    }
  }

  get inTransaction(): boolean {
    return this.#database.isOpen && this.#database.isTransaction;
  }

  /** @throws {TroupeError} see {@link sqliteError} */
  execute(sql: string, parameters: readonly unknown[] = []): StatementResult {
    try {
      const { statement, answersRows } = this.#prepare(sql);
      const values = parameters.map(bindable);
      if (answersRows) return { rows: statement.all(...values).map((row) => ({ ...row })), changedCount: 0n, insertId: 0n };
      const { changes, lastInsertRowid } = statement.run(...values);
      return { rows: [], changedCount: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    } catch (error) {
      throw sqliteError(error, sql);
    }
  }

  close(): void {
    this.#prepared.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #prepare(sql: string): Prepared {
    let prepared = this.#prepared.get(sql);
    if (prepared === undefined) {
      const statement = this.#database.prepare(sql);
      statement.setReadBigInts(true);
      prepared = { statement, answersRows: statement.columns().length > 0 };
    } else {
      this.#prepared.delete(sql);
    }
    this.#prepared.set(sql, prepared);
    if (this.#prepared.size > STATEMENTS_KEPT_MAX) this.#prepared.delete(this.#prepared.keys().next().value as string);
    return prepared;
  }
}

function bindable(value: unknown): SQLInputValue {
  if (typeof value === "number") {
    assert(Number.isSafeInteger(value), `a column holds whole numbers, not ${value}`);
    return BigInt(value);
  }
  if (value === null || typeof value === "bigint" || typeof value === "string") return value;
  assert(value instanceof Uint8Array, `a ${typeof value} cannot be bound to a statement`);
  return value;
}
