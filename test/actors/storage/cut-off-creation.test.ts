/**
 * A creation whose node ended between its folder and the catalog, and whoever asks again with its key: one of them goes on. The same for
 * uploads that the catalog has lost.
 */
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { FileIdMaker } from "../../../src/core/file-id.ts";
import { LOST_UPLOADS_INTERVAL_MS, OPERATION_KEPT_MS } from "../../../src/core/limits.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { SystemClock } from "../../../src/store/system-clock.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
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
import { VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = 65_536;
const OPERATION = { key: "k", requestDigest: "0".repeat(64) };
const USED_AGAIN = {
  "was asked for again": OPERATION,
  "has a key that was used for something else": { ...OPERATION, requestDigest: "1".repeat(64) },
};

function create(troupe: Troupe, { name = "a", ...wish }: CreateWish, operation = OPERATION) {
  return troupe.storage.createUpload({ app: "default", user: "default", name, contentType: "text/plain", ...wish, operation }, AS_LOCAL);
}

interface Lives {
  /** What is asked for, of what is there already. */
  readonly wish: (troupe: Troupe) => Promise<CreateWish>;
  /** What happens next, in the same life of the node. */
  readonly after?: (troupe: Troupe) => Promise<void>;
}

/** Everything a creation has on the disk when it asks the catalog, which never hears of it. Its folder is out of the way until `comesBack`. */
async function cutOff(root: string, { wish, after = async () => {} }: Lives) {
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

describe("F1, F11: a creation that was cut off", () => {
  it("and used up its parts when its node came back, is what the same creation is answered with", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(CHUNK + 1);
    let partId = "";
    const { uploadId, wanted, comesBack } = await cutOff(directory.path, {
      wish: async (troupe) => {
        const part = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: 2 * CHUNK, tus: { isPartial: true } });
        partId = part.uploadId;
        await sendChunk(troupe, partId, 0, bytes);
        return { chunkBytes: CHUNK, tus: { parts: [partId] } };
      },
    });
    await comesBack();
    await using troupe = await startTroupe({ root: directory.path });
    const uploadOf = () => troupe.catalog.upload({ uploadId }, AS_LOCAL);
    await expect.poll(async () => (await uploadOf()).state).toBe("merged");
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId: partId }, AS_LOCAL)).state).toBe("cancelled");
    expect(await create(troupe, wanted)).toMatchObject({ uploadId, state: "merged", isNew: false });
    expect((await readStored(troupe, (await uploadOf()).fileId)).equals(bytes)).toBe(true);
  });

  it("F6: by a power cut that left its journal alone takes bytes when it is asked for again", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(CHUNK + 1);
    const { uploadId, wanted, comesBack } = await cutOff(directory.path, {
      wish: async () => ({ sizeBytes: bytes.length, chunkBytes: 2 * CHUNK }),
    });
    await comesBack();
    await rm(join(directory.path, "uploads", uploadId, "data"));
    await using troupe = await startTroupe({ root: directory.path });
    const { isNew, epoch } = await create(troupe, wanted);
    expect(isNew).toBe(false);
    await sendChunk(troupe, uploadId, 0, bytes);
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readStored(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });

  for (const [what, operation] of Object.entries(USED_AGAIN))
    it(`and ${what} before its node came back, leaves nothing, also when the catalog hears of it after that`, async () => {
      await using directory = await temporaryDirectory();
      let goesOn = "";
      const { uploadId, comesBack } = await cutOff(directory.path, {
        wish: async () => ({ sizeBytes: 1 }),
        after: async (troupe) => {
          goesOn = (await create(troupe, { sizeBytes: 1 }, operation)).uploadId;
        },
      });
      await comesBack();
      const clock = new VirtualClock();
      await using troupe = await startTroupe({ root: directory.path, clock });
      expect(await readdir(join(directory.path, "uploads"))).toEqual([goesOn]);
      expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads.map((upload) => upload.uploadId)).toEqual([goesOn]);
      const { app, user, name, contentType, chunkBytes, createdMs, host, group } = await troupe.catalog.upload({ uploadId: goesOn });
      const fileId = new FileIdMaker(clock, new SeededRandom(1), host).next(user);
      const late = { uploadId, fileId, app, user, name, contentType, chunkBytes, createdMs, host, group };
      await troupe.catalog.registerUpload(late, AS_LOCAL);
      await expect
        .poll(async () => {
          await clock.advance(LOST_UPLOADS_INTERVAL_MS / 10);
          return await troupe.catalog.upload({ uploadId }).then(
            ({ state }) => state,
            (error: TroupeError) => error.code,
          );
        })
        .not.toBe("receiving");
      await expect(troupe.catalog.upload({ uploadId })).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    });
});

