import { readdir, readFile as readPath, stat, writeFile as writePath } from "node:fs/promises";
import { join } from "node:path";
import { blake3, md5, sha1, sha256 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFailed, diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, type Troupe, uploadFile } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = 65_536;
const part = (bytes: Buffer, index: number, chunkBytes = CHUNK): Buffer => bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);

async function everyFile(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);
}

/** A body that stays open until it is told to end. */
function heldBody(bytes: Uint8Array) {
  const gate = Promise.withResolvers<void>();
  // It may be rejected before the body has come to it.
  gate.promise.catch(() => undefined);
  const begun = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Uint8Array> {
    begun.resolve();
    yield bytes.subarray(0, 10);
    await gate.promise;
    yield bytes.subarray(10);
  }
  return { bytes: body(), release: () => gate.resolve(), fail: (error: Error) => gate.reject(error), begun: begun.promise };
}

function sendHeld(troupe: Troupe, uploadId: string, index: number, bytes: Uint8Array) {
  const held = heldBody(bytes);
  const stored = troupe.node.storeChunk({ uploadId, index, bytes: held.bytes, digests: [], signal: new AbortController().signal });
  stored.catch(() => undefined);
  return { ...held, stored };
}

describe("an upload session", () => {
  it("turns chunks that arrive in any order and in parallel into the same file", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(5 * CHUNK + 1234);
    const created = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    expect(created).toMatchObject({ chunkCount: 6, missing: [[0, 5]], state: "receiving" });
    await Promise.all(
      [3, 0, 5, 1, 4, 2].map((index) => sendChunk(troupe, created.uploadId, index, part(bytes, index), { pieceBytes: 10_000 })),
    );
    const { state, file } = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, AS_LOCAL);
    expect(state).toBe("merged");
    expect(file).toMatchObject({ sizeBytes: bytes.length, copies: 1, durability: "single-copy", digests: { blake3: await blake3(bytes) } });
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
  });

  it("copies no bytes when it merges: the data file becomes the blob", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const created = await createUpload(troupe, { sizeBytes: 100, chunkBytes: CHUNK });
    const before = await stat(join(directory.path, "uploads", created.uploadId, "data"));
    await sendChunk(troupe, created.uploadId, 0, someBytes(100));
    const { file } = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, AS_LOCAL);
    const { blob } = await troupe.catalog.file({ fileId: file?.fileId as string }, AS_LOCAL);
    expect((await stat(join(directory.path, "blobs", blob.path))).ino).toBe(before.ino);
  });

  it("stores an empty file", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const file = await uploadFile(troupe, Buffer.alloc(0));
    expect(file).toMatchObject({ sizeBytes: 0, digests: { blake3: await blake3("") } });
    expect((await readFile(troupe, file.fileId)).length).toBe(0);
  });

  it("takes a file whose size nobody said", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    for (const size of [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK]) {
      const bytes = someBytes(size, size);
      const created = await createUpload(troupe, { chunkBytes: CHUNK });
      expect(created.chunkCount).toBeUndefined();
      for (let index = 0; index * CHUNK < size; index += 1) await sendChunk(troupe, created.uploadId, index, part(bytes, index));
      const { file } = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, AS_LOCAL);
      expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
    }
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("answers a merge with what is missing, and stays as it is", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(4 * CHUNK);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const held = sendHeld(troupe, uploadId, 3, part(bytes, 3));
    await held.begun;
    await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({
      code: "UPLOAD_INCOMPLETE",
      facts: {
        missing: [
          [0, 0],
          [2, 3],
        ],
      },
    });
    held.release();
    await held.stored;
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({
      state: "receiving",
      receivedCount: 2,
      missing: [
        [0, 0],
        [2, 2],
      ],
      receivedBytes: 2 * CHUNK,
    });
  });

  it("F18: counts nothing of a body that ended early", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(2 * CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await expect(sendChunk(troupe, uploadId, 0, part(bytes, 0).subarray(0, CHUNK - 1))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    await expect(sendChunk(troupe, uploadId, 0, bytes.subarray(0, CHUNK + 1))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    await expect(sendChunk(troupe, uploadId, 0, part(bytes, 0), { lengthBytes: 3 })).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    const held = sendHeld(troupe, uploadId, 0, part(bytes, 0));
    await held.begun;
    held.fail(new Error("the line broke"));
    await expect(held.stored).rejects.toThrow("the line broke");
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ receivedCount: 0, inFlightCount: 0, missing: [[0, 1]] });
    expect(await sendChunk(troupe, uploadId, 0, part(bytes, 0))).toMatchObject({ receivedCount: 1 });
  });

  it("F19: of two bodies for one index at once one writes, the other is compared", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    const first = sendHeld(troupe, uploadId, 0, bytes);
    await first.begun;
    const same = sendChunk(troupe, uploadId, 0, bytes);
    const other = sendChunk(troupe, uploadId, 0, someBytes(CHUNK, 99));
    other.catch(() => undefined);
    first.release();
    expect(await first.stored).toMatchObject({ isNew: true });
    expect(await same).toMatchObject({ isNew: false, receivedCount: 1 });
    await expect(other).rejects.toMatchObject({ code: "CHUNK_CONFLICT" });
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });

  it("F19: a body that waited for one that failed is asked to come again", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    const first = sendHeld(troupe, uploadId, 0, someBytes(CHUNK));
    await first.begun;
    const second = sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
    second.catch(() => undefined);
    first.fail(new Error("gone"));
    await expect(second).rejects.toMatchObject({ code: "UPLOAD_BUSY", retry: "later" });
  });

  it("F21: the same chunk twice changes nothing; other bytes are refused and the first stay", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
    await sendChunk(troupe, uploadId, 0, bytes);
    expect(await sendChunk(troupe, uploadId, 0, bytes)).toMatchObject({ isNew: false, receivedCount: 1 });
    await expect(sendChunk(troupe, uploadId, 0, someBytes(CHUNK, 2))).rejects.toMatchObject({ code: "CHUNK_CONFLICT" });
    expect((await readPath(join(directory.path, "uploads", uploadId, "data"))).subarray(0, CHUNK).equals(bytes)).toBe(true);
  });

  it("F22: a merge repeated gives the first answer, while it runs and after", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 10, chunkBytes: CHUNK });
    await sendChunk(troupe, uploadId, 0, someBytes(10));
    const answers = await Promise.all([1, 2, 3].map(() => troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)));
    expect(new Set(answers.map((answer) => answer.file?.fileId)).size).toBe(1);
    expect(await troupe.catalog.upload({ uploadId }, AS_LOCAL)).toMatchObject({ state: "merged", fileId: answers[0]?.file?.fileId });
  });

  it("F22: a cancel repeated gives the first answer, and leaves nothing", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
    await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
    const silent = sendHeld(troupe, uploadId, 1, someBytes(CHUNK));
    await silent.begun;
    const answers = await Promise.all([1, 2].map(() => troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL)));
    expect(answers).toEqual([{ state: "cancelled" }, { state: "cancelled" }]);
    await expect(silent.stored).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
    expect(await everyFile(join(directory.path, "uploads"))).toEqual([]);
    expect(await troupe.catalog.upload({ uploadId }, AS_LOCAL)).toMatchObject({ state: "cancelled" });
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
    await expect(sendChunk(troupe, uploadId, 0, someBytes(CHUNK))).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
  });

  it("F7: does not blame the client for a digest that the disk has spoilt: what is damaged is missing again", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(3 * CHUNK);
    const digest = { algorithm: "sha256", value: await sha256(bytes) } as const;
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK, digest });
    // Nobody reads a chunk for the file's digest before those ahead of it are there.
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const path = join(directory.path, "uploads", uploadId, "data");
    const stored = await readPath(path);
    stored[CHUNK + 7] = (stored[CHUNK + 7] as number) ^ 1;
    await writePath(path, stored);
    for (const index of [0, 2]) await sendChunk(troupe, uploadId, index, part(bytes, index));
    await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_INCOMPLETE" });
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving", missing: [[1, 1]] });
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect(file?.digests["sha256"]).toBe(digest.value);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });

  it("F23: a wrong digest fails the upload for good, with nothing visible", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(1000);
    for (const [algorithm, right] of [
      ["blake3", await blake3(bytes)],
      ["sha256", await sha256(bytes)],
      ["sha1", await sha1(bytes)],
      ["md5", await md5(bytes)],
    ] as const) {
      const wrong = right.startsWith("0") ? `1${right.slice(1)}` : `0${right.slice(1)}`;
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 1000, digest: { algorithm, value: wrong } });
      await sendChunk(troupe, uploadId, 0, bytes);
      await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
      await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("failed");
      const file = await uploadFile(troupe, bytes, { digest: { algorithm, value: right } });
      expect(file.digests[algorithm]).toBe(right);
    }
    expect((await troupe.catalog.files({}, AS_LOCAL)).files.length).toBe(4);
    await expect.poll(async () => await everyFile(join(directory.path, "uploads"))).toEqual([]);
  });

  it("F2: refuses commands of another epoch", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: 1 });
    await expect(troupe.upload(uploadId).merge({ epoch: epoch + 1 }, AS_LOCAL)).rejects.toMatchObject({ code: "EPOCH_STALE" });
    await expect(troupe.upload(uploadId).cancel({ epoch: epoch + 1 }, AS_LOCAL)).rejects.toMatchObject({ code: "EPOCH_STALE" });
  });

  it("F24: two uploads of the same content become one blob that two files refer to", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(3 * CHUNK);
    const [a, b] = await Promise.all([uploadFile(troupe, bytes, { name: "a" }), uploadFile(troupe, bytes, { name: "b" })]);
    const [first, second] = await Promise.all([a, b].map(({ fileId }) => troupe.catalog.file({ fileId }, AS_LOCAL)));
    expect(first?.blob).toEqual(second?.blob);
    expect((await everyFile(join(directory.path, "blobs"))).length).toBe(3);
    const record = () => readPath(join(directory.path, "blobs", `${first?.blob.path}.record`), "utf8");
    // The second comes there after its answer.
    for (const { fileId } of [a, b]) await expect.poll(record).toContain(fileId);
  });

  it("F3: a disk that is full refuses the chunk, keeps the upload, and takes the chunk when there is room", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const bytes = someBytes(2 * CHUNK);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const call of ["write", "sync"] as const) {
      disk.intercept = (actual, path) => {
        if (actual === call && path.endsWith("/data")) throw diskFull(path);
      };
      await expect(sendChunk(troupe, uploadId, 0, part(bytes, 0))).rejects.toMatchObject({ code: "DISK_FULL", status: 507 });
    }
    disk.intercept = () => {};
    for (const index of [0, 1]) await sendChunk(troupe, uploadId, index, part(bytes, index));
    disk.intercept = (call, path) => {
      if (call === "link") throw diskFull(path);
    };
    await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({
      state: "receiving",
      lastError: { code: "DISK_FULL", retryable: true },
    });
    disk.intercept = () => {};
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });

  it("F3: sizes that were declared are reserved, so that many creations cannot fill the disk", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    disk.freeBytes = 10_000_000;
    await using troupe = await startTroupe({ root: directory.path, disk });
    const created = await Promise.allSettled(Array.from({ length: 20 }, () => createUpload(troupe, { sizeBytes: 1_000_000 })));
    expect(created.filter(({ status }) => status === "fulfilled").length).toBe(10);
    for (const result of created) if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "DISK_FULL" });
    expect(await troupe.storage.status({})).toMatchObject({ freeBytes: 0, reservedBytes: 10_000_000 });
    expect((await readdir(join(directory.path, "uploads"))).length).toBe(10);
  });

  it("a disk that writes short is written to until all is there", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    disk.writeBytesMax = 1000;
    await using troupe = await startTroupe({ root: directory.path, disk });
    const bytes = someBytes(3 * CHUNK);
    const file = await uploadFile(troupe, bytes, { chunkBytes: CHUNK });
    expect((await readFile(troupe, file.fileId)).equals(bytes)).toBe(true);
  });

  it("F5: a directory that could not be synced makes the disk suspect, too: no tracker sends another upload there", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    disk.intercept = (call, path) => {
      if (call === "syncDirectory" && path.endsWith("/uploads")) throw diskFailed(path);
    };
    await expect(createUpload(troupe, { sizeBytes: 1 })).rejects.toMatchObject({ code: "DISK_FAILED" });
    disk.intercept = () => {};
    expect((await troupe.storage.status({})).suspect).toContain("EIO");
    await expect(createUpload(troupe, { sizeBytes: 1 })).rejects.toMatchObject({ detail: expect.stringContaining("takes no uploads") });
  });

  it("F5: a sync that failed is not tried again: the upload fails and the node takes no more uploads, but serves what it has", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const kept = await uploadFile(troupe, someBytes(10));
    const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    let syncs = 0;
    disk.intercept = (call, path) => {
      if (call !== "sync" || !path.endsWith("/data")) return;
      syncs += 1;
      throw diskFailed(path);
    };
    await expect(sendChunk(troupe, uploadId, 0, someBytes(CHUNK))).rejects.toMatchObject({ code: "DISK_FAILED" });
    expect(syncs).toBe(1);
    disk.intercept = () => {};
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("failed");
    expect((await troupe.storage.status({})).suspect).toContain("EIO");
    await expect(createUpload(troupe, { sizeBytes: 1 })).rejects.toMatchObject({ code: "DISK_FAILED" });
    expect((await readFile(troupe, kept.fileId)).length).toBe(10);
  });

  it("an idle upload expires by the clock, and an active one does not", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock, idleExpiryMs: 3_600_000 });
    const idle = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
    const active = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
    await sendChunk(troupe, idle.uploadId, 0, someBytes(CHUNK));
    await clock.advance(1_800_000);
    await sendChunk(troupe, active.uploadId, 0, someBytes(CHUNK));
    // F9: the wall clock decides nothing.
    clock.jumpWall(7_200_000);
    await clock.advance(1_700_000);
    expect(await troupe.upload(idle.uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving" });
    await clock.advance(200_000);
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId: idle.uploadId }, AS_LOCAL)).state).toBe("expired");
    expect(await troupe.upload(active.uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving" });
    await expect.poll(async () => await readdir(join(directory.path, "uploads"))).toEqual([active.uploadId]);
  });

  it("F9: a wall clock that jumps expires nothing", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock, idleExpiryMs: 3_600_000 });
    const { uploadId } = await createUpload(troupe, { sizeBytes: 1 });
    clock.jumpWall(7_200_000);
    await clock.advance(60_000);
    clock.jumpWall(-7_200_000);
    await clock.advance(60_000);
    expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving" });
  });

  it("F28: an upload that rests keeps no descriptor, and goes on when it is needed", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock });
    const bytes = someBytes(2 * CHUNK);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await sendChunk(troupe, uploadId, 0, part(bytes, 0));
    const descriptors = async (): Promise<number> =>
      (await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlinkOrNothing(`/proc/self/fd/${fd}`)))).filter((path) =>
        path.includes(uploadId),
      ).length;
    expect(await descriptors()).toBeGreaterThan(0);
    await clock.advance(60_000);
    await expect.poll(descriptors).toBeLessThanOrEqual(1);
    await sendChunk(troupe, uploadId, 1, part(bytes, 1));
    const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
  });
});

async function readlinkOrNothing(path: string): Promise<string> {
  const { readlink } = await import("node:fs/promises");
  return await readlink(path).catch(() => "");
}
