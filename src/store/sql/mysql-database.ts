/**
 * The Database port over a MySQL or MariaDB server.
 *
 * S1: transactions are READ COMMITTED; what decides is read under a lock.
 * S2: a transaction that the server rolled back (deadlock, lock wait) runs again as a whole; so does one whose connection was lost before
 *     its COMMIT was sent, for nothing of it happened. Both end before whoever asked has left.
 * S3: a connection lost during COMMIT leaves an outcome nobody knows; it is never tried again here.
 * S4: a work that throws leaves nothing behind.
 * S5: reads have connections of their own: however many transactions wait for a row that somebody keeps locked, a read waits for none.
 */
import type { Insertable, Kysely, SelectQueryBuilder } from "kysely";
import { sql } from "kysely";
import { TroupeError } from "../../core/errors.ts";
import {
  DATABASE_AWAY_MS_MAX,
  DATABASE_AWAY_PAUSE_MS_MAX,
  DATABASE_BUSY_MS_MAX,
  DATABASE_PAUSE_MS_MAX,
  DATABASE_READERS_MAX,
  DATABASE_WAITING_MAX,
  DATABASE_WRITERS_MAX,
  TRANSACTION_ATTEMPTS_MAX,
} from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database, Transaction } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { withRetry } from "../../core/retry.ts";
import { parseMysqlUrl } from "./mysql-address.ts";
import { type MysqlConnection, ROLLBACK } from "./mysql-connection.ts";
import { isBusy, isLost } from "./mysql-errors.ts";
import { prepareMysqlDatabase } from "./mysql-opening.ts";
import { MysqlPool } from "./mysql-pool.ts";
import { QuerySession } from "./query-session.ts";

