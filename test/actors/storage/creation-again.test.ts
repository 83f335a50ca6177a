/** A creation whose key was used by another one, which has come to nothing or is still being opened. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { FaultyDisk } from "../../support/faulty-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, startTroupe } from "../../support/troupe.ts";
import { settle } from "../../support/virtual-clock.ts";

it("F11: is told to ask again when that one is given up at this moment, and then begins the upload", async () => {
  await using directory = await temporaryDirectory();
  let beforeRead = async (): Promise<void> => undefined;
  const wrapStorageDatabase = (real: Database<CatalogTables>): Database<CatalogTables> => ({
    read: async (work) => {
      await beforeRead();
      return await real.read(work);
    },
    transact: (work) => real.transact(work),
    close: () => real.close(),
  });
  await using troupe = await startTroupe({ root: directory.path, wrapStorageDatabase });
  const operation = { key: "k", requestDigest: "0".repeat(64) };
  const plan = { app: "default", user: "default", name: "a", contentType: "text/plain", sizeBytes: 1 };
  const nodeId = "node-elsewhere";
  const fileId = new FileIdMaker(troupe.clock, new SeededRandom(1), nodeId).next("default");
  const elsewhere = { host: nodeId, group: "group001", chunkBytes: 65_536, createdMs: troupe.clock.wallMs() };
  await troupe.catalog.registerUpload({ ...plan, ...elsewhere, uploadId: "given-up", fileId, operation }, AS_LOCAL);
  beforeRead = async () => {
    beforeRead = async () => undefined;
    await troupe.catalog.endUpload({ uploadId: "given-up", epoch: 1, state: "cancelled", isForgotten: true });
  };
  const create = () => troupe.storage.createUpload({ ...plan, operation }, AS_LOCAL);
  await expect(create()).rejects.toMatchObject({ code: "HOST_UNAVAILABLE" });
  expect(await create()).toMatchObject({ state: "receiving", isNew: true });
});

it("F11: at the same time as the first, before that one is open at its node, waits for it and has its answer", async () => {
  await using directory = await temporaryDirectory();
  const disk = new FaultyDisk(new NodeDisk());
  await using troupe = await startTroupe({ root: directory.path, disk });
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  // A session reads its journal when it is opened.
  disk.intercept = (call, path) => {
    if (call !== "read" || !path.endsWith("/journal")) return;
    reached.resolve();
    return gate.promise;
  };
  const operation = { key: "k", requestDigest: "0".repeat(64) };
  const create = () =>
    troupe.storage.createUpload(
      { app: "default", user: "default", name: "a", contentType: "text/plain", sizeBytes: 1, operation },
      AS_LOCAL,
    );
  const first = create();
  await reached.promise;
  const removing = Promise.withResolvers<void>();
  disk.intercept = (call) => {
    if (call === "remove") removing.resolve();
  };
  const again = create();
  // It has found out whose key that is when its own folder is gone.
  await removing.promise;
  await expect.poll(() => readdir(join(directory.path, "uploads"))).toHaveLength(1);
  await settle(200);
  gate.resolve();
  const { uploadId } = await first;
  expect(await again).toMatchObject({ uploadId, state: "receiving", isNew: false });
});
