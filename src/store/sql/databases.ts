/** The three databases of a cluster: their names, and where their migrations lie. */
import { fileURLToPath } from "node:url";
import { TroupeError } from "../../core/errors.ts";

export const DATABASE_PARTS = ["tracker", "ids", "storage"] as const;
export type DatabasePart = (typeof DATABASE_PARTS)[number];

export const DATABASE_PREFIX_DEFAULT = "troupe_";

/**
 * `troupe_storage`: a database's name on a server, a file's without its ending.
 * @throws {TroupeError} `SETTING_INVALID` for a prefix that would need quoting somewhere
 */
export function databaseName(part: DatabasePart, prefix: string = DATABASE_PREFIX_DEFAULT): string {
  if (!/^[a-z][a-z0-9_]{0,31}$/.test(prefix)) {
    throw new TroupeError("SETTING_INVALID", "--database-prefix begins with a letter and has at most 32 lowercase letters, digits or '_'.");
  }
  return `${prefix}${part}`;
}

/** The folder of one database's migrations. */
export function migrationsDirectory(part: DatabasePart): string {
  return fileURLToPath(new URL(`../../../sql/${part}/`, import.meta.url));
}
