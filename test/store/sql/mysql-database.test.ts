import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import {
  DATABASE_AWAY_MS_MAX,
  DATABASE_BUSY_MS_MAX,
  DATABASE_LOCK_WAIT_MS_MAX,
  DATABASE_READERS_MAX,
  DATABASE_STATEMENT_MS_MAX,
  DATABASE_WAITING_MAX,
  DATABASE_WRITERS_MAX,
  MIGRATION_LOCK_WAIT_MS_MAX,
  TRANSACTION_ATTEMPTS_MAX,
} from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { migrationsDirectory } from "../../../src/store/sql/databases.ts";
import { readMigrations } from "../../../src/store/sql/migrations.ts";
import { type MysqlOptions, openMysql } from "../../../src/store/sql/mysql-database.ts";
import { CONTRACT_MIGRATIONS, type ContractTables, databaseContract } from "../../contract/database.ts";
import { CuttingProxy } from "../../support/cutting-proxy.ts";
import { lockWaitOr, MariadbDatabases, privateMariadb } from "../../support/mariadb.ts";
import { PausingClock } from "../../support/pausing-clock.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { settle, VirtualClock } from "../../support/virtual-clock.ts";

const PORTS = { clock: new VirtualClock(), random: new SeededRandom(1), log: SILENT_LOG };

type Rows = Database<ContractTables>;

const openRows = (databases: MariadbDatabases, more: Partial<MysqlOptions> = {}): Promise<Rows> =>
  databases.openNamed<ContractTables>(`${databases.prefix}rows`, CONTRACT_MIGRATIONS, more);

databaseContract("MariaDB", async () => {
  const databases = await MariadbDatabases.open();
  const open = () => openRows(databases);
  return { database: await open(), openSecond: open, [Symbol.asyncDispose]: () => databases[Symbol.asyncDispose]() };
});

const row = (name: string) => ({ name: bytesOf(name), amount: 1, content: null, live: null });
const insert = (database: Rows, name: string) => database.transact((transaction) => transaction.insertIfAbsent("t_row", row(name)));
const amountOf = (query: Parameters<Parameters<Rows["read"]>[0]>[0], name: string) =>
  query.selectFrom("t_row").select("amount").where("name", "=", bytesOf(name));
const countOf = (database: Rows) =>
  database.read((query) => query.selectFrom("t_row").select("name").execute()).then(({ length }) => length);
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => expect.unreachable("it was to fail"),
    (error: unknown) => error,
  );

describe("a session on a server", () => {
  test("is READ COMMITTED, strict, and waits a bounded time for a lock", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    const { rows } = await database.read((query) =>
      sql<{ Variable_name: string; Value: string }>`SHOW SESSION VARIABLES WHERE Variable_name IN
        ('tx_isolation', 'transaction_isolation', 'innodb_lock_wait_timeout', 'wait_timeout', 'sql_mode')`.execute(query),
    );
    const values = Object.fromEntries(rows.map(({ Variable_name, Value }) => [Variable_name, Value]));
    expect(values["tx_isolation"] ?? values["transaction_isolation"]).toBe("READ-COMMITTED");
    expect(values).toMatchObject({
      innodb_lock_wait_timeout: String(DATABASE_LOCK_WAIT_MS_MAX / 1_000),
      wait_timeout: "60",
      sql_mode: expect.stringContaining("STRICT_ALL_TABLES"),
    });
    const tooLong = database.transact((transaction) => transaction.insertIfAbsent("t_row", row("n".repeat(65))));
    await expect(tooLong).rejects.toMatchObject({ code: "INTERNAL" });
  });

  test("opens no more connections than it may, and what waits for one is bounded", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const accepted = Array.from({ length: DATABASE_WAITING_MAX }, (_, index) =>
      index % 64 === 0 ? database.transact(() => released) : database.read(() => released),
    );
    for (const more of [database.read(() => released), database.transact(() => released)])
      await expect(more).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    release();
    // A server on a slow machine may have been too slow for one of them.
    const ended = await Promise.allSettled(accepted);
    expect(ended.some(({ status }) => status === "fulfilled")).toBe(true);
    for (const end of ended)
      if (end.status === "rejected")
        expect(end.reason).toMatchObject({ code: "DATABASE_UNAVAILABLE", detail: expect.not.stringContaining("waiting already") });
    const connections = await databases.ask("SELECT id FROM information_schema.processlist WHERE db = ?", [`${databases.prefix}rows`]);
    // Fewer when one could not be made.
    expect(connections.length).toBeLessThanOrEqual(DATABASE_WRITERS_MAX + DATABASE_READERS_MAX);
  });

  test("F14: a read waits for no transaction, however many of them wait for something", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    await insert(database, "a");
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const waiting = Array.from({ length: 3 * DATABASE_WRITERS_MAX }, () => database.transact(() => released));
    expect(await countOf(database)).toBe(1);
    release();
    await Promise.all(waiting);
  });

  test("a constraint's refusal does not repeat the value, which may be somebody's name", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    const error = await failure(
      database.transact(async ({ query }) => {
        for (let time = 0; time < 2; time += 1) await query.insertInto("t_row").values(row("Grace Hopper")).execute();
      }),
    );
    expect(error).toMatchObject({ facts: { constraint: "unique" }, message: expect.not.stringContaining("Grace") });
  });
});

