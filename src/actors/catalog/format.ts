/** Whether a database was made for a program like this one. */
import { TroupeError } from "../../core/errors.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { type CatalogDatabase, FILE_TABLES } from "./tables.ts";

/** Version of what the JSON columns hold. */
const FORMAT_VERSION = 1;

/** @throws {TroupeError} `SETTING_INVALID`, `FORMAT_TOO_NEW` */
export async function checkFormat(database: CatalogDatabase, shardCount: number = FILE_TABLES.length): Promise<void> {
  const rows = await database.read((query) => query.selectFrom("t_meta").selectAll().execute());
  const values = new Map(rows.map((row) => [row.name, safeInteger(row.value)]));
  const made = values.get("shard_count");
  if (made !== shardCount) {
    throw new TroupeError(
      "SETTING_INVALID",
      `The database was made with ${made ?? "no"} file tables and this program uses ${shardCount}; their number never changes once files are in them.`,
    );
  }
  const format = values.get("format") ?? 0;
  if (format > FORMAT_VERSION)
    throw new TroupeError("FORMAT_TOO_NEW", `The database has format ${format}, and this version knows formats up to ${FORMAT_VERSION}.`);
}
