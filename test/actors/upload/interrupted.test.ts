import { readdir, readFile as readPath, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../../src/core/errors.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { leafDigest } from "../../../src/store/stream-hash.ts";
import { diskFailed, diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, type Troupe, uploadFile } from "../../support/troupe.ts";

const CHUNK = 65_536;
const part = (bytes: Buffer, index: number): Buffer => bytes.subarray(index * CHUNK, (index + 1) * CHUNK);

async function withDisk(work: (troupe: Troupe, disk: FaultyDisk, root: string) => Promise<void>): Promise<void> {
  await using directory = await temporaryDirectory();
  const disk = new FaultyDisk(new NodeDisk());
  await using troupe = await startTroupe({ root: directory.path, disk });
  await work(troupe, disk, directory.path);
}

async function filesBelow(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe("a merge of unknown size that was interrupted", () => {
  it("while it was verified takes the chunks that came since into its digest", () =>
    withDisk(async (troupe, disk) => {
      const bytes = someBytes(3 * CHUNK);
      const { uploadId, epoch } = await createUpload(troupe, { chunkBytes: CHUNK });
      for (const index of [0, 1]) await sendChunk(troupe, uploadId, index, part(bytes, index));
      disk.intercept = (call, path) => {
        if (call === "open" && path.endsWith("/leaves")) throw diskFull(path);
      };
      await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
      disk.intercept = () => {};
      await sendChunk(troupe, uploadId, 2, part(bytes, 2));
      const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
      expect(file).toMatchObject({ sizeBytes: bytes.length, digests: { blake3: await blake3(bytes) } });
      expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
    }));

  it("while it was committed takes no chunk any more, also after a restart", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const bytes = someBytes(3 * CHUNK);
    const before = await startTroupe({ root: directory.path, disk });
    const { uploadId, epoch } = await createUpload(before, { chunkBytes: CHUNK });
    for (const index of [0, 1]) await sendChunk(before, uploadId, index, part(bytes, index));
    disk.intercept = (call, path) => {
      if (call === "link") throw diskFull(path);
    };
    await expect(before.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
    await expect(sendChunk(before, uploadId, 2, part(bytes, 2))).rejects.toMatchObject({ code: "UPLOAD_COMMITTING" });
    expect(await sendChunk(before, uploadId, 1, part(bytes, 1))).toMatchObject({ isNew: false });
    await before.stop();
    disk.intercept = () => {};
    await using troupe = await startTroupe({ root: directory.path, disk });
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
    const { files } = await troupe.catalog.files({}, AS_LOCAL);
    expect((await readFile(troupe, files[0]?.fileId as string)).equals(bytes.subarray(0, 2 * CHUNK))).toBe(true);
  });
});

describe("a commit that was interrupted", () => {
  it("F7: goes on after a restart although the journal's entry of a chunk has rotted: the file was sealed with all of them", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const bytes = someBytes(3 * CHUNK);
    const before = await startTroupe({ root: directory.path, disk });
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    for (const index of [0, 1, 2]) await sendChunk(before, uploadId, index, part(bytes, index));
    disk.intercept = (call, path) => {
      if (call === "link") throw diskFull(path);
    };
    await expect(before.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
    await before.stop();
    disk.intercept = () => {};
    const path = join(directory.path, "uploads", uploadId, "journal");
    const journal = await readPath(path);
    const at = journal.indexOf(leafDigest(part(bytes, 1)));
    journal[at] = (journal[at] as number) ^ 1;
    await writeFile(path, journal);
    await using troupe = await startTroupe({ root: directory.path, disk });
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
    const { files } = await troupe.catalog.files({}, AS_LOCAL);
    expect((await readFile(troupe, files[0]?.fileId as string)).equals(bytes)).toBe(true);
    // The session ends after the catalog knows.
    await expect.poll(async () => (await troupe.storage.status({})).reservedBytes).toBe(0);
  });
});

describe("a merge", () => {
  it("F1: that the catalog has committed is a success, whatever happens to what is left to tidy", () =>
    withDisk(async (troupe, disk, root) => {
      const bytes = someBytes(CHUNK);
      await uploadFile(troupe, bytes, { name: "first" });
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK, name: "second" });
      await sendChunk(troupe, uploadId, 0, bytes);
      disk.intercept = (call, path) => {
        if (call === "remove" && path.includes("/blobs/") && !path.endsWith(".new")) throw diskFailed(path);
      };
      const { state, file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
      expect(state).toBe("merged");
      expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
      expect((await troupe.storage.status({})).suspect).toBeUndefined();
      disk.intercept = () => {};
      await troupe.stop();
      await using again = await startTroupe({ root });
      expect(await filesBelow(join(root, "blobs"))).toHaveLength(3);
      expect(await readdir(join(root, "uploads"))).toEqual([]);
      expect((await again.catalog.files({}, AS_LOCAL)).files).toHaveLength(2);
    }));

  it("that failed to publish and was cancelled leaves nothing", () =>
    withDisk(async (troupe, disk, root) => {
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
      let isLinked = false;
      disk.intercept = (call, path) => {
        if (call === "link" && !path.endsWith(".leaves")) isLinked = true;
        if (call === "syncDirectory" && isLinked) throw diskFull(path);
      };
      await expect(troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
      expect(await filesBelow(join(root, "blobs"))).toHaveLength(3);
      disk.intercept = () => {};
      await troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL);
      expect(await filesBelow(join(root, "blobs"))).toEqual([]);
      expect(await readdir(join(root, "uploads"))).toEqual([]);
    }));

  it("that is cancelled while it writes leaves makes no disk suspect and leaves nothing", () =>
    withDisk(async (troupe, disk, root) => {
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
      const gate = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      disk.intercept = (call, path) => {
        if (call !== "write" || !path.endsWith("/leaves")) return;
        reached.resolve();
        return gate.promise;
      };
      const merging = troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
      merging.catch(() => undefined);
      await reached.promise;
      const cancelling = troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL);
      await expect(merging).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
      gate.resolve();
      expect(await cancelling).toEqual({ state: "cancelled" });
      expect((await troupe.storage.status({})).suspect).toBeUndefined();
      expect(await readdir(join(root, "uploads"))).toEqual([]);
    }));

  it("that is cancelled while the file is hashed does not hash the rest of it", () =>
    withDisk(async (troupe, disk, root) => {
      const chunkBytes = 16 * CHUNK;
      const { uploadId, epoch } = await createUpload(troupe, { sizeBytes: chunkBytes, chunkBytes });
      const gate = Promise.withResolvers<void>();
      const reached = Promise.withResolvers<void>();
      let reads = 0;
      disk.intercept = (call, path) => {
        if (call !== "read" || !path.endsWith("/data")) return;
        reads += 1;
        reached.resolve();
        return gate.promise;
      };
      await sendChunk(troupe, uploadId, 0, someBytes(chunkBytes));
      const merging = troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
      merging.catch(() => undefined);
      await reached.promise;
      await expect.poll(async () => (await troupe.upload(uploadId).status({}, AS_LOCAL)).state).toBe("verifying");
      const cancelling = troupe.upload(uploadId).cancel({ epoch }, AS_LOCAL);
      await expect(merging).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
      gate.resolve();
      expect(await cancelling).toEqual({ state: "cancelled" });
      expect(reads).toBe(1);
      expect(await readdir(join(root, "uploads"))).toEqual([]);
    }));

  it("F1: under way when the node stops is refused at once and goes on after the restart", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const before = await startTroupe({ root: directory.path, disk });
    const { uploadId, epoch } = await createUpload(before, { sizeBytes: CHUNK, chunkBytes: CHUNK });
    await sendChunk(before, uploadId, 0, someBytes(CHUNK));
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    disk.intercept = (call, path) => {
      if (call !== "link") return;
      void path;
      reached.resolve();
      return gate.promise;
    };
    const merging = before.upload(uploadId).merge({ epoch }, AS_LOCAL);
    merging.catch(() => undefined);
    await reached.promise;
    const stopping = before.stop();
    await expect(merging).rejects.toMatchObject({ code: "STOPPING" });
    gate.resolve();
    await stopping;
    await using troupe = await startTroupe({ root: directory.path });
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("merged");
  });
});