describe("F16: an upload that the catalog has lost", () => {
  async function loseCatalog(root: string): Promise<void> {
    for (const suffix of ["", "-wal", "-shm"]) await rm(join(root, "database", `troupe_storage.sqlite${suffix}`), { force: true });
  }

  it("is found by its key again", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await create(before, { sizeBytes: 1 });
    await before.stop();
    await loseCatalog(directory.path);
    await using troupe = await startTroupe({ root: directory.path });
    expect(await create(troupe, { sizeBytes: 1 })).toMatchObject({ uploadId, isNew: false });
  });

  it("F20: is not ended by what its node had said of it in an earlier life", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await create(before, { sizeBytes: 1 });
    await before.stop();
    await loseCatalog(directory.path);
    await using troupe = await startTroupe({ root: directory.path });
    for (const late of [{ state: "cancelled", isForgotten: true } as const, { state: "expired" } as const])
      await expect(troupe.catalog.endUpload({ uploadId, epoch, ...late })).rejects.toMatchObject({ code: "EPOCH_STALE" });
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving", epoch: epoch + 1 });
  });

  it("goes on without its key when that is older than keys are kept", async () => {
    class LongAgo extends SystemClock {
      override wallMs(): number {
        return super.wallMs() - OPERATION_KEPT_MS - 1;
      }
    }
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path, clock: new LongAgo() });
    const { uploadId } = await create(before, { sizeBytes: 1 });
    await before.stop();
    await loseCatalog(directory.path);
    await using troupe = await startTroupe({ root: directory.path });
    expect((await troupe.upload(uploadId).status({}, AS_LOCAL)).state).toBe("receiving");
    expect((await create(troupe, { sizeBytes: 1 })).isNew).toBe(true);
  });

  for (const [what, operation] of Object.entries(USED_AGAIN))
    it(`and that has received something goes on, also when it ${what} since, which keeps the key`, async () => {
      await using directory = await temporaryDirectory();
      const uploads = join(directory.path, "uploads");
      const kept = join(directory.path, "kept");
      const bytes = someBytes(2 * CHUNK);
      const wish = { sizeBytes: bytes.length, chunkBytes: CHUNK };
      const before = await startTroupe({ root: directory.path });
      const first = await create(before, wish);
      await sendChunk(before, first.uploadId, 1, bytes.subarray(CHUNK));
      await before.stop();
      await cp(join(uploads, first.uploadId), kept, { recursive: true });
      await rm(uploads, { recursive: true });
      await loseCatalog(directory.path);
      const between = await startTroupe({ root: directory.path });
      const again = await create(between, wish, operation);
      await between.stop();
      await cp(kept, join(uploads, first.uploadId), { recursive: true });
      await using troupe = await startTroupe({ root: directory.path });
      expect((await readdir(uploads)).sort()).toEqual([first.uploadId, again.uploadId].sort());
      const { missing, epoch } = await troupe.upload(first.uploadId).status({}, AS_LOCAL);
      expect(missing).toEqual([[0, 0]]);
      await sendChunk(troupe, first.uploadId, 0, bytes.subarray(0, CHUNK));
      const { file } = await troupe.upload(first.uploadId).merge({ epoch }, AS_LOCAL);
      expect((await readStored(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
      expect(await create(troupe, wish, operation)).toMatchObject({ uploadId: again.uploadId, isNew: false });
    });
});
