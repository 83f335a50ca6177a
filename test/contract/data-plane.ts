/**
 * What every adapter of the DataPlane port keeps. Run against each: `describeDataPlane("HTTP", open)`.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import { GATEWAY_SILENCE_MS_MAX, READ_TOKEN_MS, SIGN_OF_LIFE_MS, WRITE_TOKEN_MS } from "../../src/core/limits.ts";
import type { BlobRange, ChunkBody, DataAccess, DataPlane } from "../../src/core/ports/data-plane.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { MemoryNode } from "../data-plane/memory-node.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { piecesOf, someBytes } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

export interface DataPlaneHarness {
  readonly plane: DataPlane;
  /** With the address the node has, if it has one. */
  access(token: string): DataAccess;
  /** The node's process goes away without a word, and so much time passes that it is noticed. */
  killNode(): Promise<void>;
  /** Resolves when everything that the plane has sent is at the node; absent: that takes no more than turns of the event loop. */
  delivered?(): Promise<void>;
  close(): Promise<void>;
}

export interface DataPlaneStage {
  readonly node: MemoryNode;
  readonly tokens: TokenMint;
  /** Of the node and of the plane. */
  readonly clock: VirtualClock;
}

export interface DataPlaneTraits {
  /** Bytes stay in the process: no token is looked at, and nobody can go away. */
  readonly isLocal?: true;
}

const BLOB = { blobId: 7, path: "000/000/000/00000001_007" };
const MIB = 1024 * 1024;
/** What sockets and windows may hold between the two, with room to spare: a fraction of what is sent. */
const BETWEEN_BYTES_MAX = 12 * MIB;
const LARGE_BYTES = 48 * MIB;

