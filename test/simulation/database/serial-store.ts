/**
 * The tables of one database, in memory, with one transaction at a time.
 *
 * C1: a read beside the transaction sees what is committed and waits for nobody: what the transaction has changed is taken back for it,
 *     and done again before the transaction's next statement. Nobody else writes meanwhile, so it comes to the same.
 */
import assert from "node:assert/strict";
import type { Migration } from "../../../src/store/sql/migrations.ts";
import type { StatementResult } from "../../../src/store/sql/query-session.ts";
import { SqliteConnection } from "../../../src/store/sql/sqlite-connection.ts";

interface Change {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** All rows of all tables. */
export type Snapshot = ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>;

export class SerialStore {
  readonly #connection = new SqliteConnection(":memory:", { readOnly: false });
  /** What the transaction has changed so far. */
  readonly #changes: Change[] = [];
  #isOpen = false;
  /** Whether the tables hold what the transaction has changed (C1). */
  #isApplied = false;

  constructor(migrations: readonly Migration[]) {
    for (const { statements } of migrations) for (const statement of statements) this.#connection.execute(statement);
  }

  begin(): void {
    assert(!this.#isOpen, "one transaction at a time");
    this.#isOpen = true;
  }

  /** A statement of the transaction. @throws {TroupeError} as SQLite refuses it */
  execute(sql: string, parameters: readonly unknown[]): StatementResult {
    this.#apply();
    const result = this.#connection.execute(sql, parameters);
    if (result.changedCount > 0n) this.#changes.push({ sql, parameters });
    return result;
  }

  commit(): void {
    assert(this.#isOpen, "a transaction is under way");
    if (this.#changes.length > 0) this.#apply();
    if (this.#isApplied) this.#connection.execute("COMMIT");
    this.#isApplied = false;
    this.#end();
  }

  rollBack(): void {
    assert(this.#isOpen, "a transaction is under way");
    this.#setAside();
    this.#end();
  }

  /** C1. @throws {TroupeError} as SQLite refuses it */
  read(sql: string, parameters: readonly unknown[] = []): StatementResult {
    this.#setAside();
    return this.#connection.execute(sql, parameters);
  }

  /** What is committed. */
  snapshot(): Snapshot {
    return new Map(this.#tables().map((table) => [table, this.read(`SELECT * FROM ${table}`).rows]));
  }

  /** Makes the tables what they were; no transaction is under way. */
  restore(snapshot: Snapshot): void {
    this.begin();
    for (const table of this.#tables()) {
      this.execute(`DELETE FROM ${table}`, []);
      for (const row of snapshot.get(table) ?? []) {
        const columns = Object.keys(row);
        this.execute(
          `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
          columns.map((column) => row[column]),
        );
      }
    }
    this.commit();
  }

  #tables(): string[] {
    return this.read("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name").rows.map((row) =>
      String(row["name"]),
    );
  }

  #apply(): void {
    assert(this.#isOpen, "a transaction is under way");
    if (this.#isApplied) return;
    this.#connection.execute("BEGIN");
    this.#isApplied = true;
    for (const { sql, parameters } of this.#changes) this.#connection.execute(sql, parameters);
  }

  #setAside(): void {
    if (!this.#isApplied) return;
    this.#connection.execute("ROLLBACK");
    this.#isApplied = false;
  }

  #end(): void {
    this.#changes.length = 0;
    this.#isOpen = false;
  }
}
