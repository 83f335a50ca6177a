/** Databases for tests: the real migrations, in memory or in a directory of their own. */

import { SILENT_LOG } from "../../src/core/log.ts";
import type { Clock } from "../../src/core/ports/clock.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { type DatabasePart, migrationsDirectory } from "../../src/store/sql/databases.ts";
import { openSqlite } from "../../src/store/sql/sqlite-database.ts";
import { SeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export function openTestDatabase<Tables>(
  part: DatabasePart,
  options: { readonly path?: string; readonly clock?: Clock } = {},
): Promise<Database<Tables>> {
  return openSqlite<Tables>({
    path: options.path ?? ":memory:",
    migrations: migrationsDirectory(part),
    clock: options.clock ?? new VirtualClock(),
    random: new SeededRandom(1),
    log: SILENT_LOG,
  });
}
