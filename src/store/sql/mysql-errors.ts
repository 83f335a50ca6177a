/**
 * What MySQL and MariaDB say, as the errors of this system. The numbers are the server's, the same on both unless noted; the driver's own
 * errors have a code and no number.
 */
import { TroupeError } from "../../core/errors.ts";

/** Lock wait timeout, deadlock: the transaction may run again. */
const BUSY = [1205, 1213];
/** Too many connections (of all, of this user); the server is stopping; the connection was killed (MariaDB's and MySQL's numbers); silent too long. */
const LOST = [1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1317, 1927, 3169, 4031];
const FULL = [1021, 1114];
/** A table, the server by an option, InnoDB. */
const READ_ONLY = [1036, 1290, 1836];
/** By name; in the engine. */
const TABLE_MISSING = [1146, 1932];
const CONSTRAINTS: Readonly<Record<number, string>> = {
  1022: "unique",
  1048: "not-null",
  1062: "unique",
  1216: "foreign-key",
  1217: "foreign-key",
  1364: "not-null",
  1451: "foreign-key",
  1452: "foreign-key",
  1586: "unique",
  3819: "check",
  4025: "check",
};
/** SQLSTATE classes of errors that the same statement meets again: cardinality, data, syntax or access rule. */
const PROGRAM_STATES = ["21", "22", "42"];

interface MysqlFailure {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlState?: string;
  readonly message?: string;
}

/**
 * `facts.busy`: the transaction was rolled back and may be tried again. `facts.lost`: the connection is gone, or could not be made; what
 * was not committed never will be. `facts.constraint`: which kind of constraint refused.
 * @param place where the server is, as it may be shown
 */
export function mysqlError(error: unknown, statement: string, place: string): TroupeError {
  if (error instanceof TroupeError) return error;
  const { errno, code, sqlState, message } = error as MysqlFailure;
  const detail = `The database server: ${message ?? String(error)}: ${shown(statement)}`;
  const options = { cause: error };
  if (errno === undefined || sqlState === undefined) {
    // Without an answer of the server's: the network's errors, and the driver's about a connection that is no more.
    return isProgramError(error)
      ? new TroupeError("INTERNAL", detail, options)
      : new TroupeError(
          "DATABASE_UNAVAILABLE",
          `The database server at ${place} does not answer, or the connection to it was lost (${code ?? message}).`,
          { ...options, facts: { lost: true } },
        );
  }
  const constraint = CONSTRAINTS[errno];
  // The server's own words hold the value, which may be somebody's name.
  if (constraint !== undefined)
    return new TroupeError("INTERNAL", `The database server: a ${constraint} constraint refused (${errno}): ${shown(statement)}`, {
      facts: { constraint },
    });
  if (BUSY.includes(errno)) return new TroupeError("DATABASE_UNAVAILABLE", detail, { ...options, facts: { busy: true } });
  if (LOST.includes(errno)) return new TroupeError("DATABASE_UNAVAILABLE", detail, { ...options, facts: { lost: true } });
  if (FULL.includes(errno)) return new TroupeError("DISK_FULL", `There is no space left for the database: ${detail}`, options);
  if (READ_ONLY.includes(errno))
    return new TroupeError("DATABASE_UNAVAILABLE", `The database refuses to write (it is read-only). ${detail}`, options);
  if (TABLE_MISSING.includes(errno))
    return new TroupeError("DATABASE_UNAVAILABLE", `The database lacks a table; was it restored or changed by hand? ${detail}`, options);
  return new TroupeError(PROGRAM_STATES.includes(sqlState.slice(0, 2)) ? "INTERNAL" : "DATABASE_UNAVAILABLE", detail, options);
}

/** The driver complains about a value before anything is sent. */
function isProgramError(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError;
}

export function isBusy(error: unknown): boolean {
  return error instanceof TroupeError && error.facts["busy"] === true;
}

export function isLost(error: unknown): boolean {
  return error instanceof TroupeError && error.facts["lost"] === true;
}

/** The server's own number of an error; `undefined` when it was not the server who spoke. */
export function serverNumber(error: unknown): number | undefined {
  const { errno, sqlState } = (error instanceof TroupeError ? error.cause : error) as MysqlFailure;
  return sqlState === undefined ? undefined : errno;
}

/** Statements hold no values, which are bound; so one may be shown. */
function shown(statement: string): string {
  return statement.length <= 200 ? statement : `${statement.slice(0, 200)}…`;
}
