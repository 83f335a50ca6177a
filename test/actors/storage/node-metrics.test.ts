/** What a storage node and its uploads add to the metrics, over a real disk. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { UPLOAD_STATES } from "../../../src/core/shapes.ts";
import { PromMetrics } from "../../../src/store/prom-metrics.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { scrape } from "../../support/exposition.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";
import { until } from "../../support/until.ts";

const LEAF = 65_536;
const SIZE = 5 * LEAF;

const measured = (): PromMetrics => new PromMetrics({ clock: new SystemClock(), log: SILENT_LOG });

it("an upload is counted from its creation to its file, with the time it was in each state", async () => {
  await using directory = await temporaryDirectory();
  const metrics = measured();
  await using troupe = await startTroupe({ root: directory.path, metrics });
  await uploadFile(troupe, someBytes(SIZE), { chunkBytes: 2 * LEAF });
  const ended = await until(
    () => scrape(metrics),
    (scraped) => scraped.value("troupe_uploads", { state: "merged" }) === 0,
  );
  expect(ended.value("troupe_uploads_opened_total", { how: "created" })).toBe(1);
  expect(ended.value("troupe_uploads_ended_total", { state: "merged" })).toBe(1);
  expect(ended.value("troupe_chunks_total", { outcome: "stored" })).toBe(3);
  expect(ended.value("troupe_chunk_bytes_total")).toBe(SIZE);
  expect(ended.value("troupe_chunk_seconds_count")).toBe(3);
  expect(ended.value("troupe_merge_seconds_count")).toBe(1);
  for (const state of ["receiving", "verifying", "committing"])
    expect(ended.value("troupe_upload_state_seconds_count", { state }), state).toBe(1);
  expect(ended.value("troupe_actor_requests_total", { actor: "upload", verb: "merge" })).toBe(1);
  expect(ended.value("troupe_actor_turns_total", { actor: "upload" })).toBeGreaterThan(5);
  expect(ended.value("troupe_bus_request_seconds_count", { actor: "catalog", verb: "commitFile" })).toBe(1);
});

it("uploads under way stand in their state with what they reserved, and one that is cancelled is counted as that", async () => {
  await using directory = await temporaryDirectory();
  const metrics = measured();
  await using troupe = await startTroupe({ root: directory.path, metrics });
  const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: SIZE, chunkBytes: LEAF });
  const bytes = someBytes(LEAF);
  await sendChunk(troupe, uploadId, 0, bytes);
  await sendChunk(troupe, uploadId, 0, bytes);
  await expect(sendChunk(troupe, uploadId, 0, someBytes(LEAF, 9))).rejects.toMatchObject({ code: "CHUNK_CONFLICT" });
  const during = await scrape(metrics);
  expect(UPLOAD_STATES.map((state) => during.value("troupe_uploads", { state }))).toEqual(
    UPLOAD_STATES.map((state) => (state === "receiving" ? 1 : 0)),
  );
  expect(["stored", "same", "failed"].map((outcome) => during.value("troupe_chunks_total", { outcome }))).toEqual([1, 1, 1]);
  expect(during.value("troupe_chunk_bytes_total")).toBe(LEAF);
  expect(during.value("troupe_disk_reserved_bytes")).toBe(SIZE - LEAF);
  expect(during.value("troupe_disk_free_bytes")).toBeLessThan(during.value("troupe_disk_total_bytes") as number);
  expect(during.value("troupe_disk_suspect")).toBe(0);
  expect(during.value("troupe_actors", { actor: "upload" })).toBe(1);
  await troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL);
  const after = await until(
    () => scrape(metrics),
    (scraped) => scraped.value("troupe_disk_reserved_bytes") === 0 && (scraped.value("troupe_actors", { actor: "upload" }) ?? 0) === 0,
  );
  expect(after.value("troupe_uploads_ended_total", { state: "cancelled" })).toBe(1);
  expect(after.value("troupe_upload_state_seconds_count", { state: "receiving" })).toBe(1);
  expect(after.value("troupe_merge_seconds_count") ?? 0).toBe(0);
});

it("an upload that goes on after a restart is recovered, not created", async () => {
  await using directory = await temporaryDirectory();
  {
    await using troupe = await startTroupe({ root: directory.path });
    await createUpload(troupe, { sizeBytes: SIZE });
  }
  const metrics = measured();
  await using _ = await startTroupe({ root: directory.path, metrics });
  const scraped = await scrape(metrics);
  expect(scraped.value("troupe_uploads_opened_total", { how: "recovered" })).toBe(1);
  expect(scraped.value("troupe_uploads_opened_total", { how: "created" })).toBe(0);
  expect(scraped.value("troupe_uploads", { state: "receiving" })).toBe(1);
});

it("bytes of blobs are checked once within the verify age; damage is counted once, and so is its mending", async () => {
  await using directory = await temporaryDirectory();
  const metrics = measured();
  await using troupe = await startTroupe({ root: directory.path, metrics });
  const bytes = someBytes(SIZE);
  const { fileId } = await uploadFile(troupe, bytes);
  await readFile(troupe, fileId);
  await readFile(troupe, fileId);
  const before = await scrape(metrics);
  const way = (name: string) => before.value("troupe_blob_read_bytes_total", { way: name }) as number;
  expect(way("checked")).toBe(SIZE);
  expect(way("trusted")).toBe(SIZE);
  expect(before.value("troupe_blobs_open")).toBe(1);
  expect(before.value("troupe_blobs_damaged_total")).toBe(0);

  const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  const file = await open(join(directory.path, "blobs", blob.path), "r+");
  await file.write(Buffer.from([(bytes[9] as number) ^ 1]), 0, 1, 9);
  await file.close();
  // The same content again looks at what is there.
  await uploadFile(troupe, bytes, { name: "again.mp4" });
  const after = await scrape(metrics);
  expect(after.value("troupe_blobs_damaged_total")).toBe(1);
  expect(after.value("troupe_blobs_mended_total")).toBe(1);
});

it("a tracker tells how many nodes it sees, and heartbeats that reach none are counted", async () => {
  await using directory = await temporaryDirectory();
  const metrics = measured();
  await using _ = await startTroupe({ root: directory.path, metrics });
  const scraped = await until(
    () => scrape(metrics),
    (seen) => seen.value("troupe_nodes", { state: "active" }) === 1,
  );
  expect(scraped.value("troupe_nodes", { state: "offline" })).toBe(0);
  expect(scraped.value("troupe_heartbeat_failures_total")).toBe(0);
});
