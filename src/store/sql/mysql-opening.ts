/** Before a database on a server is used: is it a server we know, may we be there, is the database there and of our format? */
import mysql, { type Connection } from "mysql2";
import { TroupeError } from "../../core/errors.ts";
import { DATABASE_OPENING_MS_MAX, MIGRATION_LOCK_WAIT_MS_MAX, MIGRATION_STATEMENT_MS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { migrate } from "./migrations.ts";
import type { MysqlAddress } from "./mysql-address.ts";
import { connectionOptions, mysqlConnection } from "./mysql-connection.ts";
import { isLost, mysqlError, serverNumber } from "./mysql-errors.ts";
import { MysqlMigrationTarget } from "./mysql-migrations.ts";
import { SESSION_STATEMENTS } from "./mysql-pool.ts";
import type { ServerConnection } from "./server-connection.ts";

export interface Opening {
  readonly database: string;
  readonly migrations: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The first versions with `SKIP LOCKED`. */
const OLDEST = { MariaDB: [10, 6], MySQL: [8, 0] } as const;
const UNKNOWN_DATABASE = 1049;
/** Of this database; of this user and password; of this user by this way of logging in. */
const NO_ACCESS = [1044, 1045, 1698];

/** @throws {TroupeError} `SETTING_INVALID`, `DATABASE_UNAVAILABLE`, `MIGRATION_CHANGED`, `FORMAT_TOO_NEW` */
export async function prepareMysqlDatabase(address: MysqlAddress, opening: Opening): Promise<void> {
  const driver = await connect(address);
  const connection = mysqlConnection(driver, { clock: opening.clock, statementMs: MIGRATION_STATEMENT_MS_MAX, place: address.shown });
  try {
    await checkServer(connection, address, opening.log);
    await enterDatabase(connection, address, opening.database);
    for (const statement of SESSION_STATEMENTS) await connection.command(statement);
    // Whoever waits for another's migration says nothing meanwhile.
    await connection.command(`SET SESSION wait_timeout = ${Math.ceil(MIGRATION_STATEMENT_MS_MAX / 1_000)}`);
    // A migration that is refused a row stops its process, and nobody waits for an answer; others may be at work in the tables.
    await connection.command(`SET SESSION innodb_lock_wait_timeout = ${MIGRATION_LOCK_WAIT_MS_MAX / 1_000}`);
    await migrate(new MysqlMigrationTarget(connection, opening.database, opening.clock), opening.migrations, "mysql", opening.log);
  } finally {
    connection.destroy();
  }
}

function connect(address: MysqlAddress): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const connection = mysql.createConnection({ ...connectionOptions(address), connectTimeout: DATABASE_OPENING_MS_MAX });
    const refuse = (error: unknown): void => {
      connection.destroy();
      reject(refusalOf(error, address) ?? absence(mysqlError(error, "connect", address.shown), address));
    };
    // Whoever waits for a statement hears of it there.
    connection.on("error", () => {});
    connection.once("error", refuse);
    connection.once("connect", () => {
      connection.off("error", refuse);
      resolve(connection);
    });
  });
}

function refusalOf(error: unknown, { user, shown }: MysqlAddress): TroupeError | undefined {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  if (code === "HANDSHAKE_NO_SSL_SUPPORT")
    return new TroupeError("SETTING_INVALID", `The database server at ${shown} does not encrypt connections, and --mysql asks for it.`);
  if (code === "HANDSHAKE_SSL_ERROR") {
    return new TroupeError(
      "SETTING_INVALID",
      `The certificate of the database server at ${shown} is not accepted (${message}): NODE_EXTRA_CA_CERTS names authorities of your own, and ?ssl=unverified accepts any.`,
      { cause: error },
    );
  }
  if (!NO_ACCESS.includes(serverNumber(error) ?? 0)) return undefined;
  return new TroupeError(
    "SETTING_INVALID",
    `The database server at ${shown} refuses ${user === undefined ? "a login without a name" : `the user '${user}'`}: are user and password in --mysql right?`,
    { cause: error },
  );
}

/** Nobody has ever answered there: as likely as a server that is away, the address is wrong. */
function absence(error: TroupeError, { shown }: MysqlAddress): TroupeError {
  if (!isLost(error) || serverNumber(error) !== undefined) return error;
  const { code, message } = error.cause as { readonly code?: string; readonly message?: string };
  return new TroupeError(
    "DATABASE_UNAVAILABLE",
    `No database server answers at ${shown} (${code ?? message}): is MySQL or MariaDB running there? --mysql names it.`,
    { cause: error.cause, facts: error.facts },
  );
}

async function checkServer(connection: ServerConnection, { shown }: MysqlAddress, log: Log): Promise<void> {
  const { rows } = await connection.execute(
    "SHOW VARIABLES WHERE Variable_name IN ('version', 'log_bin', 'binlog_format', 'innodb_flush_log_at_trx_commit')",
  );
  const variables = new Map(rows.map((row) => [String(row["Variable_name"]), String(row["Value"])]));
  const version = variables.get("version") ?? "";
  const kind = /mariadb/i.test(version) ? "MariaDB" : "MySQL";
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const [oldestMajor, oldestMinor] = OLDEST[kind];
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    throw new TroupeError(
      "SETTING_INVALID",
      `The database server at ${shown} is ${kind} ${version}; ${kind} ${oldestMajor}.${oldestMinor} is the oldest that will do.`,
    );
  }
  if (variables.get("log_bin") === "ON" && variables.get("binlog_format") === "STATEMENT") {
    throw new TroupeError(
      "SETTING_INVALID",
      `The database server at ${shown} writes its binary log as statements, which READ COMMITTED does not allow: set binlog_format to ROW or MIXED.`,
    );
  }
  if ((variables.get("innodb_flush_log_at_trx_commit") ?? "1") !== "1") {
    log.warn(
      { server: shown, innodb_flush_log_at_trx_commit: variables.get("innodb_flush_log_at_trx_commit") },
      "The database server may forget what it has committed when its machine fails: set innodb_flush_log_at_trx_commit to 1.",
    );
  }
}

/** Our names for databases need no quoting, and have been checked. */
async function enterDatabase(connection: ServerConnection, address: MysqlAddress, database: string): Promise<void> {
  try {
    try {
      await connection.command(`USE \`${database}\``);
    } catch (error) {
      if (serverNumber(error) !== UNKNOWN_DATABASE) throw error;
      await connection.command(`CREATE DATABASE IF NOT EXISTS \`${database}\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
      await connection.command(`USE \`${database}\``);
    }
  } catch (error) {
    if (!NO_ACCESS.includes(serverNumber(error) ?? 0)) throw error;
    const user = address.user ?? "";
    throw new TroupeError(
      "SETTING_INVALID",
      `The user '${user}' of the database server at ${address.shown} may not use or make the database ${database}. ` +
        `As its administrator: GRANT ALL PRIVILEGES ON \`${database.replaceAll("_", "\\_")}\`.* TO '${user}'@'%';`,
      { cause: error },
    );
  }
}
