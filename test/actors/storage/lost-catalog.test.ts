/** A node that starts and finds blobs which the catalog does not know: a database that was lost, or a commit that was cut off. */
import { expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { readableLog } from "../../bus/theatre.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";

const BYTES = someBytes(100, 2);

/** Files, and an upload whose blob was published when its node ended, and not yet committed. */
async function cutOff(root: string, fileCount: number): Promise<string> {
  let isAway = false;
  await using troupe = await startTroupe({
    root,
    wrapStorageDatabase: (database) => ({
      ...boundTo(database),
      transact: async (work) => {
        if (isAway) throw new TroupeError("DATABASE_UNAVAILABLE");
        return await database.transact(work);
      },
    }),
  });
  for (let seed = 10; seed < 10 + fileCount; seed += 1) await uploadFile(troupe, someBytes(100, seed));
  const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: BYTES.length });
  await sendChunk(troupe, uploadId, 0, BYTES);
  isAway = true;
  await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
  return uploadId;
}

const boundTo = (database: Database<CatalogTables>): Database<CatalogTables> => ({
  read: (work) => database.read(work),
  transact: (work) => database.transact(work),
  close: () => database.close(),
});

async function startedWith(root: string, forget: (database: Database<CatalogTables>) => Promise<unknown> = async () => undefined) {
  const { log, lines } = readableLog();
  const troupe = await startTroupe({
    root,
    log,
    wrapStorageDatabase: (database) => {
      const forgotten = forget(database);
      return {
        ...boundTo(database),
        transact: async (work) => {
          await forgotten;
          return await database.transact(work);
        },
      };
    },
  });
  const alarms = () => lines.filter(({ sentence }) => /database lost/.test(sentence)).map(({ level, facts }) => [level, facts]);
  return { troupe, alarms };
}

for (const fileCount of [0, 1])
  it(`F15: cut off between blob and commit, with ${fileCount} files before, nothing is said to be lost, and the file is made`, async () => {
    await using directory = await temporaryDirectory();
    const uploadId = await cutOff(directory.path, fileCount);
    const { troupe, alarms } = await startedWith(directory.path);
    await using _ = troupe;
    expect(alarms()).toEqual([]);
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
    const { files } = await troupe.catalog.files({}, AS_LOCAL);
    expect(files).toHaveLength(fileCount + 1);
    expect((await readFile(troupe, files[0]?.fileId as string)).equals(BYTES)).toBe(true);
  });

it("F15: a database that lost its blobs is told of, also when a commit was cut off", async () => {
  await using directory = await temporaryDirectory();
  await cutOff(directory.path, 2);
  const { troupe, alarms } = await startedWith(directory.path, (database) =>
    database.transact(({ query }) => query.deleteFrom("t_blob").execute()),
  );
  await using _ = troupe;
  expect(alarms()).toEqual([["error", { highestBlobId: expect.any(Number) }]]);
});
