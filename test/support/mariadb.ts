/**
 * MariaDB for tests: the server of the whole run, on which each test makes databases of its own, or a private one that a test may kill.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import mysql from "mysql2/promise";
import { inject } from "vitest";
import { type MariadbServer, startMariadb } from "../../src/bin/engines/mariadb-server.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { type DatabasePart, databaseName, migrationsDirectory } from "../../src/store/sql/databases.ts";
import { type MysqlOptions, openMysql } from "../../src/store/sql/mysql-database.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { SystemRandom } from "../../src/store/system-random.ts";
import { MARIADB_ACCOUNTS, TEST_PREFIX } from "./mariadb-accounts.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const LOCK_WAIT_ASK_EVERY_MS = 2;
const LOCK_WAIT_ATTEMPTS = 5_000;

/** The URL of the run's server. */
export async function mariadbUrl(): Promise<string> {
  const answer = await fetch(inject("mariadbOnDemand"));
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}

/** Databases of one test: their names begin with a prefix nobody else has, and they are dropped in the end. */
export class MariadbDatabases implements AsyncDisposable {
  readonly url: string;
  readonly prefix = `${TEST_PREFIX}${randomBytes(5).toString("hex")}_`;
  readonly #opened: { close(): Promise<void> }[] = [];

  constructor(url: string) {
    this.url = url;
  }

  static async open(): Promise<MariadbDatabases> {
    return new MariadbDatabases(await mariadbUrl());
  }

  /** Another handle each time, as another process would have. Closed in the end, if the test has not done so. */
  openPart<Tables>(part: DatabasePart, more: Partial<MysqlOptions> = {}): Promise<Database<Tables>> {
    return this.openNamed(databaseName(part, this.prefix), migrationsDirectory(part), more);
  }

  async openNamed<Tables>(name: string, migrations: string, more: Partial<MysqlOptions> = {}): Promise<Database<Tables>> {
    const ports = { clock: new SystemClock(), random: new SystemRandom(), log: SILENT_LOG };
    const database = await openMysql<Tables>({ url: this.url, database: name, migrations, ...ports, ...more });
    this.#opened.push(database);
    return database;
  }

  /** Without the adapter that is tested. Integers come as the driver likes. */
  async ask(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const connection = await mysql.createConnection(this.url);
    try {
      const [rows] = await connection.query(sql, [...values]);
      return rows as Record<string, unknown>[];
    } finally {
      await connection.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((database) => database.close()));
    const rows = await this.ask("SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name LIKE ?", [
      `${this.prefix.replaceAll("_", "\\_")}%`,
    ]);
    for (const { name } of rows) await this.ask(`DROP DATABASE \`${String(name)}\``);
  }
}

export interface PrivateMariadb extends AsyncDisposable {
  readonly url: string;
  readonly databases: MariadbDatabases;
  /** kill -9 */
  kill(): Promise<void>;
  /** On the same directory and port. */
  startAgain(): Promise<void>;
}

/** A server of this test's own. */
export async function privateMariadb(): Promise<PrivateMariadb> {
  const directory = await temporaryDirectory();
  const options = { directory: join(directory.path, "mariadb"), ...MARIADB_ACCOUNTS, durable: false };
  let server: MariadbServer = await startMariadb(options);
  const { url, port } = server;
  return {
    url,
    databases: new MariadbDatabases(url),
    kill: () => server.process.kill(),
    async startAgain() {
      server = await startMariadb({ ...options, port });
    },
    async [Symbol.asyncDispose]() {
      await server.process.kill();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/**
 * Resolves when a transaction on this server waits for another's lock, or when `other` is settled. On a server that tests share it may be
 * somebody else's transaction; who must know has a private one.
 */
export async function lockWaitOr(databases: MariadbDatabases, other: Promise<unknown> = new Promise(() => {})): Promise<void> {
  let isSettled = false;
  const settled = other.then(
    () => (isSettled = true),
    () => (isSettled = true),
  );
  const connection = await mysql.createConnection(databases.url);
  try {
    for (let attempt = 0; attempt < LOCK_WAIT_ATTEMPTS; attempt += 1) {
      await Promise.race([settled, pause(LOCK_WAIT_ASK_EVERY_MS)]);
      if (isSettled) return;
      const [rows] = await connection.query<mysql.RowDataPacket[]>("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
      if (Number(rows[0]?.["Value"]) > 0) return;
    }
  } finally {
    await connection.end();
  }
  throw new Error("no transaction waits for a lock, and none has ended");
}
