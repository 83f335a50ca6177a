/** Connections of one database, a bounded number of them: each set up once, lent to one user at a time, and thrown away when it fails. */
import mysql, { type Pool, type PoolConnection } from "mysql2";
import { TroupeError } from "../../core/errors.ts";
import { DATABASE_IDLE_MS, DATABASE_LOCK_WAIT_MS_MAX, DATABASE_SILENCE_MS_MAX, DATABASE_STATEMENT_MS_MAX } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { MysqlAddress } from "./mysql-address.ts";
import { connectionOptions, mysqlConnection } from "./mysql-connection.ts";
import { mysqlError } from "./mysql-errors.ts";
import type { ServerConnection } from "./server-connection.ts";
import type { ServerPool } from "./server-database.ts";

/** Both servers know these; a server's own defaults are somebody else's choice. */
export const SESSION_STATEMENTS = [
  `SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', SESSION autocommit = 1, SESSION innodb_lock_wait_timeout = ${DATABASE_LOCK_WAIT_MS_MAX / 1_000}, SESSION wait_timeout = ${Math.ceil(DATABASE_SILENCE_MS_MAX / 1_000)}`,
  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

export class MysqlPool implements ServerPool {
  readonly #pool: Pool;
  readonly #address: MysqlAddress;
  readonly #clock: Clock;
  /** Connections of the driver's that are set up. */
  readonly #ready = new WeakMap<PoolConnection, ServerConnection>();

  constructor(address: MysqlAddress, database: string, options: { readonly clock: Clock; readonly connectionsMax: number }) {
    this.#address = address;
    this.#clock = options.clock;
    this.#pool = mysql.createPool({
      ...connectionOptions(address, database),
      connectionLimit: options.connectionsMax,
      // The driver closes none for being idle unless at least one may not be.
      maxIdle: Math.max(1, options.connectionsMax - 1),
      idleTimeout: DATABASE_IDLE_MS,
      gracefulEnd: true,
    });
    // One that fails while nobody uses it only leaves the pool.
    this.#pool.on("connection", (connection) => connection.on("error", () => {}));
  }

  async use<T>(work: (connection: ServerConnection) => Promise<T>): Promise<T> {
    const borrowed = await this.#borrow();
    const connection = this.#ready.get(borrowed) ?? (await this.#setUp(borrowed));
    try {
      return await work(connection);
    } finally {
      if (connection.isUsable) borrowed.release();
      else connection.destroy();
    }
  }

  /** Resolves when every connection has said goodbye; one that cannot is gone anyway. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#pool.end(() => resolve());
    });
  }

  #borrow(): Promise<PoolConnection> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = this.#clock.setTimer(DATABASE_STATEMENT_MS_MAX, () => {
        isLate = true;
        reject(new TroupeError("DATABASE_UNAVAILABLE", "Every connection to the database has been busy for too long."));
      });
      this.#pool.getConnection((error, connection) => {
        timer.cancel();
        if (isLate) return connection?.release();
        if (error) return reject(mysqlError(error, "connect", this.#address.shown));
        resolve(connection);
      });
    });
  }

  async #setUp(borrowed: PoolConnection): Promise<ServerConnection> {
    const connection = mysqlConnection(borrowed, {
      clock: this.#clock,
      statementMs: DATABASE_STATEMENT_MS_MAX,
      place: this.#address.shown,
    });
    try {
      for (const statement of SESSION_STATEMENTS) await connection.command(statement);
    } catch (error) {
      connection.destroy();
      throw error;
    }
    this.#ready.set(borrowed, connection);
    return connection;
  }
}
