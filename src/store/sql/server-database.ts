/**
 * The Database port over a server with connections that can be lost.
 *
 * S1: transactions are READ COMMITTED; what decides is read under a lock.
 * S2: a transaction that the server rolled back (deadlock, lock wait) runs again as a whole; so does one whose connection was lost before
 *     its COMMIT was sent, for nothing of it happened. Both end before whoever asked has left.
 * S3: a connection lost during COMMIT leaves an outcome nobody knows; it is never tried again here.
 * S4: a work that throws leaves nothing behind.
 * S5: reads have connections of their own: however many transactions wait for a row that somebody keeps locked, a read waits for none.
 */
import type { Kysely } from "kysely";
import { TroupeError } from "../../core/errors.ts";
import {
  DATABASE_AWAY_MS_MAX,
  DATABASE_AWAY_PAUSE_MS_MAX,
  DATABASE_BUSY_MS_MAX,
  DATABASE_PAUSE_MS_MAX,
  DATABASE_WAITING_MAX,
  TRANSACTION_ATTEMPTS_MAX,
} from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database, Transaction } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { withRetry } from "../../core/retry.ts";
import type { SqlDialect } from "./migrations.ts";
import { isBusy, isLost } from "./mysql-errors.ts";
import { QuerySession } from "./query-session.ts";
import { ROLLBACK, type ServerConnection } from "./server-connection.ts";

/** Connections of one database, a bounded number of them. */
export interface ServerPool {
  /**
   * Lends a connection for as long as `work` takes, which leaves it as it was: without a transaction, or destroyed.
   * @throws {TroupeError} `DATABASE_UNAVAILABLE`, with `facts.lost` when none could be made
   */
  use<T>(work: (connection: ServerConnection) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface ServerDatabaseOptions<Tables> {
  readonly writers: ServerPool;
  readonly readers: ServerPool;
  readonly dialect: SqlDialect;
  /** What that dialect does in its own way. */
  readonly Transaction: new (
    query: Kysely<Tables>,
  ) => Transaction<Tables>;
  readonly clock: Clock;
  readonly random: Random;
}

/** The count ends what the server refuses at once (deadlocks), time what it refuses after a wait. */
const BUSY_POLICY = { attemptsMax: TRANSACTION_ATTEMPTS_MAX, pauseMinMs: 5, pauseMaxMs: DATABASE_PAUSE_MS_MAX };
/** Time ends it, not the count. */
const LOST_POLICY = { attemptsMax: Number.MAX_SAFE_INTEGER, pauseMinMs: 25, pauseMaxMs: DATABASE_AWAY_PAUSE_MS_MAX };

export class ServerDatabase<Tables> implements Database<Tables> {
  readonly #options: ServerDatabaseOptions<Tables>;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(options: ServerDatabaseOptions<Tables>) {
    this.#options = options;
  }

  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#run(this.#options.writers, (connection) => this.#inTransaction(connection, work));
  }

  /** S5 */
  read<T>(work: (query: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#run(this.#options.readers, (connection) => this.#withSession(connection, ({ query }) => work(query)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await Promise.all([this.#options.writers.close(), this.#options.readers.close()]);
  }

  /** S2 */
  async #run<T>(pool: ServerPool, work: (connection: ServerConnection) => Promise<T>): Promise<T> {
    if (this.#closed) throw new TroupeError("DATABASE_UNAVAILABLE", "The database has been closed.");
    if (this.#underWay.size >= DATABASE_WAITING_MAX)
      throw new TroupeError("DATABASE_UNAVAILABLE", `${this.#underWay.size} transactions are waiting already.`);
    const { clock } = this.#options;
    const askedMs = clock.nowMs();
    const isWithin = (ms: number): boolean => clock.nowMs() - askedMs < ms;
    let begunMs = askedMs;
    const whileBusy = (): Promise<T> => {
      begunMs = clock.nowMs();
      return withRetry(
        BUSY_POLICY,
        this.#options,
        () => pool.use(work),
        (error) => isBusy(error) && isWithin(DATABASE_BUSY_MS_MAX),
      );
    };
    // The next attempt may take as long to fail as this one did, a connection that nobody answers for one.
    const isTimeLeft = (): boolean => isWithin(DATABASE_AWAY_MS_MAX - DATABASE_AWAY_PAUSE_MS_MAX - (clock.nowMs() - begunMs));
    const result = withRetry(LOST_POLICY, this.#options, whileBusy, (error) => isLost(error) && isTimeLeft());
    this.#underWay.add(result);
    try {
      return await result;
    } finally {
      this.#underWay.delete(result);
    }
  }

  /** START TRANSACTION … COMMIT around `work`. */
  async #inTransaction<T>(connection: ServerConnection, work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    await connection.command("START TRANSACTION");
    let result: T;
    try {
      result = await this.#withSession(connection, work);
    } catch (error) {
      await rollBack(connection);
      throw error;
    }
    await commit(connection);
    return result;
  }

  async #withSession<T>(connection: ServerConnection, work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    const { dialect, Transaction } = this.#options;
    const session = new QuerySession<Tables>(dialect, (statement, parameters) => connection.execute(statement, parameters));
    try {
      return await work(new Transaction(session.query));
    } finally {
      session.end();
    }
  }
}

/** S4. A connection that cannot even do this is thrown away, and the server rolls back when it notices. */
async function rollBack(connection: ServerConnection): Promise<void> {
  try {
    await connection.command(ROLLBACK);
  } catch {
    connection.destroy();
  }
}

/** S3. Only "rolled back" is an answer that says what happened. */
async function commit(connection: ServerConnection): Promise<void> {
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
