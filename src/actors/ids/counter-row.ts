/** A counter's row in `t_id_gen`: the only thing about IDs that outlives a process. Stepped before a block is used, so a crash leaves a gap. */
import { bytesOf } from "../../core/byte-text.ts";
import { TroupeError } from "../../core/errors.ts";
import { BLOB_ID_LIMIT, ID_RAISE_MAX } from "../../core/limits.ts";
import type { Database, Transaction } from "../../core/ports/database.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { type Block, blockSize } from "./allocator.ts";
import type { IdsTables } from "./tables.ts";

export interface BlockWanted {
  readonly step: number;
  readonly count: number;
  readonly floor: number;
}

/**
 * Takes the next block of at least `count` IDs, none of them below `floor`; `wasBehind` when the row would have allowed lower ones.
 * @throws {TroupeError} `ID_SPACE_EXHAUSTED`; the row is as it was
 */
export function stepCounter(
  database: Database<IdsTables>,
  key: string,
  want: BlockWanted,
  wallMs: number,
): Promise<Block & { readonly wasBehind: boolean }> {
  return database.transact(async (transaction) => {
    const recorded = await lockCounter(transaction, key, wallMs);
    const value = Math.max(want.floor, recorded);
    const size = blockSize(value, want.step, want.count);
    if (size === undefined) throw new TroupeError("ID_SPACE_EXHAUSTED");
    await writeCounter(transaction, key, value + size, wallMs);
    return { next: value, end: value + size, wasBehind: recorded < want.floor };
  });
}

export interface Raise {
  readonly highest: number;
  /** What the allocator knew to be given out, whatever the row says. */
  readonly floor: number;
}

/**
 * No block to come begins at or below `highest`.
 * @throws {TroupeError} `BAD_REQUEST` for a raise so high that it is rather a mistake; the row is as it was
 */
export function raiseCounter(database: Database<IdsTables>, key: string, { highest, floor }: Raise, wallMs: number): Promise<void> {
  return database.transact(async (transaction) => {
    const value = await lockCounter(transaction, key, wallMs);
    const known = Math.max(value, floor);
    if (!isNear(highest, known))
      throw new TroupeError(
        "BAD_REQUEST",
        `highest: ${highest} is more than ${ID_RAISE_MAX} above ${known}, which the counter ${key} would give out next. Look at the disk of the node that found it: is that really a blob of this system? Nothing was changed.`,
      );
    const raised = Math.min(highest + 1, BLOB_ID_LIMIT);
    if (raised > value) await writeCounter(transaction, key, raised, wallMs);
  });
}

/** IDs do not come back, so what would use up much of them at once is not believed. */
export function isNear(highest: number, known: number): boolean {
  return highest - known <= ID_RAISE_MAX;
}

async function lockCounter(transaction: Transaction<IdsTables>, key: string, wallMs: number): Promise<number> {
  const id_key = bytesOf(key);
  await transaction.insertIfAbsent("t_id_gen", { id_key, next_value: 0, create_time: wallMs, update_time: wallMs });
  const row = await transaction
    .lock(transaction.query.selectFrom("t_id_gen").select("next_value").where("id_key", "=", id_key))
    .executeTakeFirstOrThrow();
  return safeInteger(row.next_value);
}

async function writeCounter(transaction: Transaction<IdsTables>, key: string, value: number, wallMs: number): Promise<void> {
  await transaction.query
    .updateTable("t_id_gen")
    .set({ next_value: value, update_time: wallMs })
    .where("id_key", "=", bytesOf(key))
    .execute();
}
