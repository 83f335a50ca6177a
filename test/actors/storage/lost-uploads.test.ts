/** Uploads that the catalog has on a node, and of which the node has nothing, while the node goes on. */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { LOST_UPLOADS_INTERVAL_MS } from "../../../src/core/limits.ts";
import { type Log, SILENT_LOG } from "../../../src/core/log.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFailed, FaultyDisk } from "../../support/faulty-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, startTroupe, type Troupe } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const PLAN = { app: "default", user: "default", name: "late", contentType: "text/plain", sizeBytes: 1 };

/** As a creation leaves it of which the catalog heard after its node had given it up. */
async function registeredTooLate(troupe: Troupe, uploadId: string, createdMs = troupe.clock.wallMs()): Promise<void> {
  const fileId = new FileIdMaker(troupe.clock, new SeededRandom(uploadId.length + createdMs), troupe.node.nodeId).next("default");
  const host = { host: troupe.node.nodeId, group: "group001" };
  await troupe.catalog.registerUpload({ ...PLAN, ...host, uploadId, fileId, chunkBytes: 65_536, createdMs }, AS_LOCAL);
}

/** Of all IDs the last. */
const LAST = "z".repeat(22);

/** By ID. */
async function states(troupe: Troupe): Promise<(readonly [string, string])[]> {
  const { uploads } = await troupe.catalog.uploads({}, AS_LOCAL);
  return uploads.map(({ uploadId, state }) => [uploadId, state] as const).sort();
}

/** How they are once all were looked at: the one with the last ID is lost. */
async function statesAfterLook(troupe: Troupe, clock: VirtualClock): Promise<(readonly [string, string])[]> {
  await registeredTooLate(troupe, LAST);
  const isLooked = async (): Promise<boolean> => (await troupe.catalog.upload({ uploadId: LAST }, AS_LOCAL)).state === "failed";
  await expect
    .poll(async () => {
      await clock.advance(LOST_UPLOADS_INTERVAL_MS / 10);
      return await isLooked();
    })
    .toBe(true);
  return (await states(troupe)).filter(([uploadId]) => uploadId !== LAST);
}

it("F11: have failed a minute later, and those that are at work go on", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  await using troupe = await startTroupe({ root: directory.path, clock });
  const { uploadId: hosted } = await createUpload(troupe, { sizeBytes: 1 });
  const { uploadId: withoutFolder } = await createUpload(troupe, { sizeBytes: 1 });
  // A session holds its files open: it does not need the folder's name.
  await rm(join(directory.path, "uploads", withoutFolder), { recursive: true });
  await registeredTooLate(troupe, "late");
  await registeredTooLate(troupe, "older", clock.wallMs() - 1);
  const atWork = [hosted, "older", withoutFolder].map((uploadId) => [uploadId, "receiving"] as const);
  const before = [...atWork, ["late", "receiving"] as const].sort();
  expect(await states(troupe)).toEqual(before);
  await clock.advance(LOST_UPLOADS_INTERVAL_MS - 1);
  expect(await states(troupe)).toEqual(before);
  const after = [...atWork, ["late", "failed"] as const].sort();
  expect(await statesAfterLook(troupe, clock)).toEqual(after);
  expect(await troupe.catalog.upload({ uploadId: "late" }, AS_LOCAL)).toMatchObject({ lastError: { code: "UPLOAD_NOT_FOUND" } });
});

it("F20: are left alone while another process answers for them under the node's name", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  await using troupe = await startTroupe({ root: directory.path, clock });
  await registeredTooLate(troupe, "hangs");
  await registeredTooLate(troupe, "lost");
  const heard: string[] = [];
  const session = troupe.bus.subscribe("troupe.v1.upload.hangs.*", ({ subject }) => void heard.push(subject));
  const left = [
    ["hangs", "receiving"],
    ["lost", "failed"],
  ];
  expect(await statesAfterLook(troupe, clock)).toEqual(left);
  expect(new Set(heard)).toEqual(new Set(["troupe.v1.upload.hangs.status"]));
  session.unsubscribe();
});

it("are left alone while the data directory is away", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const log: Log = { ...SILENT_LOG, warn: (_facts, sentence) => void warnings.push(sentence) };
  await using troupe = await startTroupe({ root: directory.path, clock, log });
  await registeredTooLate(troupe, "late");
  const marker = join(directory.path, "marker.json");
  await rename(marker, `${marker}.away`);
  await expect
    .poll(async () => {
      await clock.advance(LOST_UPLOADS_INTERVAL_MS);
      return warnings;
    })
    .toContain("Some uploads whose folders may be gone could not be looked at; they are again in a minute.");
  expect(await states(troupe)).toEqual([["late", "receiving"]]);
  await rename(`${marker}.away`, marker);
  expect(await statesAfterLook(troupe, clock)).toEqual([["late", "failed"]]);
});

it("F4: are found although the disk does not say whether another is there", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const disk = new FaultyDisk(new NodeDisk());
  await using troupe = await startTroupe({ root: directory.path, clock, disk });
  await registeredTooLate(troupe, "bad");
  await registeredTooLate(troupe, "lost");
  disk.intercept = (call, path) => {
    if (call === "status" && path.endsWith("/bad")) throw diskFailed(path);
  };
  const left = [
    ["bad", "receiving"],
    ["lost", "failed"],
  ];
  expect(await statesAfterLook(troupe, clock)).toEqual(left);
});

it("F11: leave their key to whoever asks again, when their creation failed", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const catalogs = { isAway: false, commitsLeft: Number.POSITIVE_INFINITY };
  const wrapStorageDatabase = (real: Database<CatalogTables>): Database<CatalogTables> => ({
    read: (work) => real.read(work),
    close: () => real.close(),
    transact: async (work) => {
      if (!catalogs.isAway) return await real.transact(work);
      if (catalogs.commitsLeft-- > 0) await real.transact(work);
      throw new TroupeError("DATABASE_UNAVAILABLE");
    },
  });
  await using troupe = await startTroupe({ root: directory.path, clock, wrapStorageDatabase });
  const creation = { ...PLAN, operation: { key: "k", requestDigest: "0".repeat(64) } };
  Object.assign(catalogs, { isAway: true, commitsLeft: 1 });
  let refusal: unknown;
  troupe.storage.createUpload(creation, { ...AS_LOCAL, timeoutMs: 600_000 }).catch((error: unknown) => {
    refusal = error;
  });
  await expect
    .poll(async () => {
      await clock.advance(1_000);
      return refusal;
    })
    .toMatchObject({ code: "HOST_UNAVAILABLE" });
  catalogs.isAway = false;
  expect((await states(troupe)).map(([, state]) => state)).toEqual(["receiving"]);
  expect(await statesAfterLook(troupe, clock)).toEqual([]);
  expect(await troupe.storage.createUpload(creation, AS_LOCAL)).toMatchObject({ state: "receiving", isNew: true });
});
