import { describe, expect, it } from "vitest";
import { ChunkLedger } from "../../../src/actors/upload/chunk-ledger.ts";
import { Journal, type JournalEntry } from "../../../src/actors/upload/journal.ts";
import { readSessionJournal, tailAfter } from "../../../src/actors/upload/session-journal.ts";
import { LEAF_BYTES, LEAF_DIGEST_BYTES } from "../../../src/core/limits.ts";
import type { Disk } from "../../../src/core/ports/disk.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { LosingDisk } from "../../support/losing-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";

const CHUNK = 4 * LEAF_BYTES;
const PLAN = {
  uploadId: "u1",
  fileId: `${"0".repeat(36)}`,
  app: "default",
  user: "default",
  name: "a",
  contentType: "a/b",
  chunkBytes: CHUNK,
  createdMs: 1,
};

/** Digests that can be told apart, of so many leaves. */
const digests = (fill: number, leaves: number): Buffer => Buffer.alloc(leaves * LEAF_DIGEST_BYTES, fill);
const tail = (lengthBytes: number, leafDigests: Buffer, index = 0) => ({ kind: "tail" as const, index, lengthBytes, leafDigests });

/** What a journal of these entries says, the ones at `rotten` having rotted. */
async function readBack(entries: readonly JournalEntry[], rotten: readonly number[] = []) {
  const disk = new LosingDisk(new SeededRandom(1)) as unknown as Disk;
  const hasher = new InlineHasher(disk);
  const journal = await Journal.create(disk, "/u/journal", hasher, { plan: PLAN, owner: "local" });
  const offsets: number[] = [];
  for (const entry of entries) offsets.push(await journal.append(entry));
  await journal.close();
  const file = await disk.open("/u/journal", "write");
  for (const at of rotten) await file.write(Buffer.from([255]), (offsets[at] as number) + 4);
  return await readSessionJournal(disk, hasher, "/u", 2 ** 40);
}

describe("a tail in the journal", () => {
  it("grows by entries that hold only what changed", async () => {
    const { ledger, received } = await readBack([
      tail(10, digests(1, 1)),
      tail(LEAF_BYTES + 5, digests(2, 2)),
      tail(2 * LEAF_BYTES, digests(3, 1)),
      tail(2 * LEAF_BYTES + 1, digests(4, 1)),
    ]);
    expect(ledger.offsetBytes).toBe(2 * LEAF_BYTES + 1);
    expect(ledger.tail?.leafDigests).toEqual(Buffer.concat([digests(2, 1), digests(3, 1), digests(4, 1)]));
    expect([...received]).toEqual([0]);
  });

  it("is a chunk when the chunk is recorded, and of the next chunk after that", async () => {
    const whole: JournalEntry = { kind: "chunk", index: 0, lengthBytes: CHUNK, leafDigests: digests(5, 4) };
    const { ledger } = await readBack([tail(10, digests(1, 1)), whole, tail(7, digests(6, 1), 1)]);
    expect(ledger).toMatchObject({ prefixCount: 1, receivedCount: 1, offsetBytes: CHUNK + 7, receivedBytes: CHUNK + 7 });
  });

  it("is shortened, or none any more, when that is recorded", async () => {
    const grown = [tail(10, digests(1, 1)), tail(LEAF_BYTES + 5, digests(2, 2))];
    const shortened = await readBack([...grown, tail(LEAF_BYTES, digests(0, 0))]);
    expect(shortened.ledger.tail).toEqual({ index: 0, lengthBytes: LEAF_BYTES, leafDigests: digests(2, 1) });
    expect((await readBack([...grown, tail(0, digests(0, 0))])).ledger.tail).toBeUndefined();
  });

  it("F7: is as it was before an entry that rotted, unless a later one holds all that this one said", async () => {
    const grown = [tail(10, digests(1, 1)), tail(LEAF_BYTES + 5, digests(2, 2)), tail(2 * LEAF_BYTES + 1, digests(3, 2))];
    const lost = await readBack(grown, [1]);
    expect(lost.ledger.tail).toEqual({ index: 0, lengthBytes: 10, leafDigests: digests(1, 1) });
    const within = await readBack([tail(10, digests(1, 1)), tail(20, digests(2, 1)), tail(30, digests(3, 1))], [1]);
    expect(within.ledger.tail).toEqual({ index: 0, lengthBytes: 30, leafDigests: digests(3, 1) });
  });

  it("never takes digests of another chunk's tail for its own", () => {
    const before = { index: 3, lengthBytes: 2 * LEAF_BYTES, leafDigests: digests(1, 2) };
    expect(tailAfter(before, { index: 4, lengthBytes: LEAF_BYTES + 1, leafDigests: digests(2, 1) })).toBe("unknown");
    expect(tailAfter(before, { index: 4, lengthBytes: 0, leafDigests: digests(0, 0) })).toBe(before);
  });

  it("comes with the size that was said late", async () => {
    const { ledger } = await readBack([tail(10, digests(1, 1)), { kind: "size", sizeBytes: CHUNK + 1 }]);
    expect(ledger).toMatchObject({ sizeBytes: CHUNK + 1, chunkCount: 2, offsetBytes: 10 });
  });
});

describe("the ledger's tail", () => {
  it("counts as received and where a body goes on, and its chunk is missing all the same", () => {
    const ledger = new ChunkLedger({ chunkBytes: 10, sizeBytes: 25 });
    ledger.setTail({ index: 0, lengthBytes: 4, leafDigests: digests(1, 1) });
    expect(ledger).toMatchObject({ offsetBytes: 4, receivedBytes: 4, receivedCount: 0, completeBytes: undefined });
    expect(ledger.missing(9).ranges).toEqual([[0, 2]]);
    ledger.receive(0, 10, 1);
    expect(ledger).toMatchObject({ offsetBytes: 10, receivedBytes: 10, tail: undefined });
  });

  it("after a gap is nothing that can be gone on from, and shows the gap", () => {
    const ledger = new ChunkLedger({ chunkBytes: 10 });
    ledger.receive(0, 10, 1);
    ledger.setTail({ index: 3, lengthBytes: 4, leafDigests: digests(1, 1) });
    expect(ledger).toMatchObject({ offsetBytes: 10, receivedBytes: 14, completeBytes: undefined });
    expect(ledger.missing(9).ranges).toEqual([[1, 2]]);
  });
});