export interface MysqlOptions {
  /** See {@link parseMysqlUrl}. It names no database. */
  readonly url: string;
  /** As `databaseName` gives it; made when it is missing. */
  readonly database: string;
  /** The folder of this database's migrations; see `migrate`. */
  readonly migrations: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The count ends what the server refuses at once (deadlocks), time what it refuses after a wait. */
const BUSY_POLICY = { attemptsMax: TRANSACTION_ATTEMPTS_MAX, pauseMinMs: 5, pauseMaxMs: DATABASE_PAUSE_MS_MAX };
/** Time ends it, not the count. */
const LOST_POLICY = { attemptsMax: Number.MAX_SAFE_INTEGER, pauseMinMs: 25, pauseMaxMs: DATABASE_AWAY_PAUSE_MS_MAX };

/**
 * Opens the database, made when missing, and brings it to the newest format.
 * @throws {TroupeError} `SETTING_INVALID` (the address, the user, the server's version), `DATABASE_UNAVAILABLE`, `MIGRATION_CHANGED`,
 * `FORMAT_TOO_NEW`
 */
export async function openMysql<Tables>(options: MysqlOptions): Promise<Database<Tables>> {
  const address = parseMysqlUrl(options.url);
  await prepareMysqlDatabase(address, options);
  const { database, clock } = options;
  const writers = new MysqlPool(address, database, { clock, connectionsMax: DATABASE_WRITERS_MAX });
  const readers = new MysqlPool(address, database, { clock, connectionsMax: DATABASE_READERS_MAX });
  return new MysqlDatabase<Tables>(writers, readers, options);
}

type Ports = Pick<MysqlOptions, "clock" | "random">;

class MysqlDatabase<Tables> implements Database<Tables> {
  readonly #writers: MysqlPool;
  readonly #readers: MysqlPool;
  readonly #ports: Ports;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(writers: MysqlPool, readers: MysqlPool, ports: Ports) {
    this.#writers = writers;
    this.#readers = readers;
    this.#ports = ports;
  }

  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#run(this.#writers, (connection) => inTransaction<Tables, T>(connection, work));
  }

  /** S5 */
  read<T>(work: (query: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#run(this.#readers, (connection) => withSession<Tables, T>(connection, ({ query }) => work(query)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await Promise.all([this.#writers.close(), this.#readers.close()]);
  }

  /** S2 */
  async #run<T>(pool: MysqlPool, work: (connection: MysqlConnection) => Promise<T>): Promise<T> {
    if (this.#closed) throw new TroupeError("DATABASE_UNAVAILABLE", "The database has been closed.");
    if (this.#underWay.size >= DATABASE_WAITING_MAX)
      throw new TroupeError("DATABASE_UNAVAILABLE", `${this.#underWay.size} transactions are waiting already.`);
    const { clock } = this.#ports;
    const askedMs = clock.nowMs();
    const isWithin = (ms: number): boolean => clock.nowMs() - askedMs < ms;
    let begunMs = askedMs;
    const whileBusy = (): Promise<T> => {
      begunMs = clock.nowMs();
      return withRetry(
        BUSY_POLICY,
        this.#ports,
        () => pool.use(work),
        (error) => isBusy(error) && isWithin(DATABASE_BUSY_MS_MAX),
      );
    };
    // The next attempt may take as long to fail as this one did, a connection that nobody answers for one.
    const isTimeLeft = (): boolean => isWithin(DATABASE_AWAY_MS_MAX - DATABASE_AWAY_PAUSE_MS_MAX - (clock.nowMs() - begunMs));
    const result = withRetry(LOST_POLICY, this.#ports, whileBusy, (error) => isLost(error) && isTimeLeft());
    this.#underWay.add(result);
    try {
      return await result;
    } finally {
      this.#underWay.delete(result);
    }
  }
}

/** START TRANSACTION … COMMIT around `work`. */
async function inTransaction<Tables, T>(connection: MysqlConnection, work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
  await connection.command("START TRANSACTION");
  let result: T;
  try {
    result = await withSession<Tables, T>(connection, work);
  } catch (error) {
    await rollBack(connection);
    throw error;
  }
  await commit(connection);
  return result;
}

async function withSession<Tables, T>(
  connection: MysqlConnection,
  work: (transaction: MysqlTransaction<Tables>) => Promise<T>,
): Promise<T> {
  const session = new QuerySession<Tables>("mysql", (statement, parameters) => connection.execute(statement, parameters));
  try {
    return await work(new MysqlTransaction(session.query));
  } finally {
    session.end();
  }
}

/** S4. A connection that cannot even do this is thrown away, and the server rolls back when it notices. */
async function rollBack(connection: MysqlConnection): Promise<void> {
  try {
    await connection.command(ROLLBACK);
  } catch {
    connection.destroy();
  }
}

/** S3. Only "rolled back" is an answer that says what happened. */
async function commit(connection: MysqlConnection): Promise<void> {
  try {
    await connection.command("COMMIT");
  } catch (error) {
    if (isBusy(error)) throw error;
    connection.destroy();
    throw new TroupeError("DATABASE_UNAVAILABLE", "The connection to the database was lost while committing: the outcome is unknown.", {
      cause: error,
      facts: { outcomeUnknown: true },
    });
  }
}

class MysqlTransaction<Tables> implements Transaction<Tables> {
  readonly query: Kysely<Tables>;

  constructor(query: Kysely<Tables>) {
    this.query = query;
  }

  /**
   * "On duplicate key, change nothing": unlike a plain insert that fails, it takes the lock on the row that is there which a caller who
   * goes on to change it needs, so two of them wait for each other in turn and not in a circle; unlike INSERT IGNORE it hides no other error.
   */
  async insertIfAbsent<Name extends keyof Tables & string>(table: Name, row: Insertable<Tables[Name]>): Promise<boolean> {
    const [column] = Object.keys(row);
    const result = await this.query
      .insertInto(table)
      .values(row)
      .onDuplicateKeyUpdate({ [column as string]: sql.ref(column as string) } as never)
      .executeTakeFirst();
    return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
  }

  lock<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output> {
    return query.forUpdate();
  }

  claim<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output> {
    return query.forUpdate().skipLocked();
  }
}
