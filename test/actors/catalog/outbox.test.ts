import { describe, expect, test } from "vitest";
import { checkFormat } from "../../../src/actors/catalog/format.ts";
import { jsonBytes } from "../../../src/actors/catalog/json-column.ts";
import { OutboxClaim, type OutboxPorts } from "../../../src/actors/catalog/outbox-claim.ts";
import { OutboxSweep } from "../../../src/actors/catalog/outbox-sweep.ts";
import type { CatalogDatabase, CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { textOf } from "../../../src/core/byte-text.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import {
  OUTBOX_BACKOFF_MAX_MS,
  OUTBOX_BATCH_MAX,
  OUTBOX_CLAIM_MS,
  OUTBOX_SWEEP_MS,
  REQUEST_TIMEOUT_DEFAULT_MS,
} from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { currentTrace, inTrace, type Trace } from "../../../src/core/trace.ts";
import { openTestDatabase } from "../../support/database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { CatalogRig } from "./rig.ts";

const facts = (rig: CatalogRig) => rig.events.map(({ subject }) => subject.split(".").at(-1));
const outboxOf = async (rig: CatalogRig) => (await rig.everything())["t_outbox"];
const nodesOf = (row: unknown) => JSON.parse(textOf((row as { readonly payload: Uint8Array }).payload)).nodeIds;

/** A retired blob, numbered from 1, for each list of nodes that hold it. */
async function retireAll(rig: CatalogRig, nodes: readonly (readonly string[])[]): Promise<void> {
  const nowMs = rig.clock.wallMs();
  const rows = nodes.map((nodeIds, index) => ({
    kind: "blob.retired" as const,
    payload: jsonBytes({ blobId: index + 1, path: "a/b", nodeIds }),
    attempt_count: 0,
    due_time: nowMs,
    create_time: nowMs,
  }));
  await rig.database.transact(({ query }) => query.insertInto("t_outbox").values(rows).execute());
  await rig.clock.advance(OUTBOX_SWEEP_MS);
}

