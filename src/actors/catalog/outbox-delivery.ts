/** How each kind of outbox row is delivered. Delivering one twice does no harm. */
import { client } from "../../bus/client.ts";
import { encodeBody } from "../../bus/codec.ts";
import { bytesOf } from "../../core/byte-text.ts";
import { OUTBOX_PARALLEL_MAX } from "../../core/limits.ts";
import type { Bus } from "../../core/ports/bus.ts";
import { storage } from "../storage/contract.ts";
import { readJson } from "./json-column.ts";
import { eventPayload, retiredPayload } from "./outbox.ts";
import type { Delivery, OutboxRow } from "./outbox-sweep.ts";
import type { CatalogDatabase } from "./tables.ts";

const DONE: Delivery = { kind: "done" };

/** Events of a batch are published in order, and count once the bus has them. */
export async function publishEvents(bus: Bus, rows: readonly OutboxRow[]): Promise<Delivery[]> {
  const deliveries = await eachOf(rows, 1, async (row) => {
    const { subject, body } = readJson(eventPayload, row.payload);
    bus.publish(subject, encodeBody(body, "json"));
    return DONE;
  });
  try {
    await bus.flush();
    return deliveries;
  } catch (error) {
    return rows.map(() => ({ kind: "again", why: error }));
  }
}

/** Every node that holds a retired blob is told; those that do not answer are told again later. */
export function retireBlobs(
  ports: { readonly bus: Bus; readonly database: CatalogDatabase; readonly signal: AbortSignal },
  rows: readonly OutboxRow[],
): Promise<Delivery[]> {
  const { bus, database, signal } = ports;
  return eachOf(rows, OUTBOX_PARALLEL_MAX, async (row) => {
    const { blobId, path, nodeIds } = readJson(retiredPayload, row.payload);
    const left: string[] = [];
    let why: unknown;
    for (const nodeId of nodeIds) {
      try {
        await client(bus, storage, { nodeId }).retireBlob({ blobId, path }, { signal });
        await database.transact(async ({ query }) => {
          await query.deleteFrom("t_replica").where("blob_id", "=", BigInt(blobId)).where("node_id", "=", bytesOf(nodeId)).execute();
        });
      } catch (error) {
        why = error;
        left.push(nodeId);
      }
    }
    return left.length === 0 ? DONE : { kind: "again", why, payload: { blobId, path, nodeIds: left } };
  });
}

/** In order, `parallel` at a time; what throws is to be tried again. */
async function eachOf(rows: readonly OutboxRow[], parallel: number, deliver: (row: OutboxRow) => Promise<Delivery>): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  const queue = rows.entries();
  const work = async (): Promise<void> => {
    for (const [index, row] of queue) {
      try {
        deliveries[index] = await deliver(row);
      } catch (error) {
        deliveries[index] = { kind: "again", why: error };
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return deliveries;
}