describe("a failure that says nothing about the disk", () => {
  it("does not make it suspect", () =>
    withDisk(async (troupe, disk) => {
      const { uploadId } = await createUpload(troupe, { sizeBytes: CHUNK, chunkBytes: CHUNK });
      for (const errno of ["EBADF", "ENOENT", "EINVAL"]) {
        disk.intercept = (call, path) => {
          if (call === "write" && path.endsWith("/data")) throw diskFailed(path, errno);
        };
        await expect(sendChunk(troupe, uploadId, 0, someBytes(CHUNK))).rejects.toMatchObject({ code: "DISK_FAILED" });
      }
      disk.intercept = () => {};
      expect((await troupe.storage.status({})).suspect).toBeUndefined();
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
    }));

  it("F28: with no descriptor left the chunk is to be sent again later, and what was received stays", () =>
    withDisk(async (troupe, disk) => {
      const { uploadId } = await createUpload(troupe, { sizeBytes: 2 * CHUNK, chunkBytes: CHUNK });
      disk.intercept = (call) => {
        if (call === "open") throw new TroupeError("TOO_MANY", "no descriptor left", { facts: { errno: "EMFILE" } });
      };
      await expect(sendChunk(troupe, uploadId, 0, someBytes(CHUNK))).rejects.toMatchObject({ code: "TOO_MANY", retry: "later" });
      disk.intercept = () => {};
      await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
      expect(await troupe.upload(uploadId).status({}, AS_LOCAL)).toMatchObject({ state: "receiving", receivedCount: 1 });
    }));
});

