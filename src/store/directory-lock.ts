/**
 * One owner process a directory, by a lock of the operating system: an exclusive SQLite transaction on an empty database file.
 *
 * L1: the lock ends with the process, however it ends; a process that is merely stopped keeps it.
 * L2: nobody else in this process opens the lock file. On POSIX systems, closing any handle on a file drops every lock the process
 *     has on it.
 */
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { TroupeError } from "../core/errors.ts";
import { diskError } from "./disk-error.ts";

export const LOCK_FILE = "owner.lock";
const SQLITE_BUSY = 5;

/** A database that nothing refers to is closed by the garbage collector, and its lock with it: these are held until released. */
const held = new Set<DatabaseSync>();

/** @throws {TroupeError} `DIRECTORY_IN_USE`; `DISK_FAILED` when there is no such directory or the lock file cannot be opened */
export async function lockDirectory(directory: string): Promise<{ release(): Promise<void> }> {
  try {
    // Asked first, for a reason in words: a database that cannot be opened says nothing of why.
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw diskError(error, directory);
  }
  const database = openExclusively(join(directory, LOCK_FILE), directory);
  held.add(database);
  return {
    async release() {
      if (!held.delete(database)) return;
      database.close();
    },
  };
}

function openExclusively(path: string, directory: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 0 });
    // Without a journal file there is nothing to lie about beside the lock after a kill.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database?.close();
    if (isBusy(error))
      throw new TroupeError("DIRECTORY_IN_USE", `Another process owns ${directory}; stop it, or choose another data directory.`, {
        cause: error,
      });
    const reason = error instanceof Error ? error.message : String(error);
    throw new TroupeError("DISK_FAILED", `${path}: lock failed: ${reason}.`, { cause: error, facts: { syscall: "lock", errno: "ENOLCK" } });
  }
}

function isBusy(error: unknown): boolean {
  // The low byte is the primary code; the rest tells variants of it apart.
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" && (error.errcode & 0xff) === SQLITE_BUSY;
}
