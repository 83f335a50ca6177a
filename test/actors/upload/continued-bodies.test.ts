import { createHash } from "node:crypto";
import { readFile as readPath, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, type Troupe } from "../../support/troupe.ts";

const CHUNK = 2 * 65_536;

interface Goes {
  readonly digests?: readonly { readonly algorithm: "sha1"; readonly value: string }[];
  readonly isAtomic?: boolean;
  readonly lengthBytes?: number;
}

/** A body that goes on at this byte of the upload; given an error, it breaks off with it after its bytes. */
function goOn(troupe: Troupe, uploadId: string, offset: number, bytes: Uint8Array, goes: Goes & { readonly error?: Error } = {}) {
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
    if (goes.error !== undefined) throw goes.error;
  }
  return troupe.node.storeChunk({
    uploadId,
    index: Math.floor(offset / CHUNK),
    fromBytes: offset % CHUNK,
    lengthBytes: goes.lengthBytes,
    bytes: body(),
    digests: goes.digests ?? [],
    isAtomic: goes.isAtomic,
    signal: new AbortController().signal,
  });
}

/** A body that hands over its bytes and then says nothing. */
function goOnSilently(troupe: Troupe, uploadId: string, offset: number, bytes: Uint8Array) {
  const taken = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield bytes;
    taken.resolve();
    await new Promise(() => {});
  }
  const index = Math.floor(offset / CHUNK);
  const { signal } = new AbortController();
  const stored = troupe.node.storeChunk({ uploadId, index, fromBytes: offset % CHUNK, bytes: body(), digests: [], signal });
  stored.catch(() => undefined);
  return { stored, taken: taken.promise };
}

const BROKEN = new Error("the line broke");

async function statusOf(troupe: Troupe, uploadId: string) {
  return await troupe.upload(uploadId).status({}, AS_LOCAL);
}

async function mergedBytes(troupe: Troupe, uploadId: string): Promise<Buffer> {
  const { epoch } = await statusOf(troupe, uploadId);
  const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
  return await readFile(troupe, file?.fileId as string);
}

