import { open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readRecord } from "../../../src/actors/storage/blob-record.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFailed, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, readFile, someBytes, startTroupe, type Troupe, uploadFile } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const LEAF = 65_536;

async function flipBit(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, offset);
  byte[0] = (byte[0] as number) ^ 1;
  await file.write(byte, 0, 1, offset);
  await file.close();
}

async function blobPathOf(troupe: Troupe, root: string, fileId: string): Promise<string> {
  const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  return join(root, "blobs", blob.path);
}

async function rangeOf(troupe: Troupe, fileId: string) {
  const { blob, sizeBytes } = await troupe.catalog.file({ fileId }, AS_LOCAL);
  return { blobId: blob.blobId, path: blob.path, sizeBytes, offset: 0, lengthBytes: sizeBytes };
}

describe("reading a blob", () => {
  it("gives any range exactly", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(9 * LEAF + 77);
    const { fileId } = await uploadFile(troupe, bytes);
    for (const [offset, lengthBytes] of [
      [0, 1],
      [LEAF - 1, 2],
      [0, bytes.length],
      [bytes.length - 1, 1],
      [3 * LEAF, LEAF],
      [5 * LEAF + 3, 4 * LEAF + 74],
      [12_345, 0],
    ] as const) {
      expect((await readFile(troupe, fileId, { offset, lengthBytes })).equals(bytes.subarray(offset, offset + lengthBytes))).toBe(true);
    }
  });

  it("F7: a flipped bit is an error and never served, and does not touch the leaves beside it", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, verifyAgeMs: 0 });
    const bytes = someBytes(4 * LEAF);
    const { fileId } = await uploadFile(troupe, bytes);
    await flipBit(await blobPathOf(troupe, directory.path, fileId), 2 * LEAF + 5);
    await expect(readFile(troupe, fileId, { offset: 2 * LEAF, lengthBytes: 1 })).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
    await expect(readFile(troupe, fileId)).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
    expect((await readFile(troupe, fileId, { offset: 0, lengthBytes: 2 * LEAF })).equals(bytes.subarray(0, 2 * LEAF))).toBe(true);
  });

  it("F7: damage past the first block ends the stream with an error, after only right bytes", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, verifyAgeMs: 0 });
    const bytes = someBytes(20 * LEAF);
    const { fileId } = await uploadFile(troupe, bytes);
    await flipBit(await blobPathOf(troupe, directory.path, fileId), 15 * LEAF);
    const got: Uint8Array[] = [];
    await expect(
      (async () => {
        for await (const piece of await troupe.node.readBlob(await rangeOf(troupe, fileId))) got.push(piece);
      })(),
    ).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
    const sent = Buffer.concat(got);
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.equals(bytes.subarray(0, sent.length))).toBe(true);
  });

  it("F7: what was verified is trusted for the verify age, by the monotonic clock, and then verified again", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock, verifyAgeMs: 3_600_000 });
    const { fileId } = await uploadFile(troupe, someBytes(LEAF));
    await readFile(troupe, fileId);
    await flipBit(await blobPathOf(troupe, directory.path, fileId), 9);
    clock.jumpWall(7_200_000);
    await readFile(troupe, fileId);
    await clock.advance(3_600_000);
    await expect(readFile(troupe, fileId)).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
  });

  it("F7: leaf digests that rotted make the blob unreadable rather than unverified", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { fileId } = await uploadFile(troupe, someBytes(2 * LEAF));
    await flipBit(`${await blobPathOf(troupe, directory.path, fileId)}.leaves`, 20);
    await expect(readFile(troupe, fileId)).rejects.toMatchObject({ code: "BLOB_DAMAGED" });
  });

  it("F4: a disk that cannot read is an error with the disk's code, before the first byte", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const { fileId } = await uploadFile(troupe, someBytes(LEAF));
    disk.intercept = (call, path) => {
      if (call === "read" && path.includes("/blobs/")) throw diskFailed(path);
    };
    await expect(readFile(troupe, fileId)).rejects.toMatchObject({ code: "DISK_FAILED" });
  });

  it("a path that is not the blob's is never opened", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { fileId } = await uploadFile(troupe, someBytes(10));
    const range = await rangeOf(troupe, fileId);
    for (const path of [
      "../../marker.json",
      "000/000/000/../../../../marker.json",
      "",
      range.path.replace("_000", "_001"),
      `${range.path}.record`,
    ]) {
      await expect(troupe.node.readBlob({ ...range, path })).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    }
  });

  it("F28: descriptors of many blobs are bounded, and readers that share one do not close it for each other", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(8 * LEAF);
    const { fileId } = await uploadFile(troupe, bytes);
    const all = await Promise.all(Array.from({ length: 30 }, () => readFile(troupe, fileId)));
    expect(all.every((read) => read.equals(bytes))).toBe(true);
    expect((await troupe.storage.status({})).openBlobCount).toBe(1);
  });
});

