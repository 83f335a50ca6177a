import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { DATABASE_PARTS, databaseName, migrationsDirectory } from "../../../src/store/sql/databases.ts";
import { readMigrations } from "../../../src/store/sql/migrations.ts";
import { splitStatements } from "../../../src/store/sql/sql-statements.ts";
import { openSqlite } from "../../../src/store/sql/sqlite-database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const open = (path: string, migrations: string, clock = new VirtualClock()) =>
  openSqlite<Record<string, never>>({ path, migrations, clock, random: new SeededRandom(1), log: SILENT_LOG });

const tablesOf = (path: string): string[] => {
  const database = new DatabaseSync(path);
  try {
    return database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 't\\_%' ESCAPE '\\' ORDER BY name")
      .all()
      .map((row) => String(row["name"]));
  } finally {
    database.close();
  }
};

describe("migrations", () => {
  test("are applied in order, once, and new ones later", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "x.sqlite");
    await writeFile(join(directory.path, "0001-a.sql"), "CREATE TABLE t_a (n BIGINT); INSERT INTO t_a VALUES (1);");
    await (await open(path, directory.path)).close();
    await writeFile(join(directory.path, "0002-b.sqlite.sql"), "-- only here\nCREATE TABLE t_b AS SELECT n + 1 AS n FROM t_a;\n");
    await writeFile(join(directory.path, "0002-b.mysql.sql"), "this is not SQLite's");
    await writeFile(join(directory.path, "README.md"), "not a migration");
    for (let start = 0; start < 2; start += 1) await (await open(path, directory.path)).close();
    expect(tablesOf(path)).toEqual(["t_a", "t_b", "t_migration"]);
    const database = new DatabaseSync(path);
    expect(
      database.prepare("SELECT (SELECT count(*) FROM t_a) AS a, (SELECT n FROM t_b) AS b, (SELECT count(*) FROM t_migration) AS m").get(),
    ).toMatchObject({ a: 1, b: 2, m: 2 });
    database.close();
  });

  test("one that fails leaves nothing of itself, and works once it is put right", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "x.sqlite");
    await writeFile(join(directory.path, "0001-a.sql"), "CREATE TABLE t_a (n BIGINT); CREATE TABEL t_b (n BIGINT);");
    await expect(open(path, directory.path)).rejects.toMatchObject({ code: "INTERNAL" });
    expect(tablesOf(path)).toEqual([]);
    await writeFile(join(directory.path, "0001-a.sql"), "CREATE TABLE t_a (n BIGINT); CREATE TABLE t_b (n BIGINT);");
    await (await open(path, directory.path)).close();
    expect(tablesOf(path)).toEqual(["t_a", "t_b", "t_migration"]);
  });

  test("an applied one that has changed is refused; other line ends are no change", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "x.sqlite");
    const file = join(directory.path, "0001-a.sql");
    await writeFile(file, "CREATE TABLE t_a (\nn BIGINT\n);\n");
    await (await open(path, directory.path)).close();
    await writeFile(file, "CREATE TABLE t_a (\r\nn BIGINT\r\n);\r\n");
    await (await open(path, directory.path)).close();
    await writeFile(file, "CREATE TABLE t_a (\nm BIGINT\n);\n");
    await expect(open(path, directory.path)).rejects.toMatchObject({ code: "MIGRATION_CHANGED" });
  });

  test("a database of a newer program is refused and not touched", async () => {
    await using directory = await temporaryDirectory();
    await using older = await temporaryDirectory();
    const path = join(directory.path, "x.sqlite");
    for (const folder of [directory, older]) await writeFile(join(folder.path, "0001-a.sql"), "CREATE TABLE t_a (n BIGINT);");
    await writeFile(join(directory.path, "0002-b.sql"), "CREATE TABLE t_b (n BIGINT);");
    await (await open(path, directory.path)).close();
    await expect(open(path, older.path)).rejects.toMatchObject({
      code: "FORMAT_TOO_NEW",
      detail: expect.stringContaining("migration 2 (b)"),
    });
    expect(tablesOf(path)).toEqual(["t_a", "t_b", "t_migration"]);
  });

  test("two starters at once: one migrates, the other finds it done", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "0001-a.sql"), "CREATE TABLE t_a (n BIGINT); INSERT INTO t_a VALUES (1);");
    const path = join(directory.path, "x.sqlite");
    const clock = new VirtualClock();
    const opening = Promise.all(Array.from({ length: 4 }, () => open(path, directory.path, clock)));
    await clock.advance(10_000);
    for (const database of await opening) await database.close();
    const database = new DatabaseSync(path);
    expect(database.prepare("SELECT count(*) AS n FROM t_a").get()).toMatchObject({ n: 1 });
    database.close();
  });

  test("a gap in the numbers and an empty folder are refused", async () => {
    await using directory = await temporaryDirectory();
    await expect(readMigrations(directory.path, "sqlite")).rejects.toMatchObject({ code: "SETTING_INVALID" });
    await expect(readMigrations(join(directory.path, "nowhere"), "sqlite")).rejects.toMatchObject({ code: "SETTING_INVALID" });
    await writeFile(join(directory.path, "0002-b.sql"), "CREATE TABLE t_b (n BIGINT);");
    await expect(readMigrations(directory.path, "sqlite")).rejects.toThrow("number 1");
  });

  test.each(DATABASE_PARTS)("those of %s exist for both kinds of server, under the same names and with the same tables", async (part) => {
    const [sqlite, mysql] = [
      await readMigrations(migrationsDirectory(part), "sqlite"),
      await readMigrations(migrationsDirectory(part), "mysql"),
    ];
    expect(sqlite.map(({ number, name }) => [number, name])).toEqual(mysql.map(({ number, name }) => [number, name]));
    const shape = (statements: readonly string[]) =>
      statements
        .filter((statement) => /^CREATE TABLE/.test(statement))
        .map((statement) => {
          const table = /^CREATE TABLE (?:IF NOT EXISTS )?(\w+)/.exec(statement)?.[1];
          return [
            table,
            ...statement
              .split("\n")
              .slice(1)
              .map((line) => /^ {2}([a-z_]+) /.exec(line)?.[1])
              .filter((column) => column !== undefined),
          ];
        });
    expect(shape(sqlite.flatMap(({ statements }) => statements))).toEqual(shape(mysql.flatMap(({ statements }) => statements)));
    expect((await readdir(migrationsDirectory(part))).every((name) => /^\d{4}-[a-z0-9-]+(\.(sqlite|mysql))?\.sql$/.test(name))).toBe(true);
    await (await open(":memory:", migrationsDirectory(part))).close();
  });
});