describe("transactions that meet", () => {
  test("F14: of two in a deadlock the one that was rolled back runs again as a whole", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    for (const name of ["a", "b"]) await insert(database, name);
    let runs = 0;
    let holders = 0;
    let both = (): void => {};
    const bothHaveOne = new Promise<void>((resolve) => {
      both = resolve;
    });
    const addTo = (first: string, second: string) =>
      database.transact(async (transaction) => {
        runs += 1;
        const add = async (name: string): Promise<void> => {
          const { amount } = await transaction.lock(amountOf(transaction.query, name)).executeTakeFirstOrThrow();
          await transaction.query
            .updateTable("t_row")
            .set({ amount: amount + 1n })
            .where("name", "=", bytesOf(name))
            .execute();
        };
        await add(first);
        holders += 1;
        if (holders === 2) both();
        await bothHaveOne;
        await add(second);
      });
    await Promise.all([addTo("a", "b"), addTo("b", "a")]);
    expect(runs).toBe(3);
    expect(await database.read((query) => query.selectFrom("t_row").select("amount").execute())).toEqual([{ amount: 3n }, { amount: 3n }]);
  });

  test("F14: a lock that is never given up becomes a typed error after a bounded number of attempts", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases, { clock: new PausingClock() });
    await insert(database, "a");
    let runs = 0;
    await database.transact(async (holder) => {
      await holder.lock(amountOf(holder.query, "a")).execute();
      const error = await failure(
        database.transact(async ({ query }) => {
          runs += 1;
          // What a wait that has run out answers, without the wait.
          await amountOf(query, "a").forUpdate().noWait().execute();
        }),
      );
      expect(error).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: { busy: true } });
    });
    expect(runs).toBe(TRANSACTION_ATTEMPTS_MAX);
  });

  test("F14: a transaction that has waited long for locks is not begun again", async () => {
    await using databases = await MariadbDatabases.open();
    const clock = new VirtualClock();
    const database = await openRows(databases, { clock });
    await insert(database, "a");
    let runs = 0;
    await database.transact(async (holder) => {
      await holder.lock(amountOf(holder.query, "a")).execute();
      const refused = database.transact(async ({ query }) => {
        runs += 1;
        // As if the server had let it wait until now.
        await clock.advance(DATABASE_BUSY_MS_MAX);
        await amountOf(query, "a").forUpdate().noWait().execute();
      });
      expect(await failure(refused)).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: { busy: true } });
    });
    expect(runs).toBe(1);
    expect(clock.timerCount).toBe(0);
  });

  test("after a deadlock nothing that was asked meanwhile happens outside the transaction", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    for (const name of ["a", "b", "c", "d", "e"]) await insert(database, name);
    let lightHasB = (): void => {};
    const lightLocked = new Promise<void>((resolve) => {
      lightHasB = resolve;
    });
    let heavyHasA = (): void => {};
    const heavyLocked = new Promise<void>((resolve) => {
      heavyHasA = resolve;
    });
    // The server rolls back the one that has changed less.
    const heavy = database.transact(async ({ query }) => {
      await query.updateTable("t_row").set({ amount: 2 }).where("name", "!=", bytesOf("b")).execute();
      heavyHasA();
      await lightLocked;
      await query.updateTable("t_row").set({ amount: 2 }).where("name", "=", bytesOf("b")).execute();
    });
    let runs = 0;
    const light = database.transact(async (transaction) => {
      runs += 1;
      await heavyLocked;
      if (runs === 1) await transaction.lock(amountOf(transaction.query, "b")).execute();
      lightHasB();
      const [, isNew] = await Promise.all([
        transaction.lock(amountOf(transaction.query, "a")).execute(),
        transaction.insertIfAbsent("t_row", row("asked after")),
      ]);
      return isNew;
    });
    await heavy;
    expect(await light).toBe(true);
    expect(runs).toBe(2);
  });

  test("a claim leaves out what another transaction has claimed", async () => {
    await using databases = await MariadbDatabases.open();
    const database = await openRows(databases);
    for (const name of ["a", "b", "c"]) await insert(database, name);
    const claim = (limit: number, work: (names: number) => Promise<void>) =>
      database.transact(async (transaction) => {
        const claimed = await transaction
          .claim(transaction.query.selectFrom("t_row").select("name").orderBy("name").limit(limit))
          .execute();
        await work(claimed.length);
      });
    await claim(2, async (first) => {
      expect(first).toBe(2);
      await claim(3, async (second) => expect(second).toBe(1));
    });
  });
});

