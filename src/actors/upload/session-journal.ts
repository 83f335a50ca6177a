/** What a session's journal says: read when the session is opened, and by the node when it has to decide what becomes of a folder. */
import { TroupeError } from "../../core/errors.ts";
import type { Disk } from "../../core/ports/disk.ts";
import type { Hasher } from "../../core/ports/hasher.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import { ChunkLedger } from "./chunk-ledger.ts";
import { type CommitPlan, Journal, type JournalEntry } from "./journal.ts";
import { sessionPaths } from "./session-files.ts";

export interface Recorded {
  readonly plan: UploadPlan;
  readonly owner: string;
  readonly ledger: ChunkLedger;
  /** Where the file's blob will be, once that is decided. */
  readonly commitPlan: CommitPlan | undefined;
  /** A merge was promised for a file of this size. */
  readonly promisedBytes: number | undefined;
  /** Every chunk that was received. */
  readonly received: Set<number>;
}

/**
 * Opens a journal for appending, with what it says.
 * @throws {TroupeError} `FORMAT_TOO_NEW`; `DISK_FAILED`, with `errno` `NO_PLAN` for a journal without a readable beginning
 */
export async function openSessionJournal(
  disk: Disk,
  hasher: Hasher,
  folder: string,
  fileBytesMax: number,
): Promise<Recorded & { readonly journal: Journal }> {
  const path = sessionPaths(folder).journal;
  let begun: { plan: UploadPlan; owner: string; ledger: ChunkLedger } | undefined;
  let commitPlan: CommitPlan | undefined;
  let promisedBytes: number | undefined;
  const received = new Set<number>();
  // An entry may have rotted: of two that belong together, either may stand alone.
  const take = (entry: Extract<JournalEntry, { kind: "chunk" | "lost" }>, offset: number): void => {
    if (begun?.ledger.isReceived(entry.index) === true) begun.ledger.lose(entry.index);
    received.delete(entry.index);
    if (entry.kind === "lost") return;
    begun?.ledger.receive(entry.index, entry.lengthBytes, offset);
    received.add(entry.index);
  };
  const journal = await Journal.open(disk, path, hasher, ({ entry, offset }) => {
    if (entry.kind === "plan")
      begun = { plan: entry.plan, owner: entry.owner, ledger: new ChunkLedger({ ...entry.plan, sizeBytesMax: fileBytesMax }) };
    else if (entry.kind === "commit") commitPlan = entry;
    else if (entry.kind === "merge") promisedBytes = entry.sizeBytes;
    else take(entry, offset);
  });
  if (begun !== undefined)
    return { ...(begun as { plan: UploadPlan; owner: string; ledger: ChunkLedger }), commitPlan, promisedBytes, received, journal };
  await journal.close();
  throw new TroupeError("DISK_FAILED", `${path} has no readable beginning.`, { facts: { errno: "NO_PLAN" } });
}

/** The same, to look at only. */
export async function readSessionJournal(disk: Disk, hasher: Hasher, folder: string, fileBytesMax: number): Promise<Recorded> {
  const { journal, ...recorded } = await openSessionJournal(disk, hasher, folder, fileBytesMax);
  await journal.close();
  return recorded;
}