describe("statements", () => {
  test("end at a ';', and comments and blank ones are nothing", () => {
    expect(splitStatements("-- one; two\nSELECT 1; ;\nSELECT '--' -- three\n, \"a\" ;\n")).toEqual(["SELECT 1", "SELECT '--' \n, \"a\""]);
    expect(splitStatements("SELECT 'it''s'")).toEqual(["SELECT 'it''s'"]);
  });

  test("a ';' inside quotes, an open quote and a block comment are refused", () => {
    for (const text of ["SELECT ';';", "SELECT 'open;", "/* SELECT */"]) expect(() => splitStatements(text)).toThrow();
  });

  test("what is joined is split again", () => {
    const statement = fc.stringMatching(/^[A-Za-z0-9_(),= ]*[A-Za-z]$/).map((text) => text.trim());
    fc.assert(
      fc.property(fc.array(statement), (statements) => {
        expect(splitStatements(statements.join(" ; -- and\n"))).toEqual(statements);
      }),
    );
  });
});

describe("database names", () => {
  test("carry the prefix, which needs no quoting anywhere", () => {
    expect(DATABASE_PARTS.map((part) => databaseName(part))).toEqual(["troupe_tracker", "troupe_ids", "troupe_storage"]);
    expect(databaseName("ids", "x_")).toBe("x_ids");
    for (const prefix of ["", "A_", "1_", "a-", "a`", "a".repeat(40)]) expect(() => databaseName("ids", prefix)).toThrow("SETTING_INVALID");
  });
});