describe("a connection that is lost", () => {
  test("F15: during COMMIT the outcome is unknown, whether the server committed or not, and nothing is tried again", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    const database = await openRows(databases, { url: proxy.url });
    for (const [fate, count] of [
      ["lost", 0],
      ["done", 1],
    ] as const) {
      let runs = 0;
      proxy.fateOfCommits(fate);
      const error = await failure(
        database.transact((transaction) => {
          runs += 1;
          return transaction.insertIfAbsent("t_row", row(fate));
        }),
      );
      expect(error).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: { outcomeUnknown: true } });
      expect(runs).toBe(1);
      // A locking claim of the row says what has become of it.
      expect(await insert(database, fate)).toBe(count === 0);
    }
  });

  test("F15: a plain read may see nothing of a commit that is still on its way; a locking one waits for it", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    const database = await openRows(databases, { url: proxy.url });
    proxy.fateOfCommits("pending");
    expect(await failure(insert(database, "a"))).toMatchObject({ facts: { outcomeUnknown: true } });
    expect(await countOf(database)).toBe(0);
    const again = insert(database, "a");
    await lockWaitOr(databases);
    proxy.deliver();
    expect(await again).toBe(false);
    expect(await countOf(database)).toBe(1);
  });

  test("before COMMIT was sent, the transaction runs again, at whatever statement it was cut", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    for (const cutsAnswer of [false, true]) {
      for (let command = 0; command < 8; command += 1) {
        const database = await openRows(databases, { url: proxy.url, clock: new PausingClock() });
        proxy.cutsAnswer = cutsAnswer;
        proxy.cutAfterCommands = command;
        const name = `${cutsAnswer} ${command}`;
        const outcome = await insert(database, name).then(
          (isNew) => isNew,
          (error: unknown) => error,
        );
        proxy.cutAfterCommands = Number.POSITIVE_INFINITY;
        if (outcome !== true) {
          expect(outcome).toMatchObject({ facts: { outcomeUnknown: true } });
          await insert(database, name);
        }
        await database.close();
      }
    }
    expect(await countOf(await openRows(databases))).toBe(16);
  });

  test("F1: a server that is killed and comes back within a second costs time and no error", async () => {
    await using server = await privateMariadb();
    const clock = new PausingClock();
    const database = await openRows(server.databases, { clock });
    await insert(database, "before");
    await server.kill();
    // However long that takes: only what they wait between attempts counts here.
    clock.begins = server.startAgain();
    const works = Promise.all([insert(database, "a"), insert(database, "b"), countOf(database)]);
    expect(await works).toEqual([true, true, expect.any(Number)]);
    expect(await countOf(database)).toBe(3);
    await database.close();
  });

  test("a server that stays away is a typed error that says where it was looked for", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    const clock = new PausingClock();
    const database = await openRows(databases, { url: proxy.url, clock });
    proxy.isAway = true;
    proxy.cut();
    const askedMs = clock.nowMs();
    const error = await failure(insert(database, "a"));
    expect(clock.nowMs() - askedMs).toBeLessThanOrEqual(DATABASE_AWAY_MS_MAX);
    expect(clock.nowMs() - askedMs).toBeGreaterThan(DATABASE_AWAY_MS_MAX / 2);
    expect(error).toMatchObject({ code: "DATABASE_UNAVAILABLE", detail: expect.stringContaining(new URL(proxy.url).host) });
    expect(clock.timerCount).toBe(0);
    proxy.isAway = false;
    expect(await insert(database, "b")).toBe(true);
  });

  test("an attempt that would end too late for whoever asked is not begun", async () => {
    await using databases = await MariadbDatabases.open();
    const clock = new PausingClock();
    const database = await openRows(databases, { clock });
    for (const [failsAfterMs, runsExpected] of [
      [DATABASE_AWAY_MS_MAX / 2, 1],
      [DATABASE_AWAY_MS_MAX / 4, 3],
    ] as const) {
      let runs = 0;
      const askedMs = clock.nowMs();
      const work = database.read(async () => {
        runs += 1;
        await clock.advance(failsAfterMs);
        throw new TroupeError("DATABASE_UNAVAILABLE", "no connection", { facts: { lost: true } });
      });
      expect(await failure(work)).toMatchObject({ detail: "no connection" });
      expect(runs).toBe(runsExpected);
      expect(clock.nowMs() - askedMs).toBeLessThanOrEqual(DATABASE_AWAY_MS_MAX);
    }
  });

  test("a server that never answers is given up, and its connection with it", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    const clock = new VirtualClock();
    const database = await openRows(databases, { url: proxy.url, clock });
    await insert(database, "before");
    proxy.isSilent = true;
    const work = failure(insert(database, "a"));
    await settle();
    await clock.advance(DATABASE_STATEMENT_MS_MAX);
    // The transaction, and the attempt to roll it back.
    expect(await work).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    proxy.isSilent = false;
    expect(await insert(database, "b")).toBe(true);
  });
});

