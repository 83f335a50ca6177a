/**
 * The outbox: what has to be told or done after a commit is written in the same transaction, as a row that stays until it is done.
 * So a crash after the commit loses nothing, and delivering twice does no harm.
 */
import { z } from "zod";
import { eventSubject } from "../../bus/contract.ts";
import { blobId, fileRecord, identity } from "../../core/shapes.ts";
import type { FileRecord, LocatedFile } from "./contract.ts";
import { jsonBytes } from "./json-column.ts";
import type { CatalogTransaction } from "./tables.ts";

/** A fact to be published, with a body that `nats sub` can show. */
export const eventPayload = z.object({ subject: z.string(), body: z.record(z.string(), z.unknown()) });
/** Another file of a blob that its nodes have, and those of them whose records do not name it yet. */
export const referredPayload = z.object({ blobId, path: z.string(), nodeIds: z.array(identity), file: fileRecord });
/** A blob nothing refers to any more, and the nodes that have not yet been told. */
export const retiredPayload = z.object({ blobId, path: z.string(), nodeIds: z.array(identity) });

export type OutboxEntry =
  | { readonly kind: "event"; readonly payload: z.output<typeof eventPayload> }
  | { readonly kind: "blob.referred"; readonly payload: z.output<typeof referredPayload> }
  | { readonly kind: "blob.retired"; readonly payload: z.output<typeof retiredPayload> };

export type FileFact = "created" | "renamed" | "deleted";

/** `troupe.v1.evt.file.<fileId>.created` */
export function fileEvent(fact: FileFact, file: Pick<FileRecord, "fileId" | "owner" | "app" | "user" | "name">, atMs: number): OutboxEntry {
  const { fileId, owner, app, user, name } = file;
  return { kind: "event", payload: { subject: eventSubject("file", fileId, fact), body: { fileId, owner, app, user, name, atMs } } };
}

export function blobReferred({ blob: { blobId, path, nodeIds }, ...file }: LocatedFile): OutboxEntry {
  return { kind: "blob.referred", payload: { blobId, path, nodeIds, file } };
}

export async function enqueue(transaction: CatalogTransaction, nowMs: number, entries: readonly OutboxEntry[]): Promise<void> {
  for (const { kind, payload } of entries) {
    await transaction.query
      .insertInto("t_outbox")
      .values({ kind, payload: jsonBytes(payload), attempt_count: 0, due_time: nowMs, create_time: nowMs })
      .execute();
  }
}