describe("deleting a file", () => {
  it("F25: open reads end exactly, new ones are refused at once, and the bytes go after the grace", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock, deleteGraceMs: 60_000 });
    const bytes = someBytes(20 * LEAF);
    const { fileId } = await uploadFile(troupe, bytes);
    const range = await rangeOf(troupe, fileId);
    const reading = (await troupe.node.readBlob(range))[Symbol.asyncIterator]();
    const pieces = [(await reading.next()).value as Uint8Array];
    await troupe.catalog.deleteFile({ fileId }, AS_LOCAL);
    await expect(troupe.catalog.file({ fileId }, AS_LOCAL)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await clock.advance(2_000);
    await expect.poll(async () => (await troupe.storage.status({})).retiredCount).toBe(1);
    await expect(troupe.node.readBlob(range)).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    await clock.advance(120_000);
    await expect
      .poll(
        async () =>
          (await readdir(join(directory.path, "blobs"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length,
      )
      .toBe(0);
    for (let next = await reading.next(); !next.done; next = await reading.next()) pieces.push(next.value);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });

  it("F25: the same content uploaded again after a delete is a new blob that the delete does not touch", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock, deleteGraceMs: 60_000 });
    const bytes = someBytes(LEAF);
    const first = await uploadFile(troupe, bytes);
    await troupe.catalog.deleteFile({ fileId: first.fileId }, AS_LOCAL);
    const second = await uploadFile(troupe, bytes);
    await clock.advance(180_000);
    await expect.poll(async () => (await readdir(join(directory.path, "retired"))).length).toBe(0);
    expect((await readFile(troupe, second.fileId)).equals(bytes)).toBe(true);
  });

  it("F25: a blob retired before a restart stays retired after it, and goes", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const { fileId } = await uploadFile(before, someBytes(LEAF));
    const range = await rangeOf(before, fileId);
    await before.storage.retireBlob({ blobId: range.blobId, path: range.path });
    await before.stop();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock });
    await expect(troupe.node.readBlob(range)).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    await clock.advance(120_000);
    await expect.poll(async () => (await troupe.storage.status({})).retiredCount).toBe(0);
  });
});

describe("a blob's record", () => {
  it("holds what the database knows of the blob, and survives a torn line", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const file = await uploadFile(troupe, someBytes(100), { name: "films/one.mp4" });
    const path = `${await blobPathOf(troupe, directory.path, file.fileId)}.record`;
    const handle = await open(path, "a");
    await handle.write('{"file":{"fileId":"torn');
    await handle.close();
    const record = await readRecord(new NodeDisk(), path);
    expect(record).toMatchObject({ blobId: 0, group: "group001", sizeBytes: 100, leafBytes: LEAF, digests: file.digests });
    expect(record?.files).toEqual([expect.objectContaining({ fileId: file.fileId, name: "films/one.mp4", owner: "local" })]);
    await uploadFile(troupe, someBytes(100), { name: "again.mp4" });
    // It comes there after the answer.
    await expect
      .poll(async () => (await readRecord(new NodeDisk(), path))?.files.map(({ name }) => name))
      .toEqual(["films/one.mp4", "again.mp4"]);
  });
});

describe("a node's start", () => {
  it("F16: allocates above the highest ID on its disk when the database of IDs was lost", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    const kept = await uploadFile(before, someBytes(LEAF, 1));
    const last = await uploadFile(before, someBytes(LEAF, 2));
    const { blob } = await before.catalog.file({ fileId: last.fileId }, AS_LOCAL);
    await before.stop();
    for (const suffix of ["", "-wal", "-shm"]) await rm(join(directory.path, "database", `troupe_ids.sqlite${suffix}`), { force: true });
    await using troupe = await startTroupe({ root: directory.path });
    const next = await uploadFile(troupe, someBytes(LEAF, 3));
    expect((await troupe.catalog.file({ fileId: next.fileId }, AS_LOCAL)).blob.blobId).toBeGreaterThan(blob.blobId);
    expect((await readFile(troupe, kept.fileId)).equals(someBytes(LEAF, 1))).toBe(true);
  });

  it("F29: data without a marker stops the node, and nothing is touched", async () => {
    await using directory = await temporaryDirectory();
    const before = await startTroupe({ root: directory.path });
    await uploadFile(before, someBytes(10));
    await before.stop();
    await rm(join(directory.path, "marker.json"));
    await expect(startTroupe({ root: directory.path })).rejects.toMatchObject({ code: "MARKER_MISSING" });
    await expect(stat(join(directory.path, "marker.json"))).rejects.toThrow();
  });

  it("F20: a directory has one owner", async () => {
    await using directory = await temporaryDirectory();
    await using _troupe = await startTroupe({ root: directory.path });
    await expect(startTroupe({ root: directory.path })).rejects.toMatchObject({ code: "DIRECTORY_IN_USE" });
  });

  it("F3: leaves placement before its disk is full", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    disk.freeBytes = 300_000_000;
    await using troupe = await startTroupe({ root: directory.path, disk, diskReserveBytes: 300_000_000 });
    await expect(
      troupe.storage.createUpload({ app: "default", user: "default", name: "a", contentType: "a/b", sizeBytes: 1 }, AS_LOCAL),
    ).rejects.toMatchObject({ code: "DISK_FULL" });
    expect((await troupe.storage.status({})).freeBytes).toBe(0);
  });
});
