import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { DATABASE_WAITING_MAX } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { SqliteConnection } from "../../../src/store/sql/sqlite-connection.ts";
import { openSqlite } from "../../../src/store/sql/sqlite-database.ts";
import { CONTRACT_MIGRATIONS, type ContractTables, databaseContract } from "../../contract/database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { settle, VirtualClock } from "../../support/virtual-clock.ts";

const open = (path: string, clock = new VirtualClock()): Promise<Database<ContractTables>> =>
  openSqlite<ContractTables>({ path, migrations: CONTRACT_MIGRATIONS, clock, random: new SeededRandom(1), log: SILENT_LOG });

databaseContract("SQLite in memory", async () => {
  const database = await open(":memory:");
  return { database, [Symbol.asyncDispose]: () => database.close() };
});

databaseContract("SQLite in a file", async () => {
  const directory = await temporaryDirectory();
  const path = join(directory.path, "rows.sqlite");
  const database = await open(path);
  return {
    database,
    openSecond: () => open(path),
    async [Symbol.asyncDispose]() {
      await database.close();
      await directory[Symbol.asyncDispose]();
    },
  };
});

const row = (name: string) => ({ name: bytesOf(name), amount: 1, content: null, live: null });

describe("a SQLite file", () => {
  test("is written through a log that is synced at each commit", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "rows.sqlite");
    const database = await open(path);
    const pragma = (name: string) => raw(database, `PRAGMA ${name}`);
    expect(await pragma("journal_mode")).toEqual([{ journal_mode: "wal" }]);
    expect(await pragma("synchronous")).toEqual([{ synchronous: 2n }]);
    expect(await pragma("foreign_keys")).toEqual([{ foreign_keys: 1n }]);
    await database.close();
  });

  test("F1: what was committed is there when the file is opened again without having been closed", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "rows.sqlite");
    const first = await open(path);
    await first.transact((transaction) => transaction.insertIfAbsent("t_row", row("kept")));
    const second = await open(path);
    expect(await second.read((query) => query.selectFrom("t_row").select("amount").execute())).toEqual([{ amount: 1n }]);
    await Promise.all([first.close(), second.close()]);
  });

  test("F14: a transaction waits for another process's lock, and runs as a whole when it is free", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "rows.sqlite");
    const clock = new VirtualClock();
    const database = await open(path, clock);
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    let runs = 0;
    const work = database.transact(async (transaction) => {
      runs += 1;
      return transaction.insertIfAbsent("t_row", row("a"));
    });
    await settle();
    expect(runs).toBe(0);
    other.exec("COMMIT");
    await clock.advance(1_000);
    await expect(work).resolves.toBe(true);
    expect(runs).toBe(1);
    other.close();
    await database.close();
  });

  test("F14: a lock that is never given up becomes a typed error after a bounded number of attempts", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "rows.sqlite");
    const clock = new VirtualClock();
    const database = await open(path, clock);
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    const work = database.transact((transaction) => transaction.insertIfAbsent("t_row", row("a"))).catch((error: unknown) => error);
    await clock.advance(60_000);
    expect(await work).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    expect(clock.timerCount).toBe(0);
    other.close();
    await database.close();
  });

  test("F3: a full disk is DISK_FULL, leaves nothing of the transaction, and reads go on", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "rows.sqlite");
    const database = await open(path);
    await database.transact((transaction) => transaction.insertIfAbsent("t_row", row("before")));
    // A file that may not grow refuses as a full disk does.
    const count = await raw<{ page_count: bigint }>(database, "PRAGMA page_count");
    await raw(database, `PRAGMA max_page_count = ${count[0]?.page_count ?? 0n}`);
    const work = database.transact(async ({ query }) => {
      for (let index = 0; index < 1000; index += 1)
        await query
          .insertInto("t_row")
          .values({ ...row(`n${index}`), content: new Uint8Array(4000), live: index })
          .execute();
    });
    await expect(work).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(await database.read((query) => query.selectFrom("t_row").select("amount").execute())).toHaveLength(1);
    await raw(database, "PRAGMA max_page_count = 1000000");
    await expect(database.transact((transaction) => transaction.insertIfAbsent("t_row", row("after")))).resolves.toBe(true);
    await database.close();
  });

  test("a file that is no database is a typed error, and stays as it is", async () => {
    await using directory = await temporaryDirectory();
    await expect(open(join(directory.path, "missing", "rows.sqlite"))).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    const path = join(directory.path, "text.sqlite");
    await writeFile(path, "this is a text and not a database, whatever its name says. ".repeat(40));
    const before = await readFile(path);
    await expect(open(path)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    expect(await readFile(path)).toEqual(before);
  });

  test("transactions that wait are bounded, and a long queue leaves room for other work", async () => {
    const database = await open(":memory:");
    let done = 0;
    const insert = (index: number) =>
      database
        .transact((transaction) => transaction.insertIfAbsent("t_row", row(`n${index}`)))
        .then(() => {
          done += 1;
        });
    const accepted = Array.from({ length: DATABASE_WAITING_MAX }, (_, index) => insert(index));
    await expect(insert(-1)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toBeLessThan(100);
    await Promise.all(accepted);
    expect(done).toBe(DATABASE_WAITING_MAX);
    await database.close();
  });
});

describe("a connection", () => {
  test("a statement is prepared once and not kept for ever", () => {
    const connection = new SqliteConnection(":memory:", { readOnly: false });
    for (let index = 0; index < 2000; index += 1)
      expect(connection.execute(`SELECT ${index % 500} AS n`).rows).toEqual([{ n: BigInt(index % 500) }]);
    connection.close();
  });

  test("a fraction, a boolean and an absent value are no column's", () => {
    const connection = new SqliteConnection(":memory:", { readOnly: false });
    for (const value of [1.5, Number.NaN, 2 ** 53, true, undefined, {}]) expect(() => connection.execute("SELECT ?", [value])).toThrow();
    connection.close();
  });
});

async function raw<Row>(database: Database<ContractTables>, text: string): Promise<Row[]> {
  // Outside a transaction these are refused or forgotten by the reading connection; inside they reach the writing one.
  return database.transact(async ({ query }) => (await sql.raw<Row>(text).execute(query)).rows);
}