export function describeDataPlane(
  name: string,
  open: (stage: DataPlaneStage) => Promise<DataPlaneHarness>,
  { isLocal }: DataPlaneTraits = {},
): void {
  describe(`the ${name} data plane`, () => {
    let stage: DataPlaneStage;
    let harness: DataPlaneHarness;
    let blob: Buffer;
    let range: BlobRange;

    beforeEach(async () => {
      const clock = new VirtualClock();
      stage = { node: new MemoryNode(), tokens: new TokenMint(clock, new SeededRandom(3)), clock };
      harness = await open(stage);
      putBlob(someBytes(1_000_000));
    });
    afterEach(async () => {
      await harness.close();
    });

    function putBlob(bytes: Buffer): void {
      blob = bytes;
      stage.node.blobs.set(BLOB.path, bytes);
      range = { ...BLOB, sizeBytes: bytes.length, offset: 0, lengthBytes: bytes.length };
    }
    const readAccess = () => harness.access(stage.tokens.mint({ kind: "read", ...BLOB, sizeBytes: blob.length }));
    const writeAccess = () => harness.access(stage.tokens.mint({ kind: "write", uploadId: "upload1" }));
    const read = async (wanted: Partial<BlobRange> = {}) =>
      await collect(await harness.plane.readBlob(readAccess(), { ...range, ...wanted }));

    it("gives exactly the bytes of a range", async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(999_999), fc.nat(999_999), async (a, b) => {
          const offset = Math.min(a, b);
          const lengthBytes = Math.max(a, b) - offset + 1;
          const bytes = await read({ offset, lengthBytes });
          expect(bytes.equals(blob.subarray(offset, offset + lengthBytes))).toBe(true);
        }),
        { numRuns: 25, examples: [[0, 999_999] as [number, number], [0, 0], [999_999, 999_999]] },
      );
      expect(stage.node.openCount).toBe(0);
    });

    it("gives an empty blob without a byte", async () => {
      putBlob(Buffer.alloc(0));
      expect(await read()).toHaveLength(0);
    });

    it("serves several readers at once, each its own", async () => {
      const offsets = Array.from({ length: 12 }, (_, index) => index * 70_000);
      const answers = await Promise.all(offsets.map((offset) => read({ offset, lengthBytes: 200_000 })));
      for (const [index, bytes] of answers.entries()) {
        const offset = offsets[index] as number;
        expect(bytes.equals(blob.subarray(offset, offset + 200_000))).toBe(true);
      }
    });

    it("stores a chunk as it is, of any length, declared or not, and answers what the node answers", async () => {
      const small = someBytes(1, 5);
      const large = someBytes(3 * MIB, 6);
      expect(await harness.plane.storeChunk(writeAccess(), chunkOf(large, { index: 4 }))).toEqual({
        index: 4,
        copies: 1,
        receivedCount: 1,
        lengthBytes: large.length,
        isNew: true,
      });
      const second = { ...chunkOf(small, { index: 5 }), lengthBytes: undefined };
      expect(await harness.plane.storeChunk(writeAccess(), second)).toMatchObject({ index: 5, receivedCount: 2 });
      expect(await harness.plane.storeChunk(writeAccess(), chunkOf(small, { index: 5 }))).toMatchObject({ isNew: false });
      expect(stage.node.chunks.get("upload1/4")?.equals(large)).toBe(true);
      expect(stage.node.chunks.get("upload1/5")?.equals(small)).toBe(true);
    });

    it("hands on where in its chunk a body goes on, and what of it counts", async () => {
      for (const [goesOn, handedOn] of [
        [{ fromBytes: 0 }, { fromBytes: 0, isAtomic: false }],
        [
          { fromBytes: 65_535, isAtomic: true },
          { fromBytes: 65_535, isAtomic: true },
        ],
        [{}, { fromBytes: undefined, isAtomic: false }],
      ] as const) {
        await harness.plane.storeChunk(writeAccess(), { ...chunkOf(someBytes(100), { index: 3 }), ...goesOn });
        const { fromBytes, isAtomic } = stage.node.lastBody ?? {};
        expect({ fromBytes, isAtomic: isAtomic === true }).toEqual(handedOn);
      }
    });

    it("reads back what an upload has, and no more", async () => {
      const bytes = someBytes(3 * MIB + 1, 9);
      for (const index of [0, 1, 2, 3])
        await harness.plane.storeChunk(writeAccess(), chunkOf(bytes.subarray(index * MIB, (index + 1) * MIB), { index }));
      const readBack = (offset: number, lengthBytes: number) =>
        harness.plane.readUpload(writeAccess(), { uploadId: "upload1", offset, lengthBytes });
      for (const [offset, lengthBytes] of [
        [0, bytes.length],
        [bytes.length - 1, 1],
        [70_001, MIB],
      ] as const)
        expect((await collect(await readBack(offset, lengthBytes))).equals(bytes.subarray(offset, offset + lengthBytes))).toBe(true);
      expect(await codeOf(readBack(1, bytes.length))).toBe("RANGE_NOT_SATISFIABLE");
      await (await readBack(0, bytes.length))[Symbol.asyncIterator]().return?.();
      await expect.poll(() => stage.node.openCount).toBe(0);
    });

    it("hands digests on, and a mismatch back", async () => {
      const bytes = someBytes(70_000, 8);
      const digestsOf = (of: Uint8Array) =>
        (["sha256", "sha512", "sha1", "md5"] as const).map((algorithm) => ({
          algorithm,
          value: createHash(algorithm).update(of).digest("hex"),
        }));
      const right = { ...chunkOf(bytes), digests: digestsOf(bytes) };
      expect(await harness.plane.storeChunk(writeAccess(), right)).toMatchObject({ isNew: true });
      for (const index of [0, 1, 2, 3]) {
        const wrong = { ...chunkOf(bytes, { index: 1 }), digests: digestsOf(someBytes(2)).slice(index, index + 1) };
        expect(await codeOf(harness.plane.storeChunk(writeAccess(), wrong))).toBe("DIGEST_MISMATCH");
      }
      expect(stage.node.chunks.has("upload1/1")).toBe(false);
    });

    it("tells what the node refuses with its code, its words and its facts", async () => {
      const refused = await failureOf(harness.plane.storeChunk(writeAccess(), chunkOf(someBytes(10), { index: 10 })));
      expect(refused).toMatchObject({ code: "CHUNK_OUT_OF_RANGE", detail: "There are ten.", facts: { chunkCount: 10 } });
      stage.node.blobs.clear();
      expect(await codeOf(harness.plane.readBlob(readAccess(), range))).toBe("BLOB_NOT_FOUND");
      const access = harness.access(stage.tokens.mint({ kind: "write", uploadId: "upload2" }));
      expect(await codeOf(harness.plane.storeChunk(access, { ...chunkOf(someBytes(10)), uploadId: "upload2" }))).toBe("UPLOAD_NOT_FOUND");
    });

    it("has read the first block when it answers, so that a bad one is an error", async () => {
      stage.node.beforeBlock = () => {
        throw new TroupeError("BLOB_DAMAGED");
      };
      expect(await codeOf(harness.plane.readBlob(readAccess(), range))).toBe("BLOB_DAMAGED");
      expect(stage.node.openCount).toBe(0);
    });

    it("breaks a range off when damage is found in the middle, and never ends it", async () => {
      stage.node.beforeBlock = (offset) => {
        if (offset >= 500_000) throw new TroupeError("BLOB_DAMAGED");
      };
      const { bytes, error } = await collectUntilError(await harness.plane.readBlob(readAccess(), range));
      expect(error).toBeInstanceOf(TroupeError);
      expect(bytes.length).toBeLessThanOrEqual(500_000);
      expect(bytes.equals(blob.subarray(0, bytes.length))).toBe(true);
    });

    it("breaks a chunk off with the node's code when the node wants no more of it, and lets its source go", async () => {
      stage.node.beforeBlock = () => {
        throw new TroupeError("DISK_FULL");
      };
      const source = new EndlessSource(LARGE_BYTES);
      const chunk = { ...chunkOf(Buffer.alloc(0)), bytes: source, lengthBytes: LARGE_BYTES };
      expect(await codeOf(harness.plane.storeChunk(writeAccess(), chunk))).toBe("DISK_FULL");
      await until(() => source.isLetGo);
      expect(source.pulledBytes).toBeLessThan(LARGE_BYTES);
    });

    it("reads no further ahead than what lies between when the reader is slow", async () => {
      putBlob(Buffer.alloc(LARGE_BYTES));
      const stream = (await harness.plane.readBlob(readAccess(), range))[Symbol.asyncIterator]();
      await stream.next();
      await stillFor(() => stage.node.readBytes);
      expect(stage.node.readBytes).toBeLessThan(BETWEEN_BYTES_MAX);
      let received = 0;
      for (let result = await stream.next(); result.done !== true; result = await stream.next()) received += result.value.length;
      expect(received).toBeGreaterThan(LARGE_BYTES - MIB);
      await until(() => stage.node.openCount === 0);
    });

    it("takes no more from a body than what lies between when the node is slow", async () => {
      const gate = Promise.withResolvers<void>();
      stage.node.beforeBlock = () => gate.promise;
      const source = new EndlessSource(LARGE_BYTES);
      const storing = harness.plane.storeChunk(writeAccess(), { ...chunkOf(Buffer.alloc(0)), bytes: source, lengthBytes: LARGE_BYTES });
      await until(() => stage.node.takenBytes > 0);
      await stillFor(() => source.pulledBytes);
      expect(source.pulledBytes).toBeLessThan(BETWEEN_BYTES_MAX);
      gate.resolve();
      await storing;
      expect(stage.node.chunks.get("upload1/0")).toHaveLength(LARGE_BYTES);
    });

    it("ends the node's stream when the reader stops, also one that never began", async () => {
      putBlob(Buffer.alloc(LARGE_BYTES));
      const begun = (await harness.plane.readBlob(readAccess(), range))[Symbol.asyncIterator]();
      await begun.next();
      await begun.return?.();
      expect(await begun.next()).toMatchObject({ done: true });
      const untouched = (await harness.plane.readBlob(readAccess(), range))[Symbol.asyncIterator]();
      await untouched.return?.();
      await until(() => stage.node.openCount === 0);
      expect(stage.node.readBytes).toBeLessThan(LARGE_BYTES);
    });

    it("F18: counts nothing of a chunk whose body fails, and tells that failure", async () => {
      const bytes = (async function* () {
        yield someBytes(100_000);
        throw new TroupeError("CANCELLED", "The client went away.");
      })();
      expect(await codeOf(harness.plane.storeChunk(writeAccess(), { ...chunkOf(Buffer.alloc(0)), bytes, lengthBytes: 500_000 }))).toBe(
        "CANCELLED",
      );
      await until(() => stage.node.failures.length === 1 && stage.node.openCount === 0);
      expect(stage.node.chunks.size).toBe(0);
    });

    it("I9: waits for the end of a body that is checked for as long as it is withheld, and then stores it", async () => {
      const bytes = someBytes(300_000, 8);
      const released = Promise.withResolvers<void>();
      const withheld = (async function* () {
        yield* piecesOf(bytes.subarray(0, 299_999), 50_000);
        await released.promise;
        yield bytes.subarray(299_999);
      })();
      const chunk = { ...chunkOf(bytes, { index: 6 }), bytes: withheld, fromBytes: 0, isAtomic: true };
      const storing = harness.plane.storeChunk(writeAccess(), chunk);
      storing.catch(() => undefined);
      await until(() => stage.node.takenBytes === bytes.length - 1);
      for (let waitedMs = 0; waitedMs <= 4 * GATEWAY_SILENCE_MS_MAX; waitedMs += SIGN_OF_LIFE_MS) {
        await stage.clock.advance(SIGN_OF_LIFE_MS);
        await harness.delivered?.();
      }
      expect(stage.node.chunks.size).toBe(0);
      released.resolve();
      expect(await storing).toMatchObject({ index: 6, lengthBytes: bytes.length, isNew: true });
      expect(stage.node.chunks.get("upload1/6")?.equals(bytes)).toBe(true);
    });

    it("F18: counts nothing of a body that is checked and fails at its end", async () => {
      const bytes = (async function* () {
        yield someBytes(299_999);
        throw new TroupeError("DIGEST_MISMATCH");
      })();
      const chunk = { ...chunkOf(Buffer.alloc(0)), bytes, lengthBytes: undefined, fromBytes: 0, isAtomic: true };
      expect(await codeOf(harness.plane.storeChunk(writeAccess(), chunk))).toBe("DIGEST_MISMATCH");
      await until(() => stage.node.failures.length === 1 && stage.node.openCount === 0);
      expect(stage.node.chunks.size).toBe(0);
    });

    if (isLocal) return;

    it("I23: refuses a token that is changed, foreign, expired, or for something else, and leaves the body untouched", async () => {
      const foreign = new TokenMint(stage.clock, new SeededRandom(9));
      const old = { read: readAccess(), write: writeAccess() };
      const source = new EndlessSource(LARGE_BYTES);
      const chunk: ChunkBody = { ...chunkOf(Buffer.alloc(0)), bytes: source, lengthBytes: LARGE_BYTES };
      const refuse = async (reading: DataAccess, writing: DataAccess): Promise<void> => {
        expect(await codeOf(harness.plane.readBlob(reading, range))).toBe("FORBIDDEN");
        expect(await codeOf(harness.plane.storeChunk(writing, chunk))).toBe("FORBIDDEN");
      };
      await refuse(writeAccess(), readAccess());
      await refuse(
        harness.access(foreign.mint({ kind: "read", ...BLOB, sizeBytes: blob.length })),
        harness.access(foreign.mint({ kind: "write", uploadId: "upload1" })),
      );
      await refuse(
        harness.access(stage.tokens.mint({ kind: "read", blobId: 8, path: BLOB.path, sizeBytes: blob.length })),
        harness.access(stage.tokens.mint({ kind: "write", uploadId: "upload2" })),
      );
      await refuse({ ...old.read, token: `${old.read.token}a` }, { ...old.write, token: old.write.token.slice(1) });
      await stage.clock.advance(Math.max(READ_TOKEN_MS, WRITE_TOKEN_MS));
      await refuse(old.read, old.write);
      expect(source.pulledBytes).toBe(0);
    });

    it("gives up when the client does: while the first block is waited for, and while a body is sent", async () => {
      const gate = Promise.withResolvers<void>();
      stage.node.beforeBlock = () => gate.promise;
      const client = new AbortController();
      const reading = codeOf(harness.plane.readBlob(readAccess(), range, client.signal));
      const source = new EndlessSource(LARGE_BYTES);
      const storing = codeOf(
        harness.plane.storeChunk(writeAccess(), {
          ...chunkOf(Buffer.alloc(0)),
          bytes: source,
          lengthBytes: LARGE_BYTES,
          signal: client.signal,
        }),
      );
      await until(() => stage.node.takenBytes > 0);
      client.abort();
      expect(await reading).toBe("CANCELLED");
      expect(await storing).toBe("CANCELLED");
      gate.resolve();
      await until(() => stage.node.openCount === 0);
      expect(stage.node.chunks.size).toBe(0);
    });

    it("F1: breaks a range off when its node goes away in the middle, never short and never wrong", async () => {
      putBlob(someBytes(LARGE_BYTES, 4));
      const gate = Promise.withResolvers<void>();
      stage.node.beforeBlock = (offset) => (offset > LARGE_BYTES / 2 ? gate.promise : undefined);
      const collected = collectUntilError(await harness.plane.readBlob(readAccess(), range));
      await until(() => stage.node.readBytes >= LARGE_BYTES / 2);
      await harness.killNode();
      const { bytes, error } = await collected;
      expect(error).toMatchObject({ code: "HOST_UNAVAILABLE" });
      expect(bytes.equals(blob.subarray(0, bytes.length))).toBe(true);
      gate.resolve();
    });

    it("F1: tells that a node has gone while a chunk is sent, by its name", async () => {
      const gate = Promise.withResolvers<void>();
      stage.node.beforeBlock = () => gate.promise;
      const source = new EndlessSource(LARGE_BYTES);
      const chunk: ChunkBody = { ...chunkOf(Buffer.alloc(0)), bytes: source, lengthBytes: LARGE_BYTES };
      const storing = failureOf(harness.plane.storeChunk(writeAccess(), chunk));
      await until(() => stage.node.takenBytes > 0);
      await harness.killNode();
      expect(await storing).toMatchObject({ code: "HOST_UNAVAILABLE", retry: "later", detail: expect.stringContaining("node1") });
      await until(() => source.isLetGo);
      gate.resolve();
    });

    it("F1: tells that a node is not there, by its name, and leaves the body untouched", async () => {
      await harness.killNode();
      const source = new EndlessSource(LARGE_BYTES);
      const chunk: ChunkBody = { ...chunkOf(Buffer.alloc(0)), bytes: source, lengthBytes: LARGE_BYTES };
      for (const failure of [
        await failureOf(harness.plane.readBlob(readAccess(), range)),
        await failureOf(harness.plane.storeChunk(writeAccess(), chunk)),
      ]) {
        expect(failure).toMatchObject({ code: "HOST_UNAVAILABLE", retry: "later", detail: expect.stringContaining("node1") });
      }
      expect(source.pulledBytes).toBe(0);
    });
  });
}

