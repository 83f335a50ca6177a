/** What every adapter of the Database port does alike. Run it with `databaseContract("SQLite", open)`. */
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { describe, expect, test } from "vitest";
import { bytesOf, textOf } from "../../src/core/byte-text.ts";
import { TroupeError } from "../../src/core/errors.ts";
import {
  type Database,
  type IntegerColumn,
  isConstraintViolation,
  type OptionalBytesColumn,
  type OptionalIntegerColumn,
  type Transaction,
} from "../../src/core/ports/database.ts";

/** The folder of the suite's own migrations. */
export const CONTRACT_MIGRATIONS = fileURLToPath(new URL("database-sql", import.meta.url));

export interface ContractTables {
  t_row: { name: Uint8Array; content: OptionalBytesColumn; amount: IntegerColumn; live: OptionalIntegerColumn };
}

export interface OpenDatabase extends AsyncDisposable {
  readonly database: Database<ContractTables>;
  /** Another handle of the same database, as another process would have. Absent when there can be none. */
  readonly openSecond?: () => Promise<Database<ContractTables>>;
}

const row = (name: string, amount = 0, more: { content?: Uint8Array; live?: number | null } = {}) => ({
  name: bytesOf(name),
  amount,
  content: null,
  live: null,
  ...more,
});

async function addOne(transaction: Transaction<ContractTables>, name: string): Promise<void> {
  await transaction.insertIfAbsent("t_row", row(name));
  const locked = await transaction
    .lock(transaction.query.selectFrom("t_row").select("amount").where("name", "=", bytesOf(name)))
    .executeTakeFirstOrThrow();
  await transaction.query
    .updateTable("t_row")
    .set({ amount: locked.amount + 1n })
    .where("name", "=", bytesOf(name))
    .execute();
}

const BUSY_ATTEMPTS_MAX = 50;
/** A server that is slow may let a transaction wait for a row longer than one may wait; then nothing of it happened. */
async function untilHeard(transact: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await transact();
    } catch (error) {
      if (!(error instanceof TroupeError && error.facts["busy"] === true) || attempt === BUSY_ATTEMPTS_MAX) throw error;
    }
  }
}

const allNames = (database: Database<ContractTables>): Promise<string[]> =>
  database.read(async (query) =>
    (await query.selectFrom("t_row").select("name").orderBy("name").execute()).map((found) => textOf(found.name)),
  );

