/**
 * The Database port over SQLite.
 *
 * Q1: transactions of one database run one at a time; each begins with the write lock, so none meets another half-way.
 * Q2: reads of a file go through a second connection, which sees what is committed and waits for nobody; a database in memory has one
 *     connection, and reads wait their turn.
 * Q3: a work that throws leaves nothing behind.
 */
import type { Insertable, Kysely, SelectQueryBuilder } from "kysely";
import { DATABASE_WAITING_MAX, TRANSACTION_ATTEMPTS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database, Transaction } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { withRetry } from "../../core/retry.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { type AppliedMigration, type Migration, type MigrationTarget, migrate } from "./migrations.ts";
import { QuerySession } from "./query-session.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { isBusy } from "./sqlite-errors.ts";
import { WorkQueue } from "./work-queue.ts";

export interface SqliteOptions {
  /** A file, made when missing, or `:memory:`. */
  readonly path: string;
  /** The folder of this database's migrations; see {@link migrate}. */
  readonly migrations: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const RETRY_POLICY = { attemptsMax: TRANSACTION_ATTEMPTS_MAX, pauseMinMs: 5, pauseMaxMs: 500 };

/**
 * Opens the database and brings it to the newest format.
 * @throws {TroupeError} `DATABASE_UNAVAILABLE`, `DISK_FULL`, `MIGRATION_CHANGED`, `FORMAT_TOO_NEW`, `SETTING_INVALID`
 */
export async function openSqlite<Tables>(options: SqliteOptions): Promise<Database<Tables>> {
  const inMemory = options.path === ":memory:";
  const writer = new SqliteConnection(options.path, { readOnly: false });
  const connections = [writer];
  try {
    // Two starters may ask for this at once, and SQLite does not wait for it.
    await withRetry(RETRY_POLICY, options, async () => writer.execute("PRAGMA journal_mode = WAL"), isBusy);
    writer.execute("PRAGMA synchronous = FULL");
    await migrate(new SqliteMigrationTarget(writer, options), options.migrations, "sqlite", options.log);
    const reader = inMemory ? writer : new SqliteConnection(options.path, { readOnly: true });
    if (!inMemory) connections.unshift(reader);
    return new SqliteDatabase<Tables>(writer, reader, options);
  } catch (error) {
    for (const connection of connections) connection.close();
    throw error;
  }
}

class SqliteDatabase<Tables> implements Database<Tables> {
  readonly #writer: SqliteConnection;
  readonly #reader: SqliteConnection;
  readonly #ports: Pick<SqliteOptions, "clock" | "random">;
  readonly #transactions = new WorkQueue(DATABASE_WAITING_MAX);
  readonly #reads: WorkQueue;

  constructor(writer: SqliteConnection, reader: SqliteConnection, ports: Pick<SqliteOptions, "clock" | "random">) {
    this.#writer = writer;
    this.#reader = reader;
    this.#ports = ports;
    // Q2. A read never waits for anything but the connection, so one at a time is no slower.
    this.#reads = reader === writer ? this.#transactions : new WorkQueue(DATABASE_WAITING_MAX);
  }

  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#transactions.run(() => inTransaction(this.#writer, this.#ports, () => this.#within(this.#writer, work)));
  }

  read<T>(work: (query: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#reads.run(() => this.#within(this.#reader, ({ query }) => work(query)));
  }

  async close(): Promise<void> {
    await Promise.all([this.#transactions.close(), this.#reads.close()]);
    // The writer last: the last connection of a file folds the write-ahead log into it.
    this.#reader.close();
    this.#writer.close();
  }

  async #within<T>(connection: SqliteConnection, work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    const session = new QuerySession<Tables>("sqlite", (sql, parameters) => connection.execute(sql, parameters));
    try {
      return await work(new SqliteTransaction(session.query));
    } finally {
      session.end();
    }
  }
}

export class SqliteTransaction<Tables> implements Transaction<Tables> {
  readonly query: Kysely<Tables>;

  constructor(query: Kysely<Tables>) {
    this.query = query;
  }

  async insertIfAbsent<Name extends keyof Tables & string>(table: Name, row: Insertable<Tables[Name]>): Promise<boolean> {
    const result = await this.query
      .insertInto(table)
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }

  /** The whole database is locked already (Q1). */
  lock<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output> {
    return query;
  }

  claim<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output> {
    return query;
  }
}

/** BEGIN … COMMIT around `work`, again from the start while another process has the lock. */
function inTransaction<T>(
  connection: SqliteConnection,
  ports: Pick<SqliteOptions, "clock" | "random">,
  work: () => Promise<T>,
): Promise<T> {
  return withRetry(
    RETRY_POLICY,
    ports,
    async () => {
      connection.execute("BEGIN IMMEDIATE");
      try {
        const result = await work();
        connection.execute("COMMIT");
        return result;
      } catch (error) {
        // Q3. SQLite has rolled back by itself after some errors.
        if (connection.inTransaction) connection.execute("ROLLBACK");
        throw error;
      }
    },
    isBusy,
  );
}

class SqliteMigrationTarget implements MigrationTarget {
  readonly #connection: SqliteConnection;
  readonly #ports: SqliteOptions;

  constructor(connection: SqliteConnection, ports: SqliteOptions) {
    this.#connection = connection;
    this.#ports = ports;
  }

  /** Data definition is transactional here: a migration that fails leaves nothing. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return inTransaction(this.#connection, this.#ports, work);
  }

  async applied(): Promise<AppliedMigration[]> {
    this.#connection.execute(
      "CREATE TABLE IF NOT EXISTS t_migration (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, create_time BIGINT NOT NULL)",
    );
    const { rows } = this.#connection.execute("SELECT number, name, checksum FROM t_migration ORDER BY number");
    return rows.map((row) => ({
      number: safeInteger(row["number"] as bigint),
      name: row["name"] as string,
      checksum: row["checksum"] as string,
    }));
  }

  async apply({ number, name, checksum, statements }: Migration): Promise<void> {
    for (const statement of statements) this.#connection.execute(statement);
    this.#connection.execute("INSERT INTO t_migration (number, name, checksum, create_time) VALUES (?, ?, ?, ?)", [
      number,
      name,
      checksum,
      this.#ports.clock.wallMs(),
    ]);
  }
}
