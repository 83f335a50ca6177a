/**
 * Queries of one transaction (or one read) as kysely runs them, over the one connection. A session ends with its transaction: a query
 * that somebody forgot to wait for is refused instead of running in the next one.
 */
import assert from "node:assert/strict";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { SqliteConnection } from "./sqlite-connection.ts";

export class SqliteSession<Tables> {
  readonly query: Kysely<Tables>;
  readonly #driver: SessionDriver;

  constructor(connection: SqliteConnection) {
    this.#driver = new SessionDriver(connection);
    this.query = new Kysely<Tables>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => this.#driver,
        createIntrospector: (query) => new SqliteIntrospector(query),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    });
  }

  end(): void {
    this.#driver.ended = true;
  }
}

class SessionDriver implements Driver, DatabaseConnection {
  readonly #connection: SqliteConnection;
  ended = false;

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  async executeQuery<Row>(compiled: CompiledQuery): Promise<QueryResult<Row>> {
    assert(!this.ended, "a query runs within its transaction, which waits for it");
    const { rows, changedCount, insertId } = this.#connection.execute(compiled.sql, compiled.parameters);
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
