import { readFile as readPath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { storage } from "../../../src/actors/storage/contract.ts";
import { openDataDirectory } from "../../../src/actors/storage/data-directory.ts";
import { playStorage, type Undo } from "../../../src/bin/cast.ts";
import { client } from "../../../src/bus/client.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { TokenMint } from "../../../src/data-plane/token.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { NO_HTTP } from "../../support/no-http.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, type Troupe } from "../../support/troupe.ts";

const CHUNK = 65_536;

/** A part with its bytes, in chunks of its own size. */
async function part(troupe: Troupe, bytes: Uint8Array, chunkBytes = 2 * CHUNK): Promise<string> {
  const { uploadId } = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes, tus: { isPartial: true } });
  for (let index = 0; index * chunkBytes < bytes.length; index += 1)
    await sendChunk(troupe, uploadId, index, bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes));
  return uploadId;
}

function putTogether(troupe: Troupe, parts: string[]) {
  return createUpload(troupe, { chunkBytes: CHUNK, tus: { parts, metadata: "filename Zm9v" } });
}

async function fileOf(troupe: Troupe, { uploadId, epoch }: { uploadId: string; epoch: number }): Promise<Buffer> {
  const { file } = await troupe.upload(uploadId).merge({ epoch }, AS_LOCAL);
  return await readFile(troupe, file?.fileId as string);
}

async function epochOf(troupe: Troupe, uploadId: string): Promise<number> {
  return (await troupe.upload(uploadId).status({}, AS_LOCAL)).epoch;
}

/** A second storage node beside the one of the cast, without a data server of its own. */
async function anotherNode(troupe: Troupe, root: string) {
  const { clock } = troupe;
  const random = new SeededRandom(2);
  const disk = new NodeDisk();
  const directory = await openDataDirectory({ disk, clock, random }, root, undefined);
  const undo: Undo = [() => directory.release()];
  const { nodeId } = directory;
  const connect = async () => troupe.connect();
  await playStorage(
    { clock, random, log: SILENT_LOG, undo, nodeId, version: "0.0.0", isAlone: true, connect },
    {
      disk,
      hasher: new InlineHasher(disk),
      tokens: new TokenMint(clock, random),
      http: NO_HTTP,
      directory,
      group: "group001",
      zone: "zone1",
      verifyAgeMs: 0,
      deleteGraceMs: 60_000,
      diskReserveBytes: 0,
      fileBytesMax: 1024 ** 4,
      idleExpiryMs: 86_400_000,
      heartbeatMs: 3_000,
      onNameLost: () => undefined,
    },
  );
  return {
    nodeId,
    [Symbol.asyncDispose]: async () => {
      for (const step of undo.splice(0).reverse()) await step();
    },
  };
}

