/** The operating system's file errors as {@link TroupeError}, converted here and nowhere else. */
import { getSystemErrorMessage } from "node:util";
import { TroupeError } from "../core/errors.ts";

/** No space, or none left for this user. */
const FULL = new Set(["ENOSPC", "EDQUOT"]);
/** This process, or the machine, has no descriptor left: others end, and then there is one. */
const BUSY = new Set(["EMFILE", "ENFILE"]);
/** Larger than this file system lets a file be. */
const TOO_LARGE = new Set(["EFBIG"]);

/**
 * `DISK_FULL`, `TOO_MANY` (no descriptor left), `TOO_LARGE` or `DISK_FAILED`, with `facts.syscall` and `facts.errno`. What is not an error of the operating system (a wrong
 * argument) is a programmer's error and comes back as it is.
 */
export function diskError(error: unknown, path: string): unknown {
  if (!isSystemError(error)) return error;
  const { code, syscall, errno } = error;
  const reason = errno === undefined ? code : `${getSystemErrorMessage(errno)} (${code})`;
  return new TroupeError(codeOf(code), `${path}: ${syscall} failed: ${reason}.`, {
    cause: error,
    facts: { syscall, errno: code },
  });
}

function codeOf(errno: string): "DISK_FULL" | "DISK_FAILED" | "TOO_MANY" | "TOO_LARGE" {
  if (FULL.has(errno)) return "DISK_FULL";
  if (BUSY.has(errno)) return "TOO_MANY";
  return TOO_LARGE.has(errno) ? "TOO_LARGE" : "DISK_FAILED";
}

type SystemError = Error & { readonly code: string; readonly syscall: string; readonly errno?: number };

function isSystemError(error: unknown): error is SystemError {
  return (
    error instanceof Error && "syscall" in error && typeof error.syscall === "string" && "code" in error && typeof error.code === "string"
  );
}

/** The name of the error (`ENOENT`) in a converted or an original one. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof TroupeError) return typeof error.facts["errno"] === "string" ? error.facts["errno"] : undefined;
  return isSystemError(error) ? error.code : undefined;
}
