/** How a command ends: the exit code of an error, and the line that says what happened and what to do. */
import { type ErrorCode, TroupeError, toTroupeError } from "../core/errors.ts";
import { printable } from "./table.ts";

export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, refused: 4, unreachable: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof TroupeError)) return EXIT.failed;
  if (error.facts["unreachable"] === true || error.facts["stranger"] === true) return EXIT.unreachable;
  // What was refused before anything was asked is a matter of how the command was written.
  if (error.facts["httpStatus"] === undefined && USAGE_CODES.has(error.code)) return EXIT.usage;
  if (error.status === 404) return EXIT.notFound;
  if (error.status === 401 || error.status === 403) return EXIT.refused;
  if (ABSENCE_CODES.has(error.code)) return EXIT.unreachable;
  return EXIT.failed;
}

/** Somebody did not answer: the server, or one of those it asked. */
const ABSENCE_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "UNAVAILABLE",
  "HOST_UNAVAILABLE",
  "NO_NODES",
  "DATABASE_UNAVAILABLE",
  "BUS_UNAVAILABLE",
  "STOPPING",
  "DEADLINE_EXCEEDED",
]);
const USAGE_CODES: ReadonlySet<string> = new Set(["SETTING_INVALID", "BAD_REQUEST", "BAD_IDENTITY"]);

/** One line, as a terminal may have it: what happened, and what to do where that is known. */
export function failureLine(thrown: unknown, gateway: string): string {
  const error = thrown instanceof TroupeError ? thrown : toTroupeError(thrown);
  const reason = thrown instanceof TroupeError || !(thrown instanceof Error) ? error.detail : `${error.detail} (${thrown.message})`;
  const said = /[.!?)]$/.test(reason) ? reason : `${reason}.`;
  const line = `troupe: ${[said, adviceOf(error, gateway)].filter((part) => part !== "").join(" ")}`;
  return printable(line.replace(/\s*[\n\t]\s*/g, " "));
}

/** The error for a program. */
export function failureJson(thrown: unknown): string {
  const error = toTroupeError(thrown);
  return JSON.stringify({ error: { ...error.facts, code: error.code, detail: error.detail, exitCode: exitCodeOf(thrown) } });
}

function adviceOf(error: TroupeError, gateway: string): string {
  const { code, facts } = error;
  if (facts["unreachable"] === true && /^(nats|tls):/.test(gateway)) return "";
  if (facts["unreachable"] === true) return "Is the server started ('npm start')? Name another one with --gateway URL.";
  if (facts["stranger"] === true) return "Name another one with --gateway URL.";
  if (facts["userNeeded"] !== undefined)
    return "A local cluster ('npm run cluster') keeps its passwords in cluster.json in its data directory; 'npm start -- --nats local' has the whole address in nats/client.url.";
  if (code === "UNAUTHORIZED") return "Give --token owner:secret, or set TROUPE_TOKEN.";
  if (code === "FORBIDDEN" && !/^(nats|tls):/.test(gateway)) return "Another --token may.";
  if (code === "FILE_NOT_FOUND") return `(Asked ${gateway}; 'troupe ls' lists the files there.)`;
  if (code === "UPLOAD_NOT_FOUND") return `(Asked ${gateway}; 'troupe uploads --all' lists the uploads there.)`;
  if (typeof facts["taken"] === "string") return "Use --force to replace it, or -o FILE to write elsewhere.";
  if (code === "DISK_FULL") return "Free some space, then try again.";
  if (code === "INTERNAL" && typeof facts["requestId"] === "string") return `(Request ${facts["requestId"]}.)`;
  return "";
}
