import { cp, mkdir, open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { type DiskCall, diskFailed, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";

const CHUNK = 65_536;
const part = (bytes: Buffer, index: number): Buffer => bytes.subarray(index * CHUNK, (index + 1) * CHUNK);

describe("an upload after a restart", () => {
  it("F1: knows exactly which chunks were answered for, and is finished", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(6 * CHUNK + 5);
    const before = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const index of [1, 4, 6]) await sendChunk(before, uploadId, index, part(bytes, index));
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path });
    const status = await troupe.upload(uploadId).status({}, AS_LOCAL);
    expect(status).toMatchObject({
      state: "receiving",
      receivedCount: 3,
      missing: [
        [0, 0],
        [2, 3],
        [5, 5],
      ],
      receivedBytes: 2 * CHUNK + 5,
    });
    expect(status.epoch).toBe(epoch + 1);
    expect((await troupe.storage.status({})).reservedBytes).toBe(4 * CHUNK);
    for (const index of [0, 2, 3, 5]) await sendChunk(troupe, uploadId, index, part(bytes, index));
    const { file } = await troupe.upload(uploadId).merge({ epoch: status.epoch }, AS_LOCAL);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("F20: refuses what was meant for the host it had before", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: 1 });
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path });
    await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "EPOCH_STALE" });
    await expect(troupe.catalog.endUpload({ uploadId, epoch, state: "cancelled" })).rejects.toMatchObject({ code: "EPOCH_STALE" });
  });

  it("a folder of an upload that has ended is removed", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    const folder = join(directory.path, "uploads", uploadId);
    await cp(folder, join(directory.path, "kept"), { recursive: true });
    await before.upload(uploadId).cancel({ epoch }, AS_LOCAL);
    await before.stop();
    await cp(join(directory.path, "kept"), folder, { recursive: true });
    await using troupe = await startTroupe({ root: directory.path });
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
    expect((await troupe.storage.status({})).uploadCount).toBe(0);
  });

  it("F16: that the catalog has lost goes on with all it had: absence is never a delete", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(3 * CHUNK);
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const index of [0, 2]) await sendChunk(before, uploadId, index, part(bytes, index));
    await before.stop();
    for (const suffix of ["", "-wal", "-shm"])
      await rm(join(directory.path, "database", `troupe_storage.sqlite${suffix}`), { force: true });
    await using troupe = await startTroupe({ root: directory.path });
    const { missing, epoch } = await troupe.upload(uploadId).status({}, AS_LOCAL);
    expect(missing).toEqual([[1, 1]]);
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });

  it("F1: whose creation was cut off before anybody heard of it leaves nothing", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: CHUNK });
    await before.stop();
    const uploads = join(directory.path, "uploads");
    // As far as a creation gets: a folder, the file for its bytes, an empty journal, a torn one.
    for (const [name, files] of Object.entries({
      a: {},
      b: { data: "" },
      c: { data: "", journal: "" },
      d: { data: "", journal: "torn" },
    })) {
      await mkdir(join(uploads, name));
      for (const [file, text] of Object.entries(files)) await writeFile(join(uploads, name, file), text);
    }
    await using troupe = await startTroupe({ root: directory.path });
    expect(await readdir(uploads)).toEqual([uploadId]);
    expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads).toHaveLength(1);
  });

  it("whose folder is gone has failed, and says so", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: 1 });
    await before.stop();
    await rm(join(directory.path, "uploads", uploadId), { recursive: true });
    await using troupe = await startTroupe({ root: directory.path });
    expect(await troupe.catalog.upload({ uploadId }, AS_LOCAL)).toMatchObject({ state: "failed", lastError: { code: "UPLOAD_NOT_FOUND" } });
  });

  it("whose folder is damaged in any way keeps nobody else from being served", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const kept = await uploadFile(before, someBytes(10));
    const created = await Promise.all(Array.from({ length: 4 }, () => createUpload(before, { sizeBytes: CHUNK, chunkBytes: CHUNK })));
    await before.stop();
    const [noJournal, folderJournal, empty, file] = created.map(({ uploadId }) => join(directory.path, "uploads", uploadId)) as [
      string,
      string,
      string,
      string,
    ];
    await rm(join(noJournal, "journal"));
    await rm(join(folderJournal, "journal"));
    await mkdir(join(folderJournal, "journal"));
    await rm(empty, { recursive: true });
    await mkdir(empty);
    await rm(file, { recursive: true });
    await writeFile(file, "");
    await using troupe = await startTroupe({ root: directory.path });
    expect((await readFile(troupe, kept.fileId)).length).toBe(10);
    for (const { uploadId } of created) expect((await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("failed");
  });

  it("F4: whose journal the disk cannot read for a while is taken up when it can, and loses nothing", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const before = await startTroupe({ root: directory.path, disk });
    const { uploadId } = await createUpload(before, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
    await sendChunk(before, uploadId, 1, someBytes(CHUNK));
    await before.stop();
    disk.intercept = (call, path) => {
      if (call === "read" && path.endsWith("/journal")) throw diskFailed(path);
    };
    await using troupe = await startTroupe({ root: directory.path, disk });
    expect((await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("receiving");
    disk.intercept = () => {};
    await expect.poll(async () => (await troupe.storage.status({})).uploadCount).toBe(1);
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ receivedCount: 1, missing: [[0, 0]] });
  });

  it("F7: a chunk that rotted on the disk meanwhile is missing again, and not part of a file", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(3 * CHUNK);
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const index of [0, 1, 2]) await sendChunk(before, uploadId, index, part(bytes, index));
    await before.stop();
    const file = await open(join(directory.path, "uploads", uploadId, "data"), "r+");
    await file.write(Buffer.from([(bytes[CHUNK + 5] as number) ^ 1]), 0, 1, CHUNK + 5);
    await file.close();
    await using troupe = await startTroupe({ root: directory.path });
    const { epoch } = await troupe.upload(uploadId).status({}, AS_LOCAL);
    await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_INCOMPLETE" });
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving", missing: [[1, 1]] });
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const { file: merged } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readFile(troupe, merged?.fileId as string)).equals(bytes)).toBe(true);
  });

  it("an upload whose journal is gone has failed, and says why", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await before.stop();
    await writeFile(join(directory.path, "uploads", uploadId, "journal"), "not a journal at all, by any means");
    await using troupe = await startTroupe({ root: directory.path });
    expect(await troupe.catalog.upload({ uploadId }, AS_LOCAL)).toMatchObject({ state: "failed", lastError: { code: "DISK_FAILED" } });
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
  });

  it("a merge that was promised goes on by itself", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const before = await startTroupe({ root: directory.path, disk });
    const bytes = someBytes(2 * CHUNK);
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const index of [0, 1]) await sendChunk(before, uploadId, index, part(bytes, index));
    const stuck = Promise.withResolvers<void>();
    stuck.promise.catch(() => undefined);
    disk.intercept = (call, path) => (call === "open" && path.endsWith("/leaves") ? stuck.promise : undefined);
    expect(await before.upload(uploadId).merge({ epoch, wait: false }, AS_LOCAL)).toEqual({ state: "verifying" });
    const stopping = before.stop();
    stuck.reject(new TroupeError("STOPPING"));
    await stopping;
    await using troupe = await startTroupe({ root: directory.path });
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
    const { fileId } = await troupe.catalog.upload({ uploadId }, AS_LOCAL);
    expect((await readFile(troupe, fileId)).equals(bytes)).toBe(true);
  });
});