describe("bodies that go on within a chunk", () => {
  it("make the same file, whatever their lengths, and the status says where the next one begins", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(2 * CHUNK + 777);
    const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    let offset = 0;
    for (const end of [1, 11, 65_535, 65_536, 65_537, 100_000, CHUNK, CHUNK + 65_536, 2 * CHUNK, 2 * CHUNK + 776, bytes.length]) {
      const stored = await goOn(troupe, uploadId, offset, bytes.subarray(offset, end));
      expect(stored).toMatchObject({ lengthBytes: end % CHUNK === 0 ? CHUNK : end % CHUNK, isNew: true });
      expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: end, receivedBytes: end, inFlightCount: 0 });
      expect((await troupe.storage.status({})).reservedBytes).toBe(bytes.length - end);
      offset = end;
    }
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("F18: what of one that broke off is synced counts, and is there after a restart", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(CHUNK + 5);
    const before = await startTroupe({ root: directory.path });
    const { uploadId } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await goOn(before, uploadId, 0, bytes.subarray(0, 10));
    await expect(goOn(before, uploadId, 10, bytes.subarray(10, 70_000), { error: BROKEN })).rejects.toThrow(BROKEN.message);
    expect(await statusOf(before, uploadId)).toMatchObject({ offsetBytes: 70_000, missing: [[0, 1]], receivedCount: 0 });
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path });
    expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: 70_000, receivedBytes: 70_000 });
    expect((await troupe.storage.status({})).reservedBytes).toBe(bytes.length - 70_000);
    await goOn(troupe, uploadId, 70_000, bytes.subarray(70_000, CHUNK));
    await goOn(troupe, uploadId, CHUNK, bytes.subarray(CHUNK));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("cost the journal little, however short they are", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(1_000);
    const { uploadId } = await createUpload(troupe, { chunkBytes: 64 * 1024 * 1024 });
    const journal = join(directory.path, "uploads", uploadId, "journal");
    const { size } = await stat(journal);
    for (let at = 0; at < bytes.length; at += 10) await goOn(troupe, uploadId, at, bytes.subarray(at, at + 10)).catch(() => undefined);
    const { offsetBytes } = await statusOf(troupe, uploadId);
    expect(offsetBytes).toBe(1_000);
    expect((await stat(journal)).size - size).toBeLessThan(100 * 64);
  });

  it("are refused where the durable bytes do not end, and hear where that is", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(2 * CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, 100));
    for (const offset of [0, 99, 101, CHUNK, CHUNK + 100])
      await expect(goOn(troupe, uploadId, offset, bytes.subarray(0, 5))).rejects.toMatchObject({
        code: "OFFSET_MISMATCH",
        facts: { offset: 100 },
      });
    await expect(goOn(troupe, uploadId, 100, bytes.subarray(0, CHUNK))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    await expect(goOn(troupe, uploadId, 100, bytes, { lengthBytes: CHUNK })).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: 100, inFlightCount: 0 });
  });

  it("F23: count for nothing when their digest is wrong, or when they break off and have one", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, 100));
    const digestsOf = (of: Uint8Array) => [{ algorithm: "sha1" as const, value: createHash("sha1").update(of).digest("hex") }];
    const wrong = { digests: digestsOf(bytes) };
    await expect(goOn(troupe, uploadId, 100, someBytes(5_000, 7), wrong)).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
    const part = bytes.subarray(100, 90_000);
    await expect(goOn(troupe, uploadId, 100, part, { digests: digestsOf(part), error: BROKEN })).rejects.toThrow(BROKEN.message);
    await expect(goOn(troupe, uploadId, 100, part, { isAtomic: true, error: BROKEN })).rejects.toThrow(BROKEN.message);
    expect((await statusOf(troupe, uploadId)).offsetBytes).toBe(100);
    await goOn(troupe, uploadId, 100, part, { digests: digestsOf(part) });
    await goOn(troupe, uploadId, 90_000, bytes.subarray(90_000), { isAtomic: true });
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("end one that says nothing any more, and go on where it ended", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    const first = goOnSilently(troupe, uploadId, 0, bytes.subarray(0, 100));
    await first.taken;
    // Its client, having lost its line, does not know how far it came.
    await expect(goOn(troupe, uploadId, 0, bytes)).rejects.toMatchObject({ code: "OFFSET_MISMATCH", facts: { offset: 100 } });
    await expect(first.stored).rejects.toMatchObject({ code: "UPLOAD_BUSY" });
    await goOn(troupe, uploadId, 100, bytes.subarray(100));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("are ended by whoever asks how far they came, and what came is durable then", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    expect(await troupe.upload(uploadId).settle({ epoch }, AS_LOCAL)).toMatchObject({ offsetBytes: 0 });
    const first = goOnSilently(troupe, uploadId, 0, bytes.subarray(0, 66_000));
    await first.taken;
    expect(await troupe.upload(uploadId).settle({ epoch }, AS_LOCAL)).toMatchObject({ offsetBytes: 66_000, inFlightCount: 0 });
    await expect(first.stored).rejects.toMatchObject({ code: "UPLOAD_BUSY" });
    await expect(troupe.upload(uploadId).settle({ epoch: epoch + 1 }, AS_LOCAL)).rejects.toMatchObject({ code: "EPOCH_STALE" });
  });

  it("may follow each other before the first is synced, and count in their order", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const bytes = someBytes(4 * CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, 10));
    const gate = Promise.withResolvers<void>();
    disk.intercept = async (call, path) => {
      if (call === "sync" && path.endsWith("/data")) await gate.promise;
    };
    const ends = [CHUNK, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 5];
    const all = ends.map((end, at) => goOn(troupe, uploadId, ends[at - 1] ?? 10, bytes.subarray(ends[at - 1] ?? 10, end)));
    await expect.poll(async () => (await statusOf(troupe, uploadId)).inFlightCount).toBe(4);
    gate.resolve();
    expect((await Promise.all(all)).map(({ lengthBytes }) => lengthBytes)).toEqual([CHUNK, CHUNK, CHUNK, 5]);
    await goOn(troupe, uploadId, 3 * CHUNK + 5, bytes.subarray(3 * CHUNK + 5));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("do not count when the one before them falls short", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(3 * CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    const short = goOn(troupe, uploadId, 0, bytes.subarray(0, 70_000), { error: BROKEN });
    const later = [1, 2].map((index) => goOn(troupe, uploadId, index * CHUNK, bytes.subarray(index * CHUNK, (index + 1) * CHUNK)));
    const outcomes = await Promise.allSettled([short, ...later]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: 70_000, receivedCount: 0, missing: [[0, 2]], inFlightCount: 0 });
  });

  it("lose no more than the leaf that was damaged on the disk, and say so", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, 70_000));
    const path = join(directory.path, "uploads", uploadId, "data");
    const stored = await readPath(path);
    stored[69_999] = (stored[69_999] as number) ^ 1;
    await writeFile(path, stored);
    await expect(goOn(troupe, uploadId, 70_000, bytes.subarray(70_000))).rejects.toMatchObject({
      code: "OFFSET_MISMATCH",
      facts: { offset: 65_536 },
    });
    expect((await troupe.storage.status({})).reservedBytes).toBe(CHUNK - 65_536);
    await goOn(troupe, uploadId, 65_536, bytes.subarray(65_536));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("give way to a whole body for their chunk: it takes the place of what had come", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(before, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await goOn(before, uploadId, 0, someBytes(70_000, 5));
    await expect(sendChunk(before, uploadId, 0, bytes.subarray(1))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    // What had come may be overwritten: it counts no more, now and after a restart.
    expect((await statusOf(before, uploadId)).offsetBytes).toBe(0);
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path });
    expect((await statusOf(troupe, uploadId)).offsetBytes).toBe(0);
    await sendChunk(troupe, uploadId, 0, bytes);
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it.each([false, true])("F1: are a file without the last of them, which was taken back; after a restart: %s", async (restarts) => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(before, { chunkBytes: CHUNK });
    await goOn(before, uploadId, 0, bytes);
    await goOn(before, uploadId, CHUNK, someBytes(100));
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield someBytes(50);
      throw BROKEN;
    }
    const { signal } = new AbortController();
    // A whole body takes the place of what had come, and does not come whole.
    await expect(before.node.storeChunk({ uploadId, index: 1, bytes: broken(), digests: [], signal })).rejects.toThrow(BROKEN);
    if (restarts) await before.stop();
    await using troupe = restarts ? await startTroupe({ root: directory.path }) : before;
    expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: CHUNK, state: "receiving" });
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });

  it("F3: keep what was answered when the disk is full, and go on when there is room", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const bytes = someBytes(CHUNK);
    const { uploadId } = await createUpload(troupe, { chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, 100));
    for (const [call, file] of [
      ["write", "/data"],
      ["sync", "/data"],
      ["write", "/journal"],
      ["sync", "/journal"],
    ] as const) {
      disk.intercept = (actual, path) => {
        if (actual === call && path.endsWith(file)) throw diskFull(path);
      };
      await expect(goOn(troupe, uploadId, 100, bytes.subarray(100, 80_000))).rejects.toMatchObject({ code: "DISK_FULL" });
      disk.intercept = () => {};
      expect(await statusOf(troupe, uploadId)).toMatchObject({ offsetBytes: 100, inFlightCount: 0 });
    }
    await goOn(troupe, uploadId, 100, bytes.subarray(100));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });
});