describe("the outbox", () => {
  test("a commit's event is published at once, in order, and its row removed", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").renameFile({ fileId: file.fileId, name: "b.mp4" });
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await rig.clock.advance(0);
    expect(facts(rig)).toEqual(["created", "renamed", "deleted"]);
    expect(rig.events[0]).toEqual({
      subject: `troupe.v1.evt.file.${file.fileId}.created`,
      body: { fileId: file.fileId, owner: "ann", app: "default", user: "default", name: "a.mp4", atMs: file.createdMs },
    });
  });

  test("what is delivered, which may be many requests', is in the trace of none, also when one of them wakes it", async () => {
    await using rig = await CatalogRig.open();
    await rig.clock.advance(OUTBOX_SWEEP_MS);
    const nowMs = rig.clock.wallMs();
    const row = { kind: "alone" as OutboxPorts["kind"], payload: jsonBytes({}), attempt_count: 0, due_time: nowMs, create_time: nowMs };
    await rig.database.transact(({ query }) => query.insertInto("t_outbox").values(row).execute());
    const traces: (Trace | undefined)[] = [];
    const deliver = async (): Promise<void> => void traces.push(currentTrace());
    const { database, clock } = rig;
    const sweep = new OutboxSweep({ kind: row.kind, database, clock, random: new SeededRandom(1), log: SILENT_LOG, deliver });
    const trace: Trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", isSampled: true, requestId: "r" };
    inTrace(trace, () => sweep.wake());
    await clock.advance(OUTBOX_SWEEP_MS);
    await sweep.stop();
    expect([...new Set(traces)]).toEqual([undefined]);
  });

  test("F12: a row whose wake-up was lost is found by the sweep", async () => {
    await using rig = await CatalogRig.open();
    await rig.clock.advance(OUTBOX_SWEEP_MS);
    const nowMs = rig.clock.wallMs();
    // As a catalog leaves it that dies between its commit and the publishing.
    const payload = jsonBytes({ subject: "troupe.v1.evt.file.x.created", body: { fileId: "x" } });
    await rig.database.transact(({ query }) =>
      query.insertInto("t_outbox").values({ kind: "event", payload, attempt_count: 0, due_time: nowMs, create_time: nowMs }).execute(),
    );
    expect(facts(rig)).toEqual([]);
    await rig.clock.advance(OUTBOX_SWEEP_MS);
    expect(facts(rig)).toEqual(["created"]);
    expect(await outboxOf(rig)).toEqual([]);
  });

  test("F10: events wait for a bus that is away, and are published when it is back", async () => {
    await using rig = await CatalogRig.open();
    const { flush } = rig.bus;
    rig.bus.flush = () => Promise.reject(new TroupeError("BUS_UNAVAILABLE"));
    await rig.upload("ann", "a.mp4", "x", 1);
    await rig.clock.advance(10 * OUTBOX_SWEEP_MS);
    expect(await outboxOf(rig)).toMatchObject([{ kind: "event" }]);
    rig.bus.flush = flush;
    await rig.clock.advance(2 * OUTBOX_BACKOFF_MAX_MS);
    expect(await outboxOf(rig)).toEqual([]);
    expect(new Set(facts(rig))).toEqual(new Set(["created"]));
  });

  test("a node that does not answer leaves the row for itself alone, and is told when it is back", async () => {
    await using rig = await CatalogRig.open({ nodes: ["n1"] });
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await rig.clock.advance(30_000);
    expect(rig.retired.map(({ nodeId }) => nodeId)).toEqual(["n1"]);
    expect(await outboxOf(rig)).toMatchObject([{ kind: "blob.retired" }]);
    expect(facts(rig)).toEqual(["created", "deleted"]);
    rig.answerRetire("n2");
    await rig.clock.advance(OUTBOX_BACKOFF_MAX_MS);
    expect(rig.retired.map(({ nodeId }) => nodeId)).toEqual(["n1", "n2"]);
    expect(await outboxOf(rig)).toEqual([]);
    expect((await rig.everything())["t_replica"]).toEqual([]);
  });

  test("a node that hangs delays the rows of no other, whichever catalog delivers them", async () => {
    await using rig = await CatalogRig.open({ nodes: ["n1"] });
    rig.hangRetire("n2");
    await retireAll(rig, [["n2"], ["n1"], ["n2", "n1"]]);
    await rig.clock.advance(0);
    expect(rig.retired.map(({ blobId }) => blobId)).toEqual([2, 3]);
    expect((await outboxOf(rig))?.map((row) => nodesOf(row))).toEqual([["n2"], ["n2", "n1"]]);
    await rig.clock.advance(REQUEST_TIMEOUT_DEFAULT_MS);
    expect((await outboxOf(rig))?.map((row) => nodesOf(row))).toEqual([["n2"], ["n2"]]);
  });

  test("however many nodes of a row hang, it is told in the time of one", async () => {
    const nodeIds = Array.from({ length: 10 }, (_, index) => `h${index}`);
    await using rig = await CatalogRig.open({ nodes: [] });
    for (const nodeId of nodeIds) rig.hangRetire(nodeId);
    await retireAll(rig, [nodeIds]);
    await rig.clock.advance(REQUEST_TIMEOUT_DEFAULT_MS);
    expect(await outboxOf(rig)).toMatchObject([{ attempt_count: 1n }]);
  });

  test("F12: a node that hangs makes no two catalogs deliver a row at the same time, and what they do not come to is begun later", async () => {
    await using rig = await CatalogRig.open({ nodes: [] });
    rig.hangRetire("n2");
    // Enough that one is idle when the first claim ends.
    for (let more = 0; more < 3; more += 1) await rig.startCatalog();
    await retireAll(
      rig,
      Array.from({ length: OUTBOX_BATCH_MAX }, () => ["n2"]),
    );
    await rig.clock.advance(6 * OUTBOX_CLAIM_MS);
    const lastMs = new Map<number, number>();
    for (const { blobId, atMs } of rig.unanswered) {
      expect(atMs - (lastMs.get(blobId) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(REQUEST_TIMEOUT_DEFAULT_MS);
      lastMs.set(blobId, atMs);
    }
    expect(lastMs.size).toBe(OUTBOX_BATCH_MAX);
  });

  test("F12: a catalog that comes late with what it delivered changes nothing of what another has claimed since", async () => {
    const database = await openTestDatabase<CatalogTables>("storage");
    const clock = new VirtualClock();
    const take = () => OutboxClaim.take({ kind: "event", database, clock, random: new SeededRandom(1), log: SILENT_LOG });
    const rows = () => database.read((query) => query.selectFrom("t_outbox").select(["payload", "attempt_count", "due_time"]).execute());
    const nowMs = clock.wallMs();
    const row = { kind: "event" as const, payload: jsonBytes("all"), attempt_count: 0, due_time: nowMs, create_time: nowMs };
    await database.transact(({ query }) => query.insertInto("t_outbox").values([row, row]).execute());
    const late = await take();
    await clock.advance(OUTBOX_CLAIM_MS);
    const mine = await take();
    const claimed = await rows();
    const again = (payload: string) => ({ kind: "again" as const, why: "away", payload });
    await late.settle(late.rows.map((one) => ({ row: one, delivery: again("late") })));
    expect(await rows()).toEqual(claimed);
    // Delivered is delivered.
    await late.settle(late.rows.slice(0, 1).map((one) => ({ row: one, delivery: { kind: "done" } })));
    await mine.settle(mine.rows.map((one) => ({ row: one, delivery: again("left") })));
    expect(await rows()).toMatchObject([{ payload: jsonBytes("left"), attempt_count: 1n }]);
    await database.close();
  });

  test("F9: a wall clock set back an hour delays nothing", async () => {
    await using rig = await CatalogRig.open({ nodes: [] });
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await rig.clock.advance(2_000);
    rig.clock.jumpWall(-3_600_000);
    for (const nodeId of ["n1", "n2"]) rig.answerRetire(nodeId);
    await rig.clock.advance(2 * OUTBOX_SWEEP_MS);
    expect(rig.retired).toHaveLength(2);
  });

  test("several catalogs over one database deliver everything and harm nothing", async () => {
    await using rig = await CatalogRig.open();
    await rig.startCatalog();
    await rig.startCatalog();
    const uploads = await Promise.all(Array.from({ length: 100 }, (_, index) => rig.upload("ann", `f${index}`, `c${index}`, index)));
    await Promise.all(uploads.map(({ file }) => rig.as("ann").deleteFile({ fileId: file.fileId })));
    await rig.clock.advance(5_000);
    expect(await outboxOf(rig)).toEqual([]);
    for (const { file } of uploads) {
      const told = rig.events.filter(({ subject }) => subject.includes(file.fileId)).map(({ subject }) => subject.split(".").at(-1));
      expect(new Set(told)).toEqual(new Set(["created", "deleted"]));
    }
    expect(new Set(rig.retired.map(({ nodeId, blobId }) => `${nodeId}/${blobId}`)).size).toBe(200);
  });

  test("a row nobody can read holds up no other", async () => {
    await using rig = await CatalogRig.open();
    const nowMs = rig.clock.wallMs();
    await rig.database.transact(({ query }) =>
      query
        .insertInto("t_outbox")
        .values({ kind: "event", payload: Uint8Array.of(1), attempt_count: 0, due_time: nowMs, create_time: nowMs })
        .execute(),
    );
    await rig.upload("ann", "a.mp4", "x", 1);
    await rig.clock.advance(OUTBOX_SWEEP_MS);
    expect(facts(rig)).toEqual(["created"]);
    expect(await outboxOf(rig)).toMatchObject([{ payload: Uint8Array.of(1) }]);
  });

  test("a stopped catalog leaves no timer behind", async () => {
    const rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "x", 1);
    await rig[Symbol.asyncDispose]();
    expect(rig.clock.timerCount).toBe(0);
  });
});

describe("a database", () => {
  const withMeta = async (name: string, value: number): Promise<CatalogDatabase> => {
    const database = await openTestDatabase<CatalogTables>("storage");
    await database.transact(({ query }) => query.updateTable("t_meta").set({ value }).where("name", "=", name).execute());
    return database;
  };

  test("made with another number of file tables is refused with a sentence", async () => {
    const database = await withMeta("shard_count", 7);
    await expect(checkFormat(database)).rejects.toMatchObject({
      code: "SETTING_INVALID",
      detail: expect.stringContaining("7 file tables"),
    });
    await expect(checkFormat(database, 7)).resolves.toBeUndefined();
    await database.close();
  });

  test("of a newer format is refused", async () => {
    const database = await withMeta("format", 2);
    await expect(checkFormat(database)).rejects.toMatchObject({ code: "FORMAT_TOO_NEW" });
    await database.close();
  });
});
