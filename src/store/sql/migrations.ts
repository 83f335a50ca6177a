/**
 * Migrations in plain SQL, one folder a database: `0001-name.sql`, or the pair `0001-name.sqlite.sql` and `0001-name.mysql.sql` where
 * one text cannot serve both.
 *
 * M1: of several starters one migrates at a time; the others then find nothing to do.
 * M2: an applied migration never changes: its checksum is kept and compared.
 * M3: a database that has a migration this program does not know was written by a newer one, and is not touched.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TroupeError } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import { splitStatements } from "./sql-statements.ts";

export type SqlDialect = "sqlite" | "mysql";

export interface Migration {
  /** From 1, without gaps. */
  readonly number: number;
  readonly name: string;
  /** SHA-256 of the text with line ends as `\n`, in hex. */
  readonly checksum: string;
  readonly statements: readonly string[];
}

export type AppliedMigration = Pick<Migration, "number" | "name" | "checksum">;

/** What the runner needs of a database being opened. */
export interface MigrationTarget {
  /** Runs `work` alone among all starters (M1). */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  /** What `t_migration` says, by number; the table is made when missing. */
  applied(): Promise<AppliedMigration[]>;
  /** Runs its statements and records it; goes on where an earlier starter that ended half-way has left it. */
  apply(migration: Migration): Promise<void>;
}

/**
 * Brings a database to the newest format.
 * @throws {TroupeError} `MIGRATION_CHANGED`, `FORMAT_TOO_NEW`, `SETTING_INVALID` (no migrations in the directory)
 */
export async function migrate(target: MigrationTarget, directory: string, dialect: SqlDialect, log: Log): Promise<void> {
  const migrations = await readMigrations(directory, dialect);
  await target.exclusively(async () => {
    const applied = await target.applied();
    checkApplied(applied, migrations);
    for (const migration of migrations.slice(applied.length)) {
      await target.apply(migration);
      log.info({ migration: migration.name, number: migration.number }, "The database was migrated.");
    }
  });
}

/** @throws {TroupeError} `SETTING_INVALID` when the directory cannot be read or holds no migrations for the dialect */
export async function readMigrations(directory: string, dialect: SqlDialect): Promise<Migration[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    throw new TroupeError("SETTING_INVALID", `The folder of migrations ${directory} cannot be read.`, { cause: error });
  }
  const migrations: Migration[] = [];
  for (const fileName of names.sort()) {
    const match = /^(\d{4})-([a-z0-9-]+)(?:\.(sqlite|mysql))?\.sql$/.exec(fileName);
    if (match === null || (match[3] !== undefined && match[3] !== dialect)) continue;
    // A checkout with other line ends is not another migration.
    const text = (await readFile(join(directory, fileName), "utf8")).replaceAll("\r\n", "\n");
    migrations.push({
      number: Number(match[1]),
      name: match[2] as string,
      checksum: createHash("sha256").update(text).digest("hex"),
      statements: splitStatements(text),
    });
  }
  if (migrations.length === 0) throw new TroupeError("SETTING_INVALID", `The folder ${directory} holds no migrations for ${dialect}.`);
  for (const [index, migration] of migrations.entries()) {
    assert(migration.number === index + 1, `migration ${migration.number} in ${directory} is number ${index + 1} of ${dialect}`);
  }
  return migrations;
}

function checkApplied(applied: readonly AppliedMigration[], known: readonly Migration[]): void {
  for (const [index, row] of applied.entries()) {
    const migration = known[index];
    // M3
    if (migration === undefined) {
      throw new TroupeError(
        "FORMAT_TOO_NEW",
        `The database has migration ${row.number} (${row.name}), which this version does not know; run a newer one.`,
      );
    }
    // M2
    if (migration.number !== row.number || migration.checksum !== row.checksum) {
      throw new TroupeError(
        "MIGRATION_CHANGED",
        `Migration ${row.number} (${row.name}) was applied with another text than it has now; restore the file.`,
      );
    }
  }
}
