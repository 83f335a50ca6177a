/** A creation whose node ended between its folder and the catalog, and whoever asks again with its key: one of them goes on. */
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import {
  AS_LOCAL,
  type CreateWish,
  createUpload,
  readFile as readStored,
  sendChunk,
  someBytes,
  startTroupe,
  type Troupe,
} from "../../support/troupe.ts";

const CHUNK = 65_536;
const OPERATION = { key: "k", requestDigest: "0".repeat(64) };

function create(troupe: Troupe, { name = "a", ...wish }: CreateWish, operation = OPERATION) {
  return troupe.storage.createUpload({ app: "default", user: "default", name, contentType: "text/plain", ...wish, operation }, AS_LOCAL);
}

/**
 * Everything a creation has on the disk when it asks the catalog, which never hears of it. Its folder is out of the way until `comesBack`.
 * @param wish what is asked for, of what is there already
 * @param after what happens next, in the same life of the node
 */
async function cutOff(
  root: string,
  wish: (troupe: Troupe) => Promise<CreateWish>,
  after: (troupe: Troupe) => Promise<void> = async () => {},
) {
  const uploads = join(root, "uploads");
  const kept = join(root, "kept");
  let uploadId = "";
  let asked = async (): Promise<void> => {};
  const wrapStorageDatabase = (database: Database<CatalogTables>): Database<CatalogTables> => ({
    read: (work) => database.read(work),
    transact: async (work) => {
      await asked();
      return await database.transact(work);
    },
    close: () => database.close(),
  });
  await using troupe = await startTroupe({ root, wrapStorageDatabase });
  const wanted = await wish(troupe);
  const there = await readdir(uploads);
  asked = async () => {
    const [created] = (await readdir(uploads)).filter((name) => !there.includes(name));
    // The outbox is looked through, too.
    if (created === undefined || (await readFile(join(uploads, created, "journal")).catch(() => "")).length === 0) return;
    if (uploadId === "") await cp(join(uploads, created), kept, { recursive: true });
    uploadId = created;
    throw new TroupeError("INTERNAL", "It is cut off here.");
  };
  await expect(create(troupe, wanted)).rejects.toMatchObject({ code: "INTERNAL" });
  asked = async () => {};
  expect(await readdir(uploads)).toEqual(there);
  await after(troupe);
  return { uploadId, wanted, comesBack: () => cp(kept, join(uploads, uploadId), { recursive: true }) };
}

it("F1, F11: of parts, which it used up when its node came back, is what the same creation is answered with", async () => {
  await using directory = await temporaryDirectory();
  const bytes = someBytes(CHUNK + 1);
  let partId = "";
  const { uploadId, wanted, comesBack } = await cutOff(directory.path, async (troupe) => {
    const part = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: 2 * CHUNK, tus: { isPartial: true } });
    partId = part.uploadId;
    await sendChunk(troupe, partId, 0, bytes);
    return { chunkBytes: CHUNK, tus: { parts: [partId] } };
  });
  await comesBack();
  await using troupe = await startTroupe({ root: directory.path });
  const uploadOf = () => troupe.catalog.upload({ uploadId }, AS_LOCAL);
  await expect.poll(async () => (await uploadOf()).state).toBe("merged");
  await expect.poll(async () => (await troupe.catalog.upload({ uploadId: partId }, AS_LOCAL)).state).toBe("cancelled");
  expect(await create(troupe, wanted)).toMatchObject({ uploadId, state: "merged", isNew: false });
  expect((await readStored(troupe, (await uploadOf()).fileId)).equals(bytes)).toBe(true);
});

for (const [what, operation] of Object.entries({
  "asked for again": OPERATION,
  "whose key was used for something else since": { ...OPERATION, requestDigest: "1".repeat(64) },
}))
  it(`F1, F11: ${what} before its node came back, leaves nothing`, async () => {
    await using directory = await temporaryDirectory();
    let goesOn = "";
    const { uploadId, comesBack } = await cutOff(
      directory.path,
      async () => ({ sizeBytes: 1 }),
      async (troupe) => {
        goesOn = (await create(troupe, { sizeBytes: 1 }, operation)).uploadId;
      },
    );
    await comesBack();
    await using troupe = await startTroupe({ root: directory.path });
    expect(await readdir(join(directory.path, "uploads"))).toEqual([goesOn]);
    expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads.map((upload) => upload.uploadId)).toEqual([goesOn]);
    expect(goesOn).not.toBe(uploadId);
  });

it("F16: an upload that has received something and is not known any more goes on, also when its key was used again since", async () => {
  await using directory = await temporaryDirectory();
  const uploads = join(directory.path, "uploads");
  const kept = join(directory.path, "kept");
  const bytes = someBytes(2 * CHUNK);
  const before = await startTroupe({ root: directory.path });
  const first = await create(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
  await sendChunk(before, first.uploadId, 1, bytes.subarray(CHUNK));
  await before.stop();
  await cp(join(uploads, first.uploadId), kept, { recursive: true });
  await rm(uploads, { recursive: true });
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(directory.path, "database", `troupe_storage.sqlite${suffix}`), { force: true });
  const between = await startTroupe({ root: directory.path });
  const again = await create(between, { sizeBytes: bytes.length, chunkBytes: CHUNK });
  await between.stop();
  await cp(kept, join(uploads, first.uploadId), { recursive: true });
  await using troupe = await startTroupe({ root: directory.path });
  expect((await readdir(uploads)).sort()).toEqual([first.uploadId, again.uploadId].sort());
  const { missing, epoch } = await troupe.upload(first.uploadId).status({}, AS_LOCAL);
  expect(missing).toEqual([[0, 0]]);
  await sendChunk(troupe, first.uploadId, 0, bytes.subarray(0, CHUNK));
  const { file } = await troupe.upload(first.uploadId).merge({ epoch }, AS_LOCAL);
  expect((await readStored(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  // The key is the later one's.
  expect(await create(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK })).toMatchObject({ uploadId: again.uploadId, isNew: false });
});

it("F16: an upload that the catalog has lost is found by its key again", async () => {
  await using directory = await temporaryDirectory();
  const before = await startTroupe({ root: directory.path });
  const { uploadId } = await create(before, { sizeBytes: 1 });
  await before.stop();
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(directory.path, "database", `troupe_storage.sqlite${suffix}`), { force: true });
  await using troupe = await startTroupe({ root: directory.path });
  expect(await create(troupe, { sizeBytes: 1 })).toMatchObject({ uploadId, isNew: false });
});