describe("a commit that is interrupted", () => {
  /** Fails calls of the catalog's database while told to. */
  function breakable() {
    const state = { before: false, after: false };
    const wrap = (inner: Database<CatalogTables>): Database<CatalogTables> => ({
      read: (work) => inner.read(work),
      close: () => inner.close(),
      transact: async (work) => {
        if (state.before) throw new TroupeError("DATABASE_UNAVAILABLE");
        const result = await inner.transact(work);
        if (state.after) throw new TroupeError("DATABASE_UNAVAILABLE", "lost during COMMIT", { facts: { outcomeUnknown: true } });
        return result;
      },
    });
    return { state, wrap };
  }

  for (const moment of ["before", "after"] as const) {
    it(`F15: the database lost ${moment} the commit: the merge says so, cannot be cancelled, and succeeds when repeated`, async () => {
      await using directory = await temporaryDirectory();
      const { state, wrap } = breakable();
      await using troupe = await startTroupe({ root: directory.path, wrapStorageDatabase: wrap });
      const bytes = someBytes(CHUNK);
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
      await sendChunk(troupe, uploadId, 0, bytes);
      state[moment] = true;
      await expect(troupe.upload(uploadId).merge({ epoch }, { ...AS_LOCAL, timeoutMs: 60_000 })).rejects.toMatchObject({
        code: "DATABASE_UNAVAILABLE",
      });
      expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({
        state: "receiving",
        lastError: { code: "DATABASE_UNAVAILABLE", retryable: true },
      });
      await expect(troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_COMMITTING" });
      state[moment] = false;
      const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
      expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
      expect((await troupe.catalog.files({}, AS_LOCAL)).files.length).toBe(1);
    });
  }

  for (const content of ["new", "known"] as const)
    it(`F1: of ${content} content, stopped at each call to the disk during merge and commit, it ends as one file with no orphan`, async () => {
      // How many calls there are is found by running once with no limit.
      let limit = Number.POSITIVE_INFINITY;
      for (let stopAt = 0; stopAt <= limit; stopAt += 1) {
        await using directory = await temporaryDirectory();
        const disk = new FaultyDisk(new NodeDisk());
        const bytes = someBytes(CHUNK + 1);
        const before = await startTroupe({ root: directory.path, disk });
        const fileCount = content === "known" ? 2 : 1;
        if (content === "known") await uploadFile(before, bytes, { name: "first" });
        const { uploadId, epoch } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
        for (const index of [0, 1]) await sendChunk(before, uploadId, index, part(bytes, index));
        let calls = 0;
        const reached = Promise.withResolvers<void>();
        const gate = Promise.withResolvers<void>();
        gate.promise.catch(() => undefined);
        const counted = new Set<DiskCall>(["write", "sync", "link", "rename", "remove", "syncDirectory", "open", "truncate"]);
        disk.intercept = (call) => {
          if (!counted.has(call)) return;
          calls += 1;
          if (stopAt === 0 || calls < stopAt) return;
          // Nothing reaches the disk any more, as after kill -9.
          reached.resolve();
          return gate.promise;
        };
        const merged = before.upload(uploadId).merge({ epoch }, AS_LOCAL);
        merged.catch(() => undefined);
        if (stopAt === 0) {
          await merged;
          await expect.poll(async () => await readdir(join(directory.path, "uploads"))).toEqual([]);
          limit = calls;
          await before.stop();
          continue;
        }
        await reached.promise;
        await using dead = await temporaryDirectory();
        await cp(directory.path, dead.path, { recursive: true });
        gate.reject(new TroupeError("DISK_FAILED", "dead"));
        await before.stop();
        await using troupe = await startTroupe({ root: dead.path });
        const record = await troupe.catalog.upload({ uploadId }, AS_LOCAL);
        // What had begun to commit goes on by itself; anything else is merged again.
        if (record.state !== "merged")
          await troupe
            .upload(uploadId)
            .merge({ epoch: record.epoch }, AS_LOCAL)
            .catch(() => undefined);
        await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
        const { files } = await troupe.catalog.files({}, AS_LOCAL);
        expect(files.length, `stopped at call ${stopAt}`).toBe(fileCount);
        expect((await readFile(troupe, files[0]?.fileId as string)).equals(bytes)).toBe(true);
        await expect.poll(async () => await readdir(join(dead.path, "uploads"))).toEqual([]);
        const names = (await readdir(join(dead.path, "blobs"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
        expect(names.length, `files among the blobs when stopped at call ${stopAt}`).toBe(3);
      }
      expect(limit).toBeGreaterThan(10);
    });
});

describe("many uploads", () => {
  it("all go on after a restart, with their own progress", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const created = await Promise.all(Array.from({ length: 50 }, () => createUpload(before, { sizeBytes: 3 * CHUNK, chunkBytes: CHUNK })));
    await Promise.all(created.map(({ uploadId }, index) => sendChunk(before, uploadId, index % 3, someBytes(CHUNK, index))));
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path });
    for (const [index, { uploadId }] of created.entries()) {
      const { missing } = await troupe.upload(uploadId).status({}, AS_LOCAL);
      expect(missing.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, offset) => first + offset))).toEqual(
        [0, 1, 2].filter((chunk) => chunk !== index % 3),
      );
    }
    await uploadFile(troupe, someBytes(10));
  });
});
