/** How the failure of one file of `troupe upload` is told, and what to do about it. */
import { TroupeError } from "../../core/errors.ts";
import { EXIT, type ExitCode, exitCodeOf, failureJson, failureLine } from "../exit-code.ts";
import { quoted, type Session } from "../session.ts";
import { printable } from "../table.ts";

export interface Failure {
  /** What a person calls the file. */
  readonly word: string;
  readonly error: unknown;
  readonly uploadId: string | undefined;
  readonly isKept: boolean;
}

export interface Verdict {
  readonly exitCode: ExitCode;
  /** The next file would meet the same. */
  readonly isForAll: boolean;
}

export function verdictOn(error: unknown): Verdict {
  const exitCode = exitCodeOf(error);
  // The next file may get another node than the one that is away.
  const isOfOneNode = error instanceof TroupeError && error.code === "HOST_UNAVAILABLE";
  return { exitCode, isForAll: exitCode === EXIT.refused || (exitCode === EXIT.unreachable && !isOfOneNode) };
}

/** For a program. */
export function failureRecord({ word, error, uploadId }: Failure): string {
  if (!(error instanceof TroupeError)) return failureJson(error);
  const facts = { ...error.facts, ...(uploadId === undefined ? {} : { uploadId }), path: word };
  return failureJson(new TroupeError(error.code, error.detail, { cause: error, facts }));
}

/** Of one of several files: one line with its name. */
export function failureOfMany({ gateway }: Session, { word, error }: Failure): string {
  return failureLine(named(error, word), gateway);
}

/** Of the only file: what happened, and how to go on or give up. */
export function failureOfOne(session: Session, { word, error, uploadId, isKept }: Failure): string {
  const { context, gateway, program, gatewayFlag } = session;
  const said = context.signal.aborted ? `Stopped: ${printable(word)} is not uploaded.` : failureLine(error, gateway);
  if (uploadId === undefined || !isKept) return said;
  const lines = [said, "  to go on    the same command again sends only what is missing"];
  // Then nobody can cancel it either.
  if (error instanceof TroupeError && error.code === "HOST_UNAVAILABLE")
    lines.push("  to begin    the same command with --fresh, elsewhere");
  else lines.push(`  to give up  ${program} ${gatewayFlag}cancel ${uploadId}`);
  return lines.join("\n");
}

/** Without a state directory only the ID leads back. */
export function resumeLine({ program, gatewayFlag }: Session, uploadId: string, word: string): string {
  return `${program} ${gatewayFlag}upload --resume ${uploadId} ${printable(quoted(word))}`;
}

function named(error: unknown, word: string): unknown {
  if (!(error instanceof TroupeError) || error.detail.includes(word)) return error;
  return new TroupeError(error.code, `${word}: ${error.detail}`, { cause: error, facts: error.facts });
}
