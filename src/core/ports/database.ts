/**
 * The Database port: transactions over typed tables. Queries are written with kysely, which both dialects share; what the
 * dialects do differently (upsert, row locks) goes through {@link Transaction}, whose adapters are in `src/store/sql`.
 *
 * Every integer column comes back as `bigint`, on every dialect; `safeInteger` (src/core/safe-integer.ts) makes a number of it.
 * Text that must compare as bytes (names, users, identities) is stored as bytes.
 */
import type { ColumnType, Insertable, Kysely, SelectQueryBuilder } from "kysely";
import { TroupeError } from "../errors.ts";

/** A BIGINT column: read as `bigint`, written as either. */
export type IntegerColumn = ColumnType<bigint, bigint | number, bigint | number>;
/** A BIGINT column that may be NULL. */
export type OptionalIntegerColumn = ColumnType<bigint | null, bigint | number | null | undefined, bigint | number | null>;
/** A column of bytes that may be NULL. */
export type OptionalBytesColumn = ColumnType<Uint8Array | null, Uint8Array | null | undefined, Uint8Array | null>;
/** A column of text in our own words (states, kinds, paths) that may be NULL. */
export type OptionalWordColumn<Word extends string = string> = ColumnType<Word | null, Word | null | undefined, Word | null>;

export interface Transaction<Tables> {
  readonly query: Kysely<Tables>;
  /**
   * Inserts the row unless one with the same primary or unique key is there.
   * @returns whether it was inserted
   */
  insertIfAbsent<Name extends keyof Tables & string>(table: Name, row: Insertable<Tables[Name]>): Promise<boolean>;
  /** Locks the rows a query selects until the transaction ends. A `SELECT` that decides something is a locking one. */
  lock<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output>;
  /** Locks those of the rows that no other transaction has locked, and leaves out the rest: for work that several processes share. */
  claim<DB, Name extends keyof DB, Output>(query: SelectQueryBuilder<DB, Name, Output>): SelectQueryBuilder<DB, Name, Output>;
}

export interface Database<Tables> {
  /**
   * Runs `work` in one READ COMMITTED transaction and commits. Upon deadlock or lock-wait timeout, or when the connection is lost
   * before the commit, the whole of it runs again, within bounds; so `work` has no effects but its queries, and never waits for another
   * transaction of this database. It learns nothing from how many rows an UPDATE changed, which databases count differently.
   * @throws {TroupeError} `DATABASE_UNAVAILABLE`; with `facts.outcomeUnknown` when the connection was lost during COMMIT
   */
  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T>;
  /** Reads outside a transaction: for answers that decide nothing. */
  read<T>(work: (query: Kysely<Tables>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Whether a transaction may have been committed or not; the same one again, with a locking read, learns which. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof TroupeError && error.facts["outcomeUnknown"] === true;
}

/** Whether a statement was refused because a row with the same key is there, or by another constraint of its table. */
export function isConstraintViolation(error: unknown): boolean {
  return error instanceof TroupeError && typeof error.facts["constraint"] === "string";
}

/** Whether it answers. @throws {TroupeError} `DATABASE_UNAVAILABLE` */
export async function askDatabase<Tables>(database: Database<Tables>): Promise<Readonly<Record<never, never>>> {
  await database.read((query) => query.selectNoFrom(({ lit }) => lit(1).as("one")).execute());
  return {};
}
