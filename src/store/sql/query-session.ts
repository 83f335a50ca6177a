/**
 * Queries of one transaction (or one read) as kysely runs them, over one connection. A session ends with its transaction: a query that
 * somebody forgot to wait for is refused instead of running in the next one.
 */
import assert from "node:assert/strict";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  Kysely,
  MysqlAdapter,
  MysqlQueryCompiler,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteQueryCompiler,
} from "kysely";
import type { SqlDialect } from "./migrations.ts";

export interface StatementResult {
  readonly rows: Record<string, unknown>[];
  /** Rows inserted, updated or deleted; 0 for a statement that answers rows. */
  readonly changedCount: bigint;
  readonly insertId: bigint;
}

export type Execute = (sql: string, parameters: readonly unknown[]) => StatementResult | Promise<StatementResult>;

/** One of each for all sessions: a compiler keeps nothing between two queries, and is costly to make. */
const DIALECTS: Readonly<Record<SqlDialect, { readonly adapter: DialectAdapter; readonly compiler: QueryCompiler }>> = {
  sqlite: { adapter: new SqliteAdapter(), compiler: new SqliteQueryCompiler() },
  mysql: { adapter: new MysqlAdapter(), compiler: new MysqlQueryCompiler() },
};

export class QuerySession<Tables> {
  readonly query: Kysely<Tables>;
  readonly #driver: SessionDriver;

  constructor(dialect: SqlDialect, execute: Execute) {
    this.#driver = new SessionDriver(execute);
    const { adapter, compiler } = DIALECTS[dialect];
    this.query = new Kysely<Tables>({
      dialect: {
        createAdapter: () => adapter,
        createDriver: () => this.#driver,
        createIntrospector: () => assert.fail("tables are known from migrations, and not asked for"),
        createQueryCompiler: () => compiler,
      },
    });
  }

  end(): void {
    this.#driver.ended = true;
  }
}

class SessionDriver implements Driver, DatabaseConnection {
  readonly #execute: Execute;
  ended = false;

  constructor(execute: Execute) {
    this.#execute = execute;
  }

  async executeQuery<Row>(compiled: CompiledQuery): Promise<QueryResult<Row>> {
    assert(!this.ended, "a query runs within its transaction, which waits for it");
    const { rows, changedCount, insertId } = await this.#execute(compiled.sql, compiled.parameters);
    return { rows: rows as Row[], numAffectedRows: changedCount, insertId };
  }

  streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    assert.fail("answers are paged, not streamed");
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return this;
  }

  async beginTransaction(): Promise<void> {
    assert.fail("a transaction is begun by Database.transact");
  }

  async init(): Promise<void> {}
  async commitTransaction(): Promise<void> {}
  async rollbackTransaction(): Promise<void> {}
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {}
}
