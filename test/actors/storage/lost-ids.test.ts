/** A node that starts after the database of IDs was lost, which forgot what it gave out. */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { BLOB_KEY, ids } from "../../../src/actors/ids/contract.ts";
import { client } from "../../../src/bus/client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";

const BYTES = someBytes(100, 2);

async function loseIds(root: string): Promise<void> {
  const folder = join(root, "database");
  const names = (await readdir(folder)).filter((name) => name.includes("ids"));
  expect(names).not.toEqual([]);
  for (const name of names) await rm(join(folder, name));
}

it("F16: an ID that an upload has recorded for its blob is not given out again, though no blob has it yet", async () => {
  await using directory = await temporaryDirectory();
  const root = directory.path;
  let uploadId: string;
  {
    let isAway = false;
    await using troupe = await startTroupe({
      root,
      wrapStorageDatabase: (database) => ({
        read: (work) => database.read(work),
        transact: async (work) => {
          if (isAway) throw new TroupeError("DATABASE_UNAVAILABLE");
          return await database.transact(work);
        },
        close: () => database.close(),
      }),
    });
    const created = await createUpload(troupe, { sizeBytes: BYTES.length });
    uploadId = created.uploadId;
    await sendChunk(troupe, uploadId, 0, BYTES);
    isAway = true;
    await expect(troupe.upload(uploadId).merge({ epoch: created.epoch }, AS_LOCAL)).rejects.toMatchObject({
      code: "DATABASE_UNAVAILABLE",
    });
  }
  // As if it had been killed between recording the ID and giving the blob its name.
  await rm(join(root, "blobs"), { recursive: true });
  await loseIds(root);
  await using troupe = await startTroupe({ root });
  const next = await client(troupe.bus, ids).next({ key: BLOB_KEY });
  await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
  const { files } = await troupe.catalog.files({}, AS_LOCAL);
  const { blob } = await troupe.catalog.file({ fileId: files[0]?.fileId as string }, AS_LOCAL);
  expect(next.first).toBeGreaterThan(blob.blobId);
});

it("F16: an ID that comes again is refused, and its upload becomes a file under another", async () => {
  await using directory = await temporaryDirectory();
  const root = directory.path;
  {
    await using troupe = await startTroupe({ root, deleteGraceMs: 0 });
    for (const seed of [10, 11]) {
      const { fileId } = await uploadFile(troupe, someBytes(100, seed));
      await troupe.catalog.deleteFile({ fileId }, AS_LOCAL);
    }
    // Nothing on the disk says any more that the IDs were given out; the catalog knows.
    await expect.poll(() => blobFiles(root)).toEqual([]);
  }
  await loseIds(root);
  await using troupe = await startTroupe({ root });
  const { fileId } = await uploadFile(troupe, BYTES);
  expect((await readFile(troupe, fileId)).equals(BYTES)).toBe(true);
  // Data, leaf digests and record, of the last of three places.
  const names = await blobFiles(root);
  expect(names).toHaveLength(3);
  const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  expect(names).toContain(basename(blob.path));
});

const blobFiles = async (root: string): Promise<string[]> =>
  (await readdir(join(root, "blobs"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name);
