/** How each kind of outbox row is delivered. Delivering one twice does no harm. */
import type { z } from "zod";
import { client } from "../../bus/client.ts";
import { encodeBody } from "../../bus/codec.ts";
import { bytesOf } from "../../core/byte-text.ts";
import { OUTBOX_PARALLEL_MAX } from "../../core/limits.ts";
import type { Bus } from "../../core/ports/bus.ts";
import { storage } from "../storage/contract.ts";
import { readJson } from "./json-column.ts";
import { eventPayload, referredPayload, retiredPayload } from "./outbox.ts";
import type { Delivery, OutboxClaim, OutboxRow, Outcome } from "./outbox-claim.ts";
import type { CatalogDatabase } from "./tables.ts";

const DONE: Delivery = { kind: "done" };

/** Events of a batch are published in order, and count once the bus has them: together, for nothing but the bus is waited for. */
export async function publishEvents(bus: Bus, claim: OutboxClaim): Promise<void> {
  const publish = async ({ payload }: OutboxRow): Promise<Delivery> => {
    const { subject, body } = readJson(eventPayload, payload);
    bus.publish(subject, encodeBody(body, "json"));
    return DONE;
  };
  const outcomes: Outcome[] = [];
  for (const row of claim.rows) outcomes.push({ row, delivery: await attempt(publish, row) });
  let settled: readonly Outcome[] = outcomes;
  try {
    await bus.flush();
  } catch (error) {
    settled = claim.rows.map((row) => ({ row, delivery: { kind: "again", why: error } }));
  }
  await claim.settle(settled);
}

interface NodePorts {
  readonly bus: Bus;
  readonly database: CatalogDatabase;
  readonly signal: AbortSignal;
}

/** Every node that has a blob to which another file refers writes that beside it, for the day on which the database is lost. */
export function recordFiles({ bus, signal }: NodePorts, claim: OutboxClaim): Promise<void> {
  return tellNodes(claim, referredPayload, async ({ blobId, path, file }, nodeId) => {
    await client(bus, storage, { nodeId }).recordFile({ blobId, path, file }, { signal });
  });
}

/** Every node that holds a retired blob is told. */
export function retireBlobs({ bus, database, signal }: NodePorts, claim: OutboxClaim): Promise<void> {
  return tellNodes(claim, retiredPayload, async ({ blobId, path }, nodeId) => {
    await client(bus, storage, { nodeId }).retireBlob({ blobId, path }, { signal });
    await database.transact(async ({ query }) => {
      await query.deleteFrom("t_replica").where("blob_id", "=", BigInt(blobId)).where("node_id", "=", bytesOf(nodeId)).execute();
    });
  });
}

interface ForNodes {
  readonly nodeIds: string[];
}

/** All nodes of a row at once; those that do not answer are told again later. */
async function tellNodes<Payload extends ForNodes>(
  claim: OutboxClaim,
  schema: z.ZodType<Payload>,
  tell: (payload: Payload, nodeId: string) => Promise<void>,
): Promise<void> {
  const deliver = async (row: OutboxRow): Promise<Delivery> => {
    const payload = readJson(schema, row.payload);
    const { nodeIds } = payload;
    const told = await Promise.allSettled(nodeIds.map((nodeId) => tell(payload, nodeId)));
    const left = nodeIds.filter((_, index) => told[index]?.status === "rejected");
    const failed = told.find((end) => end.status === "rejected");
    return failed === undefined ? DONE : { kind: "again", why: failed.reason, payload: { ...payload, nodeIds: left } };
  };
  // What has failed before takes time again: it may not use up the claim, again and again, before what was never tried.
  const queue = claim.rows.toSorted((a, b) => a.attemptCount - b.attemptCount).values();
  const work = async (): Promise<void> => {
    for (const row of queue) {
      if (!claim.mayBegin) return;
      await claim.settle([{ row, delivery: await attempt(deliver, row) }]);
    }
  };
  // What began with the row that could not be settled ends before the sweep does, which says so.
  const ends = await Promise.allSettled(Array.from({ length: OUTBOX_PARALLEL_MAX }, work));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** What throws is to be tried again. */
async function attempt(deliver: (row: OutboxRow) => Promise<Delivery>, row: OutboxRow): Promise<Delivery> {
  try {
    return await deliver(row);
  } catch (error) {
    return { kind: "again", why: error };
  }
}
