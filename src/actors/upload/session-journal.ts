/** What a session's journal says: read when the session is opened, and by the node when it has to decide what becomes of a folder. */
import { TroupeError } from "../../core/errors.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../core/limits.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import { ChunkLedger, type Tail } from "./chunk-ledger.ts";
import { type CommitPlan, Journal, type JournalEntry } from "./journal.ts";
import type { UploadCreation } from "./ports.ts";
import { sessionPaths } from "./session-files.ts";

export interface Recorded extends UploadCreation {
  readonly ledger: ChunkLedger;
  /** Where the file's blob will be, once that is decided. */
  readonly commitPlan: CommitPlan | undefined;
  /** A merge was promised for a file of this size. */
  readonly promisedBytes: number | undefined;
  /** How long nothing had come when this was last recorded. */
  readonly idleMs: number;
  /** Every chunk of which something was received. */
  readonly received: Set<number>;
  /** Nothing was recorded since the upload was created. */
  readonly isUntouched: boolean;
}

/**
 * Opens a journal for appending, with what it says.
 * @throws {TroupeError} `FORMAT_TOO_NEW`; `DISK_FAILED`, with `errno` `NO_PLAN` for a journal without a readable beginning, `NO_ENTRIES` for
 * one in which nothing can be read
 */
export async function openSessionJournal(
  disk: Disk,
  hasher: Hasher,
  folder: string,
  fileBytesMax: number,
): Promise<Recorded & { readonly journal: Journal }> {
  const path = sessionPaths(folder).journal;
  let begun: (UploadCreation & { readonly ledger: ChunkLedger }) | undefined;
  let commitPlan: CommitPlan | undefined;
  let promisedBytes: number | undefined;
  let idleMs = 0;
  const received = new Set<number>();
  const takeTail = (entry: Extract<JournalEntry, { kind: "tail" }>): void => {
    if (begun === undefined || begun.ledger.isReceived(entry.index)) return;
    const tail = tailAfter(begun.ledger.tail, entry);
    if (tail === "unknown") return;
    begun.ledger.setTail(tail);
    if (tail !== undefined) received.add(tail.index);
  };
  // An entry may have rotted: of two that belong together, either may stand alone.
  const take = (entry: Extract<JournalEntry, { kind: "chunk" | "lost" | "tail" }>, offset: number): void => {
    if (entry.kind === "tail") return takeTail(entry);
    if (begun?.ledger.isReceived(entry.index) === true) begun.ledger.lose(entry.index);
    received.delete(entry.index);
    if (entry.kind === "lost") return;
    begun?.ledger.receive(entry.index, entry.lengthBytes, offset);
    received.add(entry.index);
  };
  let isEmpty = true;
  let isUntouched = true;
  const journal = await Journal.open(disk, path, hasher, ({ entry, offset }) => {
    isEmpty = false;
    if (entry.kind !== "plan") isUntouched = false;
    if (entry.kind === "plan")
      // Said again, it is the same plan: what was received since the first stays.
      begun ??= { ...creationOf(entry), ledger: new ChunkLedger({ ...entry.plan, sizeBytesMax: fileBytesMax }) };
    else if (entry.kind === "commit") commitPlan = entry;
    else if (entry.kind === "merge") promisedBytes = entry.sizeBytes;
    else if (entry.kind === "idle") idleMs = entry.idleMs;
    else if (entry.kind === "size") begun?.ledger.declare(entry.sizeBytes);
    else {
      idleMs = 0;
      take(entry, offset);
    }
  });
  if (begun !== undefined)
    return { ...(begun as UploadCreation & { ledger: ChunkLedger }), commitPlan, promisedBytes, idleMs, received, isUntouched, journal };
  await journal.close();
  throw new TroupeError("DISK_FAILED", `${path} has no readable beginning.`, {
    facts: { errno: isEmpty ? "NO_ENTRIES" : "NO_PLAN" },
  });
}

const creationOf = ({ plan, owner, operation }: UploadCreation): UploadCreation => ({ plan, owner, operation });

/**
 * What a tail's entry makes of the tail before it.
 * @returns `unknown` when an entry before it has rotted, which held digests that this one builds on: then the tail is as it was
 */
export function tailAfter(before: Tail | undefined, entry: Tail): Tail | undefined | "unknown" {
  const { index, lengthBytes } = entry;
  if (lengthBytes === 0) return before?.index === index ? undefined : before;
  const keptBytes = Math.ceil(lengthBytes / LEAF_BYTES) * LEAF_DIGEST_BYTES - entry.leafDigests.length;
  const keptLeaves = keptBytes / LEAF_DIGEST_BYTES;
  const isOurs = before?.index === index;
  if (keptLeaves * LEAF_BYTES > (isOurs ? before.lengthBytes : 0)) return "unknown";
  const kept = isOurs ? before.leafDigests.subarray(0, keptBytes) : new Uint8Array();
  return { index, lengthBytes, leafDigests: Buffer.concat([kept, entry.leafDigests]) };
}

/** The same, to look at only. */
export async function readSessionJournal(disk: Disk, hasher: Hasher, folder: string, fileBytesMax: number): Promise<Recorded> {
  const { journal, ...recorded } = await openSessionJournal(disk, hasher, folder, fileBytesMax);
  await journal.close();
  return recorded;
}
