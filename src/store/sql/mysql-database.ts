/** The Database port over a MySQL or MariaDB server: what these two do in their own way. The rest is {@link ServerDatabase}. */
import type { Insertable, Kysely, SelectQueryBuilder } from "kysely";
import { sql } from "kysely";
import { DATABASE_READERS_MAX, DATABASE_WRITERS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database, Transaction } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { parseMysqlUrl } from "./mysql-address.ts";
import { prepareMysqlDatabase } from "./mysql-opening.ts";
import { MysqlPool } from "./mysql-pool.ts";
import { ServerDatabase } from "./server-database.ts";

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

/**
 * Opens the database, made when missing, and brings it to the newest format.
 * @throws {TroupeError} `SETTING_INVALID` (the address, the user, the server's version), `DATABASE_UNAVAILABLE`, `MIGRATION_CHANGED`,
 * `FORMAT_TOO_NEW`
 */
export async function openMysql<Tables>(options: MysqlOptions): Promise<Database<Tables>> {
  const address = parseMysqlUrl(options.url);
  await prepareMysqlDatabase(address, options);
  const { database, clock, random } = options;
  const writers = new MysqlPool(address, database, { clock, connectionsMax: DATABASE_WRITERS_MAX });
  const readers = new MysqlPool(address, database, { clock, connectionsMax: DATABASE_READERS_MAX });
  return new ServerDatabase<Tables>({ writers, readers, dialect: "mysql", Transaction: MysqlTransaction, clock, random });
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