export function databaseContract(adapter: string, open: () => Promise<OpenDatabase>): void {
  describe(`a database: ${adapter}`, () => {
    test("rows are plain objects, integers bigint and bytes Uint8Array, at both ends of 64 bits", async () => {
      await using opened = await open();
      const { database } = opened;
      const edges = [0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n];
      await database.transact(async ({ query }) => {
        for (const [index, amount] of edges.entries())
          await query
            .insertInto("t_row")
            .values({ ...row(`n${index}`), amount, content: Uint8Array.of(0, 255, index) })
            .execute();
      });
      const rows = await database.read((query) => query.selectFrom("t_row").selectAll().orderBy("name").execute());
      expect(rows.map(({ amount }) => amount)).toEqual(edges);
      expect(rows.every((found) => Object.getPrototypeOf(found) === Object.prototype)).toBe(true);
      expect(rows[3]?.content).toBeInstanceOf(Uint8Array);
      expect(Uint8Array.from(rows[3]?.content ?? [])).toEqual(Uint8Array.of(0, 255, 3));
      expect(rows[0]?.live).toBeNull();
    });

    test("a number is stored as an integer and counts as one in SQL", async () => {
      await using opened = await open();
      await opened.database.transact((transaction) => transaction.insertIfAbsent("t_row", row("seven", 7)));
      const found = await opened.database.read((query) =>
        query.selectFrom("t_row").select(sql<bigint>`amount + ${1}`.as("more")).executeTakeFirstOrThrow(),
      );
      expect(found.more).toBe(8n);
    });

    test("names compare as bytes, and come back as they were: case, trailing spaces, accents and emoji matter", async () => {
      await using opened = await open();
      const names = ["Ann", "ann", "ann ", "änn", "a\u0308nn", "🎬", "🎬🏽", "ann\0", ""];
      const inserted = await opened.database.transact((transaction) =>
        Promise.all(names.map((name) => transaction.insertIfAbsent("t_row", row(name)))),
      );
      expect(inserted).toEqual(names.map(() => true));
      const found = await opened.database.read((query) =>
        query.selectFrom("t_row").select("name").where("name", "=", bytesOf("ann")).execute(),
      );
      expect(found.map(({ name }) => textOf(name))).toEqual(["ann"]);
      expect(new Set(await allNames(opened.database))).toEqual(new Set(names));
    });

    test("insertIfAbsent says whether it inserted, and leaves the row that was there", async () => {
      await using opened = await open();
      const { database } = opened;
      expect(await database.transact((transaction) => transaction.insertIfAbsent("t_row", row("a", 1)))).toBe(true);
      expect(await database.transact((transaction) => transaction.insertIfAbsent("t_row", row("a", 2)))).toBe(false);
      expect(await database.read((query) => query.selectFrom("t_row").select("amount").execute())).toEqual([{ amount: 1n }]);
    });

    test("a unique key with a NULL in it is not unique", async () => {
      await using opened = await open();
      const content = bytesOf("same");
      const inserted = await opened.database.transact(async (transaction) => [
        await transaction.insertIfAbsent("t_row", row("a", 0, { content, live: 1 })),
        await transaction.insertIfAbsent("t_row", row("b", 0, { content, live: 1 })),
        await transaction.insertIfAbsent("t_row", row("c", 0, { content, live: null })),
        await transaction.insertIfAbsent("t_row", row("d", 0, { content, live: null })),
      ]);
      expect(inserted).toEqual([true, false, true, true]);
    });

    test("a work that throws leaves nothing, and its error comes through", async () => {
      await using opened = await open();
      const { database } = opened;
      const work = database.transact(async (transaction) => {
        await transaction.insertIfAbsent("t_row", row("gone"));
        throw new TroupeError("FILE_NOT_FOUND");
      });
      await expect(work).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
      expect(await allNames(database)).toEqual([]);
      await database.transact((transaction) => transaction.insertIfAbsent("t_row", row("next")));
      expect(await allNames(database)).toEqual(["next"]);
    });

    test("a violated constraint is recognised, and rolls back", async () => {
      await using opened = await open();
      const { database } = opened;
      const work = database.transact(async ({ query }) => {
        await query.insertInto("t_row").values(row("twice")).execute();
        await query.insertInto("t_row").values(row("twice")).execute();
      });
      const error = await work.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(isConstraintViolation(error)).toBe(true);
      expect(isConstraintViolation(new TroupeError("INTERNAL"))).toBe(false);
      expect(await allNames(database)).toEqual([]);
    });

    test("bytes that are no text come back as they were, and are found", async () => {
      await using opened = await open();
      const bytes = Uint8Array.of(0xff, 0xfe, 0x00, 0x27, 0x5c, 0xc3, 0x28, 0x80);
      await opened.database.transact((transaction) => transaction.insertIfAbsent("t_row", { ...row(""), name: bytes }));
      const found = await opened.database.read((query) => query.selectFrom("t_row").select("name").where("name", "=", bytes).execute());
      expect(found.map(({ name }) => Uint8Array.from(name))).toEqual([bytes]);
    });

    test("what is claimed is what was asked for, when nobody else has claimed it", async () => {
      await using opened = await open();
      const claimed = await opened.database.transact(async (transaction) => {
        for (const name of ["a", "b", "c"]) await transaction.insertIfAbsent("t_row", row(name));
        return transaction.claim(transaction.query.selectFrom("t_row").select("name").orderBy("name").limit(2)).execute();
      });
      expect(claimed.map(({ name }) => textOf(name))).toEqual(["a", "b"]);
    });

    test("concurrent transactions on one row add up", async () => {
      await using opened = await open();
      const { database } = opened;
      await Promise.all(Array.from({ length: 50 }, () => untilHeard(() => database.transact((transaction) => addOne(transaction, "sum")))));
      expect(await database.read((query) => query.selectFrom("t_row").select("amount").execute())).toEqual([{ amount: 50n }]);
    });

    test("a read beside a transaction sees what is committed, and nothing of the one under way", async () => {
      await using opened = await open();
      const { database } = opened;
      let seen: Promise<string[]> | undefined;
      await database.transact(async (transaction) => {
        await transaction.insertIfAbsent("t_row", row("a"));
        seen = allNames(database);
        await transaction.insertIfAbsent("t_row", row("b"));
        await expect(transaction.query.selectFrom("t_row").select("name").execute()).resolves.toHaveLength(2);
      });
      // Before the transaction or after it, as the adapter likes; never in its middle.
      expect([[], ["a", "b"]]).toContainEqual(await seen);
      expect(await allNames(database)).toEqual(["a", "b"]);
    });

    test("a query that outlives its transaction is refused", async () => {
      await using opened = await open();
      const kept = await opened.database.transact(async ({ query }) => query);
      await expect(kept.insertInto("t_row").values(row("late")).execute()).rejects.toThrow();
      expect(await allNames(opened.database)).toEqual([]);
    });

    test("two handles of one database see each other's commits", async ({ skip }) => {
      await using opened = await open();
      if (opened.openSecond === undefined) return skip("this database has one handle");
      const second = await opened.openSecond();
      try {
        for (const database of [opened.database, second, opened.database])
          await database.transact((transaction) => addOne(transaction, "sum"));
        expect(await second.read((query) => query.selectFrom("t_row").select("amount").execute())).toEqual([{ amount: 3n }]);
      } finally {
        await second.close();
      }
    });

    test("closing waits for what was asked before, and refuses what comes after", async () => {
      await using opened = await open();
      const { database } = opened;
      const last = database.transact((transaction) => transaction.insertIfAbsent("t_row", row("last")));
      await database.close();
      await expect(last).resolves.toBe(true);
      await expect(database.transact((transaction) => transaction.insertIfAbsent("t_row", row("after")))).rejects.toMatchObject({
        code: "DATABASE_UNAVAILABLE",
      });
      await expect(database.read((query) => query.selectFrom("t_row").selectAll().execute())).rejects.toMatchObject({
        code: "DATABASE_UNAVAILABLE",
      });
    });
  });
}
