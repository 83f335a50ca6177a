import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, readFile, sendChunk, someBytes, startTroupe, uploadFile } from "../../support/troupe.ts";

const CHUNK = 65_536;

describe("an upload session", () => {
  it("turns chunks that arrive in any order and in parallel into the same file", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(5 * CHUNK + 1234);
    const created = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: CHUNK });
    expect(created).toMatchObject({ chunkCount: 6, missing: [[0, 5]], state: "receiving" });
    await Promise.all([3, 0, 5, 1, 4, 2].map((index) => sendChunk(troupe, created.uploadId, index, bytes.subarray(index * CHUNK, (index + 1) * CHUNK), { pieceBytes: 10_000 })));
    const { state, file } = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, AS_LOCAL);
    expect(state).toBe("merged");
    expect(file).toMatchObject({ sizeBytes: bytes.length, copies: 1, durability: "single-copy", digests: { blake3: await blake3(bytes) } });
    expect((await readFile(troupe, file?.fileId as string)).equals(bytes)).toBe(true);
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
  });

  it("stores an empty file", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const file = await uploadFile(troupe, Buffer.alloc(0));
    expect(file).toMatchObject({ sizeBytes: 0, digests: { blake3: await blake3("") } });
    expect((await readFile(troupe, file.fileId)).length).toBe(0);
  });
});
