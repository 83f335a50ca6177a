/** Uploads that the catalog has on a node, and of which the node has nothing, while the node goes on. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { LOST_UPLOADS_INTERVAL_MS } from "../../../src/core/limits.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, startTroupe, type Troupe } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** As a creation leaves it of which the catalog heard after its node had given it up. */
async function registeredTooLate(troupe: Troupe, uploadId: string, createdMs: number) {
  const fileId = new FileIdMaker(troupe.clock, new SeededRandom(createdMs), troupe.node.nodeId).next("default");
  const plan = { uploadId, fileId, app: "default", user: "default", name: "late", contentType: "text/plain" };
  const host = { host: troupe.node.nodeId, group: "group001" };
  await troupe.catalog.registerUpload({ ...plan, ...host, chunkBytes: 65_536, sizeBytes: 1, createdMs }, AS_LOCAL);
}

it("F8: have failed a minute later, and those that are at work go on", async () => {
  await using directory = await temporaryDirectory();
  const clock = new VirtualClock();
  await using troupe = await startTroupe({ root: directory.path, clock });
  const states = async (): Promise<(readonly [string, string])[]> =>
    (await troupe.catalog.uploads({}, AS_LOCAL)).uploads.map(({ uploadId, state }) => [uploadId, state] as const).sort();
  const { uploadId: hosted } = await createUpload(troupe, { sizeBytes: 1 });
  const { uploadId: withoutFolder } = await createUpload(troupe, { sizeBytes: 1 });
  // A session holds its files open: it does not need the folder's name.
  await rm(join(directory.path, "uploads", withoutFolder), { recursive: true });
  await registeredTooLate(troupe, "late", clock.wallMs());
  await registeredTooLate(troupe, "older", clock.wallMs() - 1);
  const atWork = [
    [hosted, "receiving"],
    ["older", "receiving"],
    [withoutFolder, "receiving"],
  ] as const;
  expect(await states()).toEqual([...atWork, ["late", "receiving"] as const].sort());
  await clock.advance(LOST_UPLOADS_INTERVAL_MS - 1);
  expect(await states()).toEqual([...atWork, ["late", "receiving"] as const].sort());
  await expect
    .poll(async () => {
      await clock.advance(1);
      return await states();
    })
    .toEqual([...atWork, ["late", "failed"] as const].sort());
  expect(await troupe.catalog.upload({ uploadId: "late" }, AS_LOCAL)).toMatchObject({ lastError: { code: "UPLOAD_NOT_FOUND" } });
  // It looks again, and again.
  await registeredTooLate(troupe, "later", clock.wallMs());
  await expect
    .poll(async () => {
      await clock.advance(LOST_UPLOADS_INTERVAL_MS);
      return (await states()).find(([uploadId]) => uploadId === "later");
    })
    .toEqual(["later", "failed"]);
});