describe("a limit on the size of files", () => {
  it("I1: holds where the size was not declared, and far indexes write nothing", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, fileBytesMax: CHUNK + 10 });
    const { uploadId, epoch } = await createUpload(troupe, { chunkBytes: CHUNK });
    await expect(sendChunk(troupe, uploadId, 999_999, someBytes(1))).rejects.toMatchObject({ code: "TOO_LARGE" });
    await expect(sendChunk(troupe, uploadId, 2, someBytes(1))).rejects.toMatchObject({ code: "TOO_LARGE" });
    await sendChunk(troupe, uploadId, 0, someBytes(CHUNK));
    await expect(sendChunk(troupe, uploadId, 1, someBytes(11))).rejects.toMatchObject({ code: "CHUNK_LENGTH" });
    await sendChunk(troupe, uploadId, 1, someBytes(10));
    expect((await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL)).file?.sizeBytes).toBe(CHUNK + 10);
    expect((await troupe.storage.status({})).suspect).toBeUndefined();
  });
});

describe("a creation", () => {
  it("F3: that failed frees its idempotency key, so that the retry is a new upload", () =>
    withDisk(async (troupe, disk, root) => {
      const operation = { key: "k", requestDigest: "ab".repeat(32) };
      const wish = { app: "default", user: "default", name: "a", contentType: "a/b", sizeBytes: 10, operation };
      let journals = 0;
      disk.intercept = (call, path) => {
        if (call === "open" && path.endsWith("/journal")) journals += 1;
        // The folder is made and registered; hosting it fails.
        if (call === "read" && path.endsWith("/journal")) throw diskFull(path);
      };
      await expect(troupe.storage.createUpload(wish, AS_LOCAL)).rejects.toMatchObject({ code: "DISK_FULL" });
      expect(journals).toBeGreaterThan(0);
      disk.intercept = () => {};
      expect(await readdir(join(root, "uploads"))).toEqual([]);
      expect(await troupe.storage.createUpload(wish, AS_LOCAL)).toMatchObject({ isNew: true, state: "receiving" });
      expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads).toHaveLength(1);
    }));
});

describe("content that is uploaded again", () => {
  const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
    "is cut short": (path) => truncate(path, 100),
    "is lost": (path) => rm(path),
    "has lost its leaf digests": (path) => rm(`${path}.leaves`),
    "has lost its record": (path) => rm(`${path}.record`),
    "was appended to": (path) => truncate(path, 3 * CHUNK),
  };
  for (const [name, damage] of Object.entries(damages)) {
    it(`F7: mends the blob that ${name}, for every file that refers to it`, () =>
      withDisk(async (troupe, _, root) => {
        const bytes = someBytes(2 * CHUNK);
        const first = await uploadFile(troupe, bytes, { name: "first" });
        await readFile(troupe, first.fileId);
        const { blob } = await troupe.catalog.file({ fileId: first.fileId }, AS_LOCAL);
        await damage(join(root, "blobs", blob.path));
        const second = await uploadFile(troupe, bytes, { name: "second" });
        for (const { fileId } of [first, second]) expect((await readFile(troupe, fileId)).equals(bytes)).toBe(true);
        expect(await filesBelow(join(root, "blobs"))).toHaveLength(3);
      }));
  }
});
