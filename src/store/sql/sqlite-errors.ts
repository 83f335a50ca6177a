/** What SQLite says, as the errors of this system. The numbers are its result codes (sqlite.org/rescode.html); the low byte is the kind. */
import { TroupeError } from "../../core/errors.ts";

const BUSY = 5;
const LOCKED = 6;
const IO_ERROR = 10;
const FULL = 13;
const CONSTRAINT = 19;
const PROGRAM_ERRORS = [1, 20, 21, 25]; // ERROR, MISMATCH, MISUSE, RANGE

const CONSTRAINTS: Readonly<Record<number, string>> = {
  275: "check",
  787: "foreign-key",
  1299: "not-null",
  1555: "primary-key",
  2067: "unique",
};

/**
 * `facts.busy`: another connection has the lock, and the whole transaction may be tried again. `facts.constraint`: which kind of
 * constraint refused. `facts.outcomeUnknown`: the disk failed while committing.
 */
export function sqliteError(error: unknown, statement: string): TroupeError {
  if (error instanceof TroupeError) return error;
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (typeof errcode !== "number") {
    // The driver's own complaints: a closed database, or a value it cannot bind.
    const { code } = error as { code?: string };
    return new TroupeError(code === "ERR_INVALID_STATE" ? "DATABASE_UNAVAILABLE" : "INTERNAL", `SQLite: ${message}: ${shown(statement)}`, {
      cause: error,
    });
  }
  const detail = `SQLite: ${message} (${errcode}): ${shown(statement)}`;
  switch (errcode & 0xff) {
    case CONSTRAINT:
      return new TroupeError("INTERNAL", detail, { cause: error, facts: { constraint: CONSTRAINTS[errcode] ?? "other" } });
    case FULL:
      return new TroupeError("DISK_FULL", `There is no space left for the database: ${detail}`, { cause: error });
    case BUSY:
    case LOCKED:
      return new TroupeError("DATABASE_UNAVAILABLE", detail, { cause: error, facts: { busy: true } });
    case IO_ERROR:
      return new TroupeError("DATABASE_UNAVAILABLE", detail, {
        cause: error,
        facts: statement === "COMMIT" ? { outcomeUnknown: true } : {},
      });
    default:
      return new TroupeError(PROGRAM_ERRORS.includes(errcode & 0xff) ? "INTERNAL" : "DATABASE_UNAVAILABLE", detail, { cause: error });
  }
}

export function isBusy(error: unknown): boolean {
  return error instanceof TroupeError && error.facts["busy"] === true;
}

/** Statements hold no values, which are bound; so one may be shown. */
function shown(statement: string): string {
  return statement.length <= 200 ? statement : `${statement.slice(0, 200)}…`;
}