describe("an upload that is put together from parts", () => {
  it("becomes a file of their bytes in order, by itself, and the parts are gone", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const contents = [5 * CHUNK + 7, 0, 1, 2 * CHUNK, 100].map((size, seed) => someBytes(size, seed + 1));
    const parts: string[] = [];
    for (const bytes of contents) parts.push(await part(troupe, bytes));
    const created = await putTogether(troupe, parts);
    expect(created).toMatchObject({ chunkCount: 8, state: "receiving" });
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId: created.uploadId }, AS_LOCAL)).state).toBe("merged");
    const { fileId } = await troupe.catalog.upload({ uploadId: created.uploadId }, AS_LOCAL);
    expect((await readFile(troupe, fileId)).equals(Buffer.concat(contents))).toBe(true);
    for (const uploadId of parts)
      await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("cancelled");
    await expect.poll(async () => (await troupe.storage.status({})).uploadCount).toBe(0);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });

  it("goes on where it was after a restart, and a merge waits for it", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    const before = await startTroupe({ root: directory.path, disk });
    const contents = [3 * CHUNK + 7, 2 * CHUNK].map((size, seed) => someBytes(size, seed + 1));
    const parts = [await part(before, contents[0] as Buffer), await part(before, contents[1] as Buffer)];
    let writes = 0;
    disk.intercept = (call, path) => {
      if (call !== "write" || !path.endsWith("/data")) return;
      writes += 1;
      if (writes > 2) throw diskFull(path);
    };
    const { uploadId } = await putTogether(before, parts);
    await expect.poll(() => writes).toBeGreaterThan(2);
    await expect.poll(async () => (await before.upload(uploadId).status({}, AS_LOCAL)).receivedCount).toBe(2);
    await before.stop();
    disk.intercept = () => {};
    await using troupe = await startTroupe({ root: directory.path, disk });
    const status = await troupe.upload(uploadId).status({}, AS_LOCAL);
    expect(status.receivedCount).toBeGreaterThanOrEqual(2);
    expect(status.tus).toEqual({ parts, metadata: "filename Zm9v" });
    expect((await fileOf(troupe, { uploadId, epoch: status.epoch })).equals(Buffer.concat(contents))).toBe(true);
  });

  it("has parts on another node, which nobody can connect to, read over the bus", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: join(directory.path, "one") });
    await using other = await anotherNode(troupe, join(directory.path, "two"));
    const contents = [3 * CHUNK + 7, CHUNK].map((size, seed) => someBytes(size, seed + 1));
    const tus = { parts: [await part(troupe, contents[0] as Buffer), await part(troupe, contents[1] as Buffer)] };
    const wish = { app: "default", user: "default", name: "film", contentType: "video/mp4", tus };
    const created = await client(troupe.bus, storage, { nodeId: other.nodeId }).createUpload(wish, AS_LOCAL);
    const { epoch } = created;
    const { file } = await troupe.upload(created.uploadId).merge({ epoch }, { ...AS_LOCAL, timeoutMs: 20_000 });
    expect(file?.digests.blake3).toBe(await blake3(Buffer.concat(contents)));
    await expect.poll(async () => (await troupe.storage.status({})).uploadCount).toBe(0);
  });

  it("refuses parts that are not there, not whole, not begun as parts, or somebody else's, and names them", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const whole = await part(troupe, someBytes(10));
    const short = await createUpload(troupe, { sizeBytes: 10, tus: { isPartial: true } });
    const endless = await createUpload(troupe, { tus: { isPartial: true } });
    const other = await createUpload(troupe, { sizeBytes: 0, tus: { isPartial: true }, principal: { owner: "eve" } });
    const plain = await createUpload(troupe, { sizeBytes: 0 });
    const ended = await part(troupe, someBytes(10));
    await troupe.upload(ended).cancel({ epoch: await epochOf(troupe, ended) }, AS_LOCAL);
    for (const [uploadId, code] of [
      ["nothing", "UPLOAD_NOT_FOUND"],
      [other.uploadId, "UPLOAD_NOT_FOUND"],
      [short.uploadId, "UPLOAD_INCOMPLETE"],
      [endless.uploadId, "UPLOAD_INCOMPLETE"],
      [plain.uploadId, "BAD_REQUEST"],
      [ended, "UPLOAD_CANCELLED"],
    ] as const)
      await expect(putTogether(troupe, [whole, uploadId])).rejects.toMatchObject({ code, detail: expect.stringContaining(uploadId) });
  });

  it("fails when a part goes meanwhile, and says which", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const parts = [await part(troupe, someBytes(3 * CHUNK)), await part(troupe, someBytes(3 * CHUNK, 2))];
    const gate = Promise.withResolvers<void>();
    disk.intercept = async (call, path) => {
      if (call === "read" && path.endsWith("/data")) await gate.promise;
    };
    const { uploadId } = await putTogether(troupe, parts);
    const gone = parts[1] as string;
    await troupe.upload(gone).cancel({ epoch: await epochOf(troupe, gone) }, AS_LOCAL);
    gate.resolve();
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("failed");
    const { lastError } = await troupe.catalog.upload({ uploadId }, AS_LOCAL);
    expect(lastError).toMatchObject({ code: "UPLOAD_CANCELLED", detail: expect.stringContaining(gone), retryable: false });
  });

  it("F7: fails when a part is damaged on its disk: what does not have its digest is not passed on", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const damaged = await part(troupe, someBytes(3 * CHUNK));
    const path = join(directory.path, "uploads", damaged, "data");
    const stored = await readPath(path);
    stored[2 * CHUNK + 5] = (stored[2 * CHUNK + 5] as number) ^ 1;
    await writeFile(path, stored);
    const { uploadId } = await putTogether(troupe, [damaged]);
    await expect.poll(async () => (await troupe.catalog.upload({ uploadId }, AS_LOCAL)).state).toBe("failed");
    const { lastError } = await troupe.catalog.upload({ uploadId }, AS_LOCAL);
    expect(lastError).toMatchObject({ code: "BLOB_DAMAGED", detail: expect.stringContaining(damaged) });
  });

  it("takes no bytes and no size of its own, and a part never becomes a file by itself", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk });
    const uploadId = await part(troupe, someBytes(10));
    const partEpoch = await epochOf(troupe, uploadId);
    await expect(troupe.upload(uploadId).merge({ epoch: partEpoch }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_PARTIAL" });
    const gate = Promise.withResolvers<void>();
    disk.intercept = async (call, path) => {
      if (call === "read" && path.endsWith("/data")) await gate.promise;
    };
    const created = await putTogether(troupe, [uploadId]);
    const session = troupe.upload(created.uploadId);
    const { epoch } = created;
    await expect(sendChunk(troupe, created.uploadId, 0, someBytes(10))).rejects.toMatchObject({ code: "UPLOAD_FINAL", status: 403 });
    await expect(session.declareSize({ epoch, sizeBytes: 10 }, AS_LOCAL)).rejects.toMatchObject({ code: "UPLOAD_FINAL" });
    expect(await session.merge({ epoch, wait: false }, AS_LOCAL)).toEqual({ state: "receiving" });
    gate.resolve();
    expect((await fileOf(troupe, created)).equals(someBytes(10))).toBe(true);
  });
});
