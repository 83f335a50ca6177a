/**
 * What one may ask of an upload in its present state, and why not. The server decides; this only spares one a question it would refuse.
 */
import type { Inspection } from "./inspect-answers.ts";
import { isOver, stateName } from "./inspect-words.ts";

export interface AllowedEvents {
  /** Why it cannot be done now; absent when it can. */
  readonly cancel: string | undefined;
  readonly merge: string | undefined;
}

export function allowedEvents({ upload, machine }: Inspection): AllowedEvents {
  if (machine === undefined && !isOver(upload.state)) return both("Its node does not answer.");
  const state = machine === undefined ? upload.state : stateName(machine.state);
  if (isOver(upload.state)) return both(upload.state === "merged" ? "It is a file already." : `It has ended: ${upload.state}.`);
  if (machine?.context["isCommitUncertain"] === true)
    return { cancel: "A commit was sent and nobody knows yet whether it happened.", merge: mergeRefusal(state, upload) };
  const isMerging = state === "replicating" || state === "committing";
  return { cancel: isMerging ? "It is being committed, which is never taken back." : undefined, merge: mergeRefusal(state, upload) };
}

function mergeRefusal(state: string, { chunkCount, receivedCount }: Inspection["upload"]): string | undefined {
  if (state !== "receiving") return state === "init" ? "It is being opened." : "A merge is under way already.";
  if (chunkCount === undefined) return "Its size is not known yet.";
  const missing = chunkCount - (receivedCount ?? 0);
  return missing === 0 ? undefined : missing === 1 ? "1 of its chunks is missing." : `${missing} of its chunks are missing.`;
}

const both = (reason: string): AllowedEvents => ({ cancel: reason, merge: reason });