export function chunkOf(bytes: Uint8Array, chunk: Partial<ChunkBody> = {}): ChunkBody {
  return {
    uploadId: "upload1",
    index: 0,
    lengthBytes: bytes.length,
    bytes: piecesOf(bytes, 50_000),
    digests: [],
    signal: new AbortController().signal,
    ...chunk,
  };
}

/** Zeros, as many as wanted, counted as they are pulled. */
export class EndlessSource implements AsyncIterable<Uint8Array> {
  pulledBytes = 0;
  isLetGo = false;
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: async () => {
        if (this.pulledBytes >= this.#bytes) return { done: true, value: undefined };
        this.pulledBytes += 65_536;
        return { done: false, value: Buffer.alloc(65_536) };
      },
      return: async () => {
        this.isLetGo = true;
        return { done: true, value: undefined };
      },
    };
  }
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const { bytes, error } = await collectUntilError(stream);
  if (error !== undefined) throw error;
  return bytes;
}

export async function collectUntilError(stream: AsyncIterable<Uint8Array>): Promise<{ readonly bytes: Buffer; readonly error: unknown }> {
  const blocks: Uint8Array[] = [];
  try {
    for await (const block of stream) blocks.push(block);
    return { bytes: Buffer.concat(blocks), error: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(blocks), error };
  }
}

export async function failureOf(promise: Promise<unknown>): Promise<TroupeError> {
  const error = await promise.then(
    (value) => new Error(`no error, but ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof TroupeError) return error;
  throw error;
}

export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await failureOf(promise)).code;
}

const TRIES_MAX = 10_000;

/** Waits for something that input and output bring about. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries += 1) {
    if (tries > TRIES_MAX) throw new Error(`it did not come about: ${isSo.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits until a number has stopped changing for as long as sockets take to fill. */
export async function stillFor(count: () => number, looks = 50): Promise<void> {
  let seen = count();
  for (let still = 0; still < looks; still += 1) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (count() !== seen) still = 0;
    seen = count();
  }
}
