import { readFile, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeEntry, JOURNAL_FORMAT_VERSION, Journal, type JournalEntry, type ReadEntry } from "../../../src/actors/upload/journal.ts";
import { readSessionJournal } from "../../../src/actors/upload/session-journal.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFailed, diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

const PLAN = {
  uploadId: "u1",
  fileId: `${"0".repeat(36)}`,
  app: "default",
  user: "default",
  name: "a",
  contentType: "a/b",
  chunkBytes: 65_536,
  createdMs: 1,
};

const chunk = (index: number): JournalEntry => ({ kind: "chunk", index, lengthBytes: 65_537, leafDigests: Buffer.alloc(32, index) });

async function fixture() {
  const directory = await temporaryDirectory();
  const disk = new FaultyDisk(new NodeDisk());
  const hasher = new InlineHasher(disk);
  const path = join(directory.path, "journal");
  const reopen = async (): Promise<{ journal: Journal; entries: ReadEntry[] }> => {
    const entries: ReadEntry[] = [];
    const journal = await Journal.open(disk, path, hasher, (read) =>
      entries.push({
        ...read,
        entry: read.entry.kind === "chunk" ? { ...read.entry, leafDigests: Buffer.from(read.entry.leafDigests) } : read.entry,
      }),
    );
    return { journal, entries };
  };
  return {
    disk,
    hasher,
    path,
    reopen,
    create: () => Journal.create(disk, path, hasher, { plan: PLAN, owner: "alice" }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("an upload's journal", () => {
  it("gives back what was appended, in order", async () => {
    await using test = await fixture();
    const journal = await test.create();
    const offsets = await Promise.all([chunk(2), chunk(0), { kind: "merge", sizeBytes: 3 } as const].map((entry) => journal.append(entry)));
    expect(Buffer.from(await journal.readLeafDigests(offsets[0] as number))).toEqual(Buffer.alloc(32, 2));
    await journal.close();
    const { journal: again, entries } = await test.reopen();
    expect(entries.map(({ entry }) => entry.kind)).toEqual(["plan", "chunk", "chunk", "merge"]);
    expect(entries[0]?.entry).toMatchObject({ plan: PLAN, owner: "alice" });
    expect(entries.map(({ offset }) => offset).slice(1)).toEqual(offsets);
    await again.close();
  });

  it("F1: after a torn write keeps every entry before the tear and takes new ones after it", async () => {
    await using test = await fixture();
    const journal = await test.create();
    for (let index = 0; index < 4; index += 1) await journal.append(chunk(index));
    await journal.close();
    const whole = await readFile(test.path);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: whole.length }), fc.uint8Array({ maxLength: 40 }), async (keptBytes, garbage) => {
        await writeFile(test.path, Buffer.concat([whole.subarray(0, keptBytes), garbage]));
        const { journal: torn, entries } = await test.reopen();
        const intact = entries.length;
        expect(intact).toBeLessThanOrEqual(5);
        await torn.append(chunk(9));
        await torn.close();
        const { journal: after, entries: all } = await test.reopen();
        expect(all.length).toBe(intact + 1);
        expect(all.at(-1)?.entry).toMatchObject({ kind: "chunk", index: 9 });
        await after.close();
      }),
      { numRuns: 60 },
    );
  });

  it("F7: loses only the entry that has rotted, not what follows it", async () => {
    await using test = await fixture();
    const journal = await test.create();
    const offsets: number[] = [];
    for (let index = 0; index < 4; index += 1) offsets.push(await journal.append(chunk(index)));
    await journal.close();
    const bytes = await readFile(test.path);
    const at = (offsets[1] as number) + 30;
    bytes[at] = (bytes[at] as number) ^ 1;
    await writeFile(test.path, bytes);
    const { journal: again, entries } = await test.reopen();
    expect(entries.map(({ entry }) => (entry.kind === "chunk" ? entry.index : entry.kind))).toEqual(["plan", 0, 2, 3]);
    await again.append(chunk(1));
    await again.close();
    const { journal: last, entries: all } = await test.reopen();
    expect(all).toHaveLength(5);
    await last.close();
  });

  it("ends at a last entry whose bytes have changed", async () => {
    await using test = await fixture();
    const journal = await test.create();
    await journal.append(chunk(0));
    const second = await journal.append(chunk(1));
    await journal.close();
    const bytes = await readFile(test.path);
    bytes[second + 30] = (bytes[second + 30] as number) ^ 1;
    await writeFile(test.path, bytes);
    const { journal: again, entries } = await test.reopen();
    expect(entries.length).toBe(2);
    await again.close();
  });

  it("F3: refuses an entry on a full disk and goes on when there is room again", async () => {
    await using test = await fixture();
    const journal = await test.create();
    await journal.append(chunk(0));
    test.disk.intercept = (call, path) => {
      if (call === "sync") throw diskFull(path);
    };
    await expect(journal.append(chunk(1))).rejects.toMatchObject({ code: "DISK_FULL" });
    test.disk.intercept = () => {};
    await journal.append(chunk(2));
    await journal.close();
    const { journal: again, entries } = await test.reopen();
    expect(entries.map(({ entry }) => (entry.kind === "chunk" ? entry.index : entry.kind))).toEqual(["plan", 0, 2]);
    await again.close();
  });

  it("F5: after a failed sync takes nothing any more", async () => {
    await using test = await fixture();
    const journal = await test.create();
    let syncs = 0;
    test.disk.intercept = (call, path) => {
      if (call !== "sync") return;
      syncs += 1;
      throw diskFailed(path);
    };
    await expect(journal.append(chunk(0))).rejects.toMatchObject({ code: "DISK_FAILED" });
    test.disk.intercept = () => {};
    await expect(journal.append(chunk(1))).rejects.toMatchObject({ code: "DISK_FAILED" });
    expect(syncs).toBe(1);
    await journal.close();
  });

  it("shares one sync among entries that arrive while another runs", async () => {
    await using test = await fixture();
    const journal = await test.create();
    let syncs = 0;
    test.disk.intercept = (call) => {
      if (call === "sync") syncs += 1;
    };
    await Promise.all(Array.from({ length: 50 }, (_, index) => journal.append(chunk(index))));
    expect(syncs).toBeLessThanOrEqual(3);
    await journal.close();
  });

  it("refuses a journal of a newer version", async () => {
    await using test = await fixture();
    const journal = await test.create();
    await journal.append({ kind: "plan", formatVersion: 99, plan: PLAN, owner: "alice" });
    await journal.close();
    await expect(test.reopen()).rejects.toMatchObject({ code: "FORMAT_TOO_NEW" });
  });

  it("of an earlier version says its own before anything is added, which a program of the earlier one refuses", async () => {
    await using test = await fixture();
    const older = { kind: "plan", formatVersion: JOURNAL_FORMAT_VERSION - 1, plan: PLAN, owner: "alice" } as const;
    const whole = (index: number) =>
      ({ kind: "chunk", index, lengthBytes: PLAN.chunkBytes, leafDigests: Buffer.alloc(16, index) }) as const;
    await writeFile(test.path, Buffer.concat([encodeEntry(older, test.hasher), encodeEntry(whole(3), test.hasher)]));
    const untouched = await readFile(test.path);
    await (await test.reopen()).journal.close();
    expect(await readFile(test.path)).toEqual(untouched);
    const { journal } = await test.reopen();
    test.disk.intercept = (call, path) => {
      if (call === "sync") throw diskFull(path);
    };
    await expect(journal.append(whole(4))).rejects.toMatchObject({ code: "DISK_FULL" });
    test.disk.intercept = () => {};
    const offset = await journal.append(whole(5));
    expect(Buffer.from(await journal.readLeafDigests(offset))).toEqual(Buffer.alloc(16, 5));
    await journal.append({ kind: "idle", idleMs: 7 });
    await journal.close();
    const { journal: again, entries } = await test.reopen();
    expect(entries.map(({ entry }) => ("formatVersion" in entry ? entry.formatVersion : entry.kind))).toEqual([
      JOURNAL_FORMAT_VERSION - 1,
      "chunk",
      JOURNAL_FORMAT_VERSION,
      "chunk",
      "idle",
    ]);
    await again.close();
    const recorded = await readSessionJournal(test.disk, test.hasher, dirname(test.path), 1e12);
    expect(recorded).toMatchObject({ plan: PLAN, owner: "alice", idleMs: 7, received: new Set([3, 5]) });
  });

  it("of an earlier version says its own also before its last entry", async () => {
    await using test = await fixture();
    await writeFile(test.path, encodeEntry({ kind: "plan", formatVersion: 1, plan: PLAN, owner: "alice" }, test.hasher));
    await (await test.reopen()).journal.close({ kind: "idle", idleMs: 5 });
    const { journal, entries } = await test.reopen();
    expect(entries.map(({ entry }) => ("formatVersion" in entry ? entry.formatVersion : entry.kind))).toEqual([
      1,
      JOURNAL_FORMAT_VERSION,
      "idle",
    ]);
    await journal.close();
  });

  it("is rebuilt empty from an empty file", async () => {
    await using test = await fixture();
    await (await test.create()).close();
    await truncate(test.path, 0);
    const { journal, entries } = await test.reopen();
    expect(entries).toEqual([]);
    await journal.close();
  });
});

describe("what a journal says of a session", () => {
  it("is read whatever order of chunks, losses and rot it holds", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ index: fc.nat(2), isLost: fc.boolean() }), { maxLength: 12 }), async (steps) => {
        await using test = await fixture();
        const journal = await test.create();
        const expected = new Set<number>();
        for (const { index, isLost } of steps) {
          await journal.append(
            isLost ? { kind: "lost", index } : { kind: "chunk", index, lengthBytes: 65_536, leafDigests: Buffer.alloc(16, index) },
          );
          if (isLost) expected.delete(index);
          else expected.add(index);
        }
        await journal.close();
        const recorded = await readSessionJournal(test.disk, test.hasher, dirname(test.path), 1e12);
        expect(recorded.received).toEqual(expected);
        expect(recorded.ledger.receivedCount).toBe(expected.size);
        expect(recorded.ledger.receivedBytes).toBe(expected.size * 65_536);
      }),
      { numRuns: 40 },
    );
  });
});
