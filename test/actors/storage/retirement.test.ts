import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readRecord } from "../../../src/actors/storage/blob-record.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

it("F3: a file deleted on a full disk gives its bytes back, though its mark finds no room", async () => {
  await using directory = await temporaryDirectory();
  const disk = new FaultyDisk(new NodeDisk());
  const clock = new VirtualClock();
  await using troupe = await startTroupe({ root: directory.path, disk, clock, deleteGraceMs: 60_000 });
  const { fileId } = await uploadFile(troupe, someBytes(100));
  const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  disk.intercept = (call, path) => {
    if (call === "open" && path.includes("/retired/")) throw diskFull(path);
  };
  const place = { blobId: blob.blobId, path: blob.path };
  for (let time = 0; time < 2; time += 1) await expect(troupe.storage.retireBlob(place)).rejects.toMatchObject({ code: "DISK_FULL" });
  await expect(troupe.node.readBlob({ ...place, sizeBytes: 100, offset: 0, lengthBytes: 1 })).rejects.toMatchObject({
    code: "BLOB_NOT_FOUND",
  });
  await clock.advance(61_000);
  await expect
    .poll(
      async () =>
        (await readdir(join(directory.path, "blobs"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length,
    )
    .toBe(0);
});

it("F25: a blob retired by many at once is retired once", async () => {
  await using directory = await temporaryDirectory();
  await using troupe = await startTroupe({ root: directory.path });
  const { fileId } = await uploadFile(troupe, someBytes(100));
  const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  const place = { blobId: blob.blobId, path: blob.path };
  await Promise.all(Array.from({ length: 10 }, () => troupe.storage.retireBlob(place)));
  expect(await readdir(join(directory.path, "retired"))).toEqual([String(blob.blobId)]);
});

it("F24: a record loses no file when many refer to its blob at once", async () => {
  await using directory = await temporaryDirectory();
  await using troupe = await startTroupe({ root: directory.path });
  const files = await Promise.all(Array.from({ length: 12 }, (_, index) => uploadFile(troupe, someBytes(100), { name: `n${index}` })));
  const { blob } = await troupe.catalog.file({ fileId: files[0]?.fileId as string }, AS_LOCAL);
  const recorded = async () => (await readRecord(new NodeDisk(), join(directory.path, "blobs", `${blob.path}.record`)))?.files;
  // A file is in the record soon after it is there: the catalog tells the node by its outbox.
  const fileIds = files.map(({ fileId }) => fileId).sort();
  await expect.poll(async () => (await recorded())?.map(({ fileId }) => fileId).sort()).toEqual(fileIds);
});
