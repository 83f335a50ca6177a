/**
 * Bringing a database on a server to the newest format, over a connection of its own.
 *
 * N1: one starter at a time, by a lock that the server takes back when the connection ends.
 * N2: data definition commits by itself, so how far a migration has come is kept: each statement is counted when it is done, one that
 *     changes rows in the same transaction. A starter that died between a definition and its count leaves one statement of which nobody
 *     knows; it is run again, and "that is there already" (or gone already) then means that it was done.
 */
import { TroupeError } from "../../core/errors.ts";
import { MIGRATION_LOCK_WAIT_MS_MAX } from "../../core/limits.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { AppliedMigration, Migration, MigrationTarget } from "./migrations.ts";
import { serverNumber } from "./mysql-errors.ts";
import type { ServerConnection } from "./server-connection.ts";

const LOCK_SECONDS = MIGRATION_LOCK_WAIT_MS_MAX / 1_000;
const TABLE = `CREATE TABLE IF NOT EXISTS t_migration (
  number BIGINT NOT NULL,
  name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  checksum VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  done_count BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  end_time BIGINT NULL,
  PRIMARY KEY (number)
) ENGINE = InnoDB`;
/** Table exists, unknown table (dropped), duplicate column, duplicate key, no such column or key to drop. */
const DONE_ALREADY = [1050, 1051, 1060, 1061, 1091];

export class MysqlMigrationTarget implements MigrationTarget {
  readonly #connection: ServerConnection;
  readonly #database: string;
  readonly #clock: Clock;

  constructor(connection: ServerConnection, database: string, clock: Clock) {
    this.#connection = connection;
    this.#database = database;
    this.#clock = clock;
  }

  /** N1 */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const name = `troupe ${this.#database}`;
    const { rows } = await this.#connection.execute("SELECT GET_LOCK(?, ?) AS held", [name, LOCK_SECONDS]);
    if (rows[0]?.["held"] !== 1n)
      throw new TroupeError(
        "DATABASE_UNAVAILABLE",
        `Another process has been migrating ${this.#database} for ${LOCK_SECONDS} s; start again when it is done.`,
      );
    try {
      return await work();
    } finally {
      if (this.#connection.isUsable) await this.#connection.execute("SELECT RELEASE_LOCK(?) AS released", [name]);
    }
  }

  async applied(): Promise<AppliedMigration[]> {
    await this.#connection.command(TABLE);
    const { rows } = await this.#connection.execute(
      "SELECT number, name, checksum FROM t_migration WHERE end_time IS NOT NULL ORDER BY number",
    );
    return rows.map((row) => ({
      number: safeInteger(row["number"] as bigint),
      name: row["name"] as string,
      checksum: row["checksum"] as string,
    }));
  }

  /** N2 */
  async apply({ number, name, checksum, statements }: Migration): Promise<void> {
    const [begun] = (await this.#connection.execute("SELECT checksum, done_count FROM t_migration WHERE number = ?", [number])).rows;
    if (begun !== undefined && begun["checksum"] !== checksum) {
      throw new TroupeError(
        "MIGRATION_CHANGED",
        `Migration ${number} (${name}) was interrupted half-way and has another text now; restore the file, and start again.`,
      );
    }
    if (begun === undefined) {
      await this.#connection.execute("INSERT INTO t_migration (number, name, checksum, done_count, create_time) VALUES (?, ?, ?, 0, ?)", [
        number,
        name,
        checksum,
        this.#clock.wallMs(),
      ]);
    }
    const doneCount = begun === undefined ? 0 : safeInteger(begun["done_count"] as bigint);
    for (const [index, statement] of statements.entries()) {
      if (index >= doneCount) await this.#step(number, index, statement, begun !== undefined && index === doneCount);
    }
    await this.#connection.execute("UPDATE t_migration SET end_time = ? WHERE number = ?", [this.#clock.wallMs(), number]);
  }

  async #step(number: number, index: number, statement: string, mayBeDone: boolean): Promise<void> {
    await this.#connection.command("START TRANSACTION");
    try {
      await this.#connection.command(statement);
    } catch (error) {
      if (!mayBeDone || !DONE_ALREADY.includes(serverNumber(error) ?? 0)) throw error;
    }
    await this.#connection.execute("UPDATE t_migration SET done_count = ? WHERE number = ?", [index + 1, number]);
    await this.#connection.command("COMMIT");
  }
}