describe("an upload whose size is said late", () => {
  it("is complete by it, also when all its bytes have come before", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1]) {
      const bytes = someBytes(size, size);
      const { uploadId, epoch } = await createUpload(troupe, { chunkBytes: CHUNK });
      const session = troupe.upload(uploadId);
      for (let at = 0; at < size; at += CHUNK) await goOn(troupe, uploadId, at, bytes.subarray(at, at + CHUNK));
      const status = await session.declareSize({ epoch, sizeBytes: size }, AS_LOCAL);
      expect(status).toMatchObject({ sizeBytes: size, offsetBytes: size, missing: [], receivedCount: Math.ceil(size / CHUNK) });
      expect((await session.declareSize({ epoch, sizeBytes: size }, AS_LOCAL)).sizeBytes).toBe(size);
      await expect(session.declareSize({ epoch, sizeBytes: size + 1 }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_SIZE_FIXED" });
      expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
    }
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("keeps it over a restart, has its space reserved, and takes no more", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(CHUNK + 100);
    const before = await startTroupe({ root: directory.path, fileBytesMax: 10 * CHUNK });
    const { uploadId, epoch } = await createUpload(before, { chunkBytes: CHUNK });
    await goOn(before, uploadId, 0, bytes.subarray(0, 1_000));
    const declare = (troupe: Troupe, sizeBytes: number, of = epoch) =>
      troupe.upload(uploadId).declareSize({ epoch: of, sizeBytes }, AS_LOCAL);
    await expect(declare(before, 999)).rejects.toMatchObject({ code: "TOO_LARGE" });
    await expect(declare(before, 10 * CHUNK + 1)).rejects.toMatchObject({ code: "TOO_LARGE" });
    await declare(before, bytes.length);
    expect((await before.storage.status({})).reservedBytes).toBe(bytes.length - 1_000);
    await before.stop();
    await using troupe = await startTroupe({ root: directory.path, fileBytesMax: 10 * CHUNK });
    expect(await statusOf(troupe, uploadId)).toMatchObject({ sizeBytes: bytes.length, chunkCount: 2, offsetBytes: 1_000 });
    expect((await troupe.storage.status({})).reservedBytes).toBe(bytes.length - 1_000);
    await expect(declare(troupe, 1_000, epoch + 1)).rejects.toMatchObject({ code: "UPLOAD_SIZE_FIXED" });
    await goOn(troupe, uploadId, 1_000, bytes.subarray(1_000, CHUNK));
    await expect(goOn(troupe, uploadId, CHUNK, someBytes(101))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    await goOn(troupe, uploadId, CHUNK, bytes.subarray(CHUNK));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("F3: is complete also when the disk was full in the middle of it, whatever is asked next", async () => {
    for (const next of ["declare", "merge", "restart"] as const) {
      await using directory = await temporaryDirectory();
      const disk = new FaultyDisk(new NodeDisk());
      const bytes = someBytes(1_000);
      const before = await startTroupe({ root: directory.path, disk });
      const { uploadId, epoch } = await createUpload(before, { chunkBytes: CHUNK });
      await goOn(before, uploadId, 0, bytes);
      const declare = () => before.upload(uploadId).declareSize({ epoch, sizeBytes: bytes.length }, AS_LOCAL);
      let entries = 0;
      disk.intercept = (call, path) => {
        if (call !== "write" || !path.endsWith("/journal")) return;
        entries += 1;
        // The size is recorded; that the tail is a chunk by it is not.
        if (entries > 1) throw diskFull(path);
      };
      await expect(declare(), next).rejects.toMatchObject({ code: "DISK_FULL" });
      if (next !== "restart") disk.intercept = () => {};
      if (next === "declare") expect(await declare(), next).toMatchObject({ missing: [], receivedCount: 1, offsetBytes: 1_000 });
      if (next !== "restart") expect((await mergedBytes(before, uploadId)).equals(bytes), next).toBe(true);
      await before.stop();
      if (next !== "restart") continue;
      const errors: string[] = [];
      const log = { ...SILENT_LOG, error: (_: object, text: string) => void errors.push(text), child: () => log };
      disk.intercept = (call, path) => {
        if (call === "write" && path.endsWith("/journal")) throw diskFull(path);
      };
      await using troupe = await startTroupe({ root: directory.path, disk, log });
      expect(await statusOf(troupe, uploadId)).toMatchObject({ sizeBytes: 1_000, offsetBytes: 1_000 });
      expect(errors).toEqual([]);
      disk.intercept = () => {};
      expect((await mergedBytes(troupe, uploadId)).equals(bytes), next).toBe(true);
      expect((await troupe.storage.status({})).reservedBytes).toBe(0);
    }
  });

  it("is a file of what there is when it is merged without one", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(CHUNK + 70_000);
    const { uploadId } = await createUpload(troupe, { chunkBytes: CHUNK });
    await goOn(troupe, uploadId, 0, bytes.subarray(0, CHUNK));
    await goOn(troupe, uploadId, CHUNK, bytes.subarray(CHUNK));
    expect((await mergedBytes(troupe, uploadId)).equals(bytes)).toBe(true);
  });
});
