/** Why an upload is not a file yet, or will never be one: one or two sentences for whoever waits. */
import type { MachineInspection } from "../../core/inspection.ts";
import type { EndedState, LastError } from "../../core/shapes.ts";

export interface Waiting {
  /** The upload as its owner sees it; absent when nobody answers for it. */
  readonly view: Readonly<Record<string, unknown>> | undefined;
  readonly machine: MachineInspection | undefined;
  readonly isHostAway: boolean;
  readonly host: string;
  readonly ended: { readonly state: EndedState; readonly lastError: LastError | undefined } | undefined;
  readonly nowMs: number;
}

export function whyWaiting(waiting: Waiting): string {
  const { ended, isHostAway, host, view } = waiting;
  if (ended !== undefined) return whyEnded(ended);
  if (isHostAway) return `It waits for the node ${host}, which hosts it and does not answer. It goes on by itself when that node is back.`;
  if (view === undefined) return `Its node ${host} has not taken it up yet.`;
  const effects = effectWords(waiting);
  return [stateWords(waiting, view), effects].filter((words) => words !== "").join(" ");
}

function whyEnded({ state, lastError }: NonNullable<Waiting["ended"]>): string {
  const reason = lastError === undefined ? "" : ` ${lastError.code}: ${lastError.detail}`;
  const then =
    lastError === undefined ? ", and what had come was removed." : `, and what had come was removed. What went wrong before:${reason}`;
  switch (state) {
    case "merged":
      return "It waits for nothing: it has become a file.";
    case "cancelled":
      return `It was cancelled${then}`;
    case "expired":
      return "Nothing came for too long: it has expired, and what had come was removed.";
    case "failed":
      return `It has failed for good.${reason} ${lastError?.code === "DIGEST_MISMATCH" ? "Either these bytes or the digest that was claimed for them are wrong: look which, and upload it again." : "Upload it again."}`;
  }
}

function stateWords({ machine, nowMs }: Waiting, view: Readonly<Record<string, unknown>>): string {
  const { state, chunkCount, receivedCount, inFlightCount, lastError, expires, lastActivity } = view;
  const uncertain =
    machine?.context["isCommitUncertain"] === true ? " A commit was sent and its answer did not come, so it cannot be cancelled." : "";
  switch (state) {
    case "init":
      return "Its node is opening it.";
    case "receiving": {
      const reason = isError(lastError) ? `The last merge did not come about: ${lastError.code}: ${lastError.detail} ` : "";
      const left = typeof chunkCount === "number" && typeof receivedCount === "number" ? chunkCount - receivedCount : undefined;
      if (typeof inFlightCount === "number" && inFlightCount > 0) {
        const more = left === undefined ? 0 : Math.max(0, left - inFlightCount);
        const rest = more === 0 ? "" : `, and ${more} more ${more === 1 ? "is" : "are"} missing`;
        return `${reason}${chunksText(inFlightCount)} arriving${slowestWords(machine, nowMs)}${rest}.${uncertain}`;
      }
      const quiet = typeof lastActivity === "string" ? sinceWords(Date.parse(lastActivity), nowMs) : "";
      const ends = expiresWords(expires, nowMs);
      if (left === undefined) return `${reason}It waits for its client${quiet}: its size is not known yet.${ends}`;
      if (left > 0) return `${reason}It waits for its client${quiet}: ${chunksText(left)} missing, and none is arriving.${ends}`;
      return `${reason}All of it is there. It waits for somebody to ask for the merge${quiet}.${uncertain}${ends}`;
    }
    case "verifying": {
      const { followedBytes, size } = view;
      const done =
        typeof followedBytes === "number" && typeof size === "number" && size > 0
          ? ` ${Math.floor((100 * followedBytes) / size)} % are digested.`
          : "";
      return `Its bytes are being digested.${done}${uncertain}`;
    }
    case "replicating":
      return "It is being copied to the other members of its group.";
    case "committing":
      return `It waits for the catalog to commit it${sinceWords(machine?.sinceMs, nowMs)}.${uncertain}`;
    default:
      return "";
  }
}

/** What was begun and has not come back, where that takes long. */
function effectWords({ machine, nowMs }: Waiting): string {
  const slow = (machine?.effects ?? []).filter(({ sinceMs }) => nowMs - sinceMs >= SLOW_MS);
  if (slow.length === 0) return "";
  return `Under way: ${slow.map(({ name, sinceMs }) => `${name}${sinceWords(sinceMs, nowMs)}`).join(", ")}.`;
}

const SLOW_MS = 1_000;
/** A body that takes longer is worth a word. */
const SLOW_BODY_MS = 5_000;

/** Of the body that has been on its way longest. */
function slowestWords(machine: MachineInspection | undefined, nowMs: number): string {
  const oldest = (machine?.bodies ?? []).toSorted((a, b) => a.sinceMs - b.sinceMs)[0];
  if (oldest === undefined || nowMs - oldest.sinceMs < SLOW_BODY_MS) return "";
  return ` (chunk ${oldest.index}${sinceWords(oldest.sinceMs, nowMs)}: ${bytesThere(oldest.arrivedBytes)})`;
}

function sinceWords(sinceMs: number | undefined, nowMs: number): string {
  if (sinceMs === undefined || nowMs - sinceMs < SLOW_MS) return "";
  return `, for ${durationText(nowMs - sinceMs)} now`;
}

function expiresWords(expires: unknown, nowMs: number): string {
  if (typeof expires !== "string") return "";
  return ` It expires in ${durationText(Math.max(0, Date.parse(expires) - nowMs))} if nothing comes.`;
}

/** `25 s`, `4 min`, `23 h`, `6 d` */
function durationText(durationMs: number): string {
  const [unit, length] = (
    [
      ["d", 86_400_000],
      ["h", 3_600_000],
      ["min", 60_000],
    ] as const
  ).find(([, one]) => durationMs >= 2 * one) ?? ["s", 1_000];
  return `${Math.round(durationMs / length)} ${unit}`;
}

function chunksText(count: number): string {
  return count === 1 ? "1 chunk is" : `${count} chunks are`;
}

function isError(error: unknown): error is LastError {
  return typeof error === "object" && error !== null && "code" in error && "detail" in error;
}

function bytesThere(count: number): string {
  return count === 1 ? "1 byte of it is there" : `${count.toLocaleString("en")} bytes of it are there`;
}