/** Before it there are login and settings, of which nothing stays. */
const FIRST_MIGRATING_COMMAND = 10;

describe("opening a database on a server", () => {
  const open = (url: string, database = "test_x") => openMysql({ ...PORTS, url, database, migrations: migrationsDirectory("ids") });

  test("several starters at once make and migrate it once", async () => {
    await using databases = await MariadbDatabases.open();
    await Promise.all(Array.from({ length: 5 }, () => databases.openPart("storage")));
    const rows = await databases.ask(
      `SELECT number FROM ${databases.prefix}storage.t_migration WHERE end_time IS NOT NULL ORDER BY number`,
    );
    const migrations = await readMigrations(migrationsDirectory("storage"), "mysql");
    expect(rows.map(({ number }) => number)).toEqual(migrations.map(({ number }) => number));
    expect(await databases.ask(`SELECT * FROM ${databases.prefix}storage.t_meta`)).toHaveLength(2);
  });

  test("F1: a starter that is cut off at any moment leaves a database that the next one can finish", async () => {
    await using databases = await MariadbDatabases.open();
    await using proxy = await CuttingProxy.before(databases.url);
    await using directory = await temporaryDirectory();
    await writeFile(
      join(directory.path, "0001-a.sql"),
      "CREATE TABLE t_a (n BIGINT); INSERT INTO t_a VALUES (1); ALTER TABLE t_a ADD COLUMN m BIGINT NOT NULL;",
    );
    // To lose an answer is to have been cut off before the next command, so this is every moment.
    proxy.cutsAnswer = true;
    let isFinished = false;
    for (let command = FIRST_MIGRATING_COMMAND; !isFinished; command += 1) {
      const name = `${databases.prefix}cut_${command}`;
      proxy.cutAfterCommands = command;
      const opened = await databases.openNamed(name, directory.path, { url: proxy.url }).catch(() => undefined);
      isFinished = opened !== undefined;
      expect(isFinished || command < 100).toBe(true);
      proxy.cutAfterCommands = Number.POSITIVE_INFINITY;
      await (await databases.openNamed(name, directory.path)).close();
      expect(await databases.ask(`SELECT n, m FROM ${name}.t_a`)).toEqual([{ n: 1, m: 0 }]);
    }
  });

  test("a migration waits longer for a row than a transaction does", async () => {
    await using databases = await MariadbDatabases.open();
    await using directory = await temporaryDirectory();
    const name = `${databases.prefix}x`;
    await writeFile(
      join(directory.path, "0001-a.sql"),
      "CREATE TABLE t_a (n BIGINT); INSERT INTO t_a SELECT @@SESSION.innodb_lock_wait_timeout;",
    );
    await databases.openNamed(name, directory.path);
    expect(await databases.ask(`SELECT n FROM ${name}.t_a`)).toEqual([{ n: MIGRATION_LOCK_WAIT_MS_MAX / 1_000 }]);
    expect(MIGRATION_LOCK_WAIT_MS_MAX).toBeGreaterThan(DATABASE_LOCK_WAIT_MS_MAX);
  });

  test("a migration that was interrupted and has another text now is refused", async () => {
    await using databases = await MariadbDatabases.open();
    await using directory = await temporaryDirectory();
    const name = `${databases.prefix}x`;
    const file = join(directory.path, "0001-a.sql");
    await writeFile(file, "CREATE TABLE t_a (n BIGINT); CREATE TABEL t_b (n BIGINT);");
    await expect(databases.openNamed(name, directory.path)).rejects.toMatchObject({ code: "INTERNAL" });
    await writeFile(file, "CREATE TABLE t_a (n BIGINT); CREATE TABLE t_b (n BIGINT);");
    await expect(databases.openNamed(name, directory.path)).rejects.toMatchObject({ code: "MIGRATION_CHANGED" });
  });

  test("a database of a newer program is refused", async () => {
    await using databases = await MariadbDatabases.open();
    await (await databases.openPart("ids")).close();
    await databases.ask(`INSERT INTO ${databases.prefix}ids.t_migration VALUES (2, 'later', 'x', 1, 1, 1)`);
    await expect(databases.openPart("ids")).rejects.toMatchObject({ code: "FORMAT_TOO_NEW" });
  });

  test("what is wrong with the address or the user is said in words, and never the password", async () => {
    await using databases = await MariadbDatabases.open();
    const { host } = new URL(databases.url);
    const wrong: readonly (readonly [url: string, code: string, words: string])[] = [
      [`mysql://tester:wrongsecret@${host}`, "SETTING_INVALID", "refuses the user 'tester'"],
      [`mysql://stranger:testing@${host}`, "SETTING_INVALID", "GRANT ALL PRIVILEGES ON `test\\_x`.* TO 'stranger'"],
      [
        "mysql://tester:wrongsecret@127.0.0.1:1",
        "DATABASE_UNAVAILABLE",
        "No database server answers at 127.0.0.1:1 (ECONNREFUSED): is MySQL or MariaDB running there? --mysql names it.",
      ],
      [`mysql://tester:wrongsecret@${host}/troupe_storage`, "SETTING_INVALID", "--database-prefix"],
      [`mysql://tester:wrongsecret@${host}?ssl=true`, "SETTING_INVALID", "does not encrypt"],
      [`mysql://tester:wrongsecret@${host}?tls=yes`, "SETTING_INVALID", "not tls"],
      [`mysql://tester:wrong%secret@${host}`, "SETTING_INVALID", "%25"],
      [`postgres://tester:wrongsecret@${host}`, "SETTING_INVALID", "mysql://user:password@host:3306"],
    ];
    for (const [url, code, words] of wrong) {
      const error = await failure(open(url));
      expect(error).toMatchObject({ code, message: expect.stringContaining(words) });
      expect(JSON.stringify(error) + String((error as Error).message)).not.toMatch(/wrong.?secret/);
    }
  });
});
