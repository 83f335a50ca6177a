/** The operating system's file errors as {@link TroupeError}, converted here and nowhere else. */
import { getSystemErrorMessage } from "node:util";
import { TroupeError } from "../core/errors.ts";

/** No space, or none left for this user. */
const FULL = new Set(["ENOSPC", "EDQUOT"]);

/**
 * `DISK_FULL` or `DISK_FAILED` with `facts.syscall` and `facts.errno`. What is not an error of the operating system (a wrong
 * argument) is a programmer's error and comes back as it is.
 */
export function diskError(error: unknown, path: string): unknown {
  if (!isSystemError(error)) return error;
  const { code, syscall, errno } = error;
  const reason = errno === undefined ? code : `${getSystemErrorMessage(errno)} (${code})`;
  return new TroupeError(FULL.has(code) ? "DISK_FULL" : "DISK_FAILED", `${path}: ${syscall} failed: ${reason}.`, {
    cause: error,
    facts: { syscall, errno: code },
  });
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
