import { describe, expect, test } from "vitest";
import type { CatalogDatabase } from "../../../src/actors/catalog/tables.ts";
import type { DigestClaim } from "../../../src/core/digest.ts";
import { OUTBOX_BACKOFF_MIN_MS } from "../../../src/core/limits.ts";
import { randomIdentity } from "../../../src/core/ports/random.ts";
import { settle } from "../../support/virtual-clock.ts";
import { blobOf, CatalogRig, contentOf, FaultyDatabase } from "./rig.ts";

const blake3Of = (content: string): DigestClaim => ({ algorithm: "blake3", value: contentOf(content).digests.blake3 });
const OPERATION = { key: "k1", requestDigest: "ab".repeat(32) };

/** An upload by digest alone, of content that is in `blobId`. */
const instant = (rig: CatalogRig, name: string, content: string, blobId: number, more: object = {}) => {
  const { sizeBytes } = contentOf(content);
  return { ...rig.plan(name, { digest: blake3Of(content), sizeBytes }), blobId, ...more };
};

/** Every row but those of the outbox, which come and go by themselves. */
async function kept(rig: CatalogRig): Promise<Record<string, unknown[]>> {
  const { t_outbox: _, ...rest } = await rig.everything();
  return rest;
}

/** Statements of each read, in order. */
class CountingDatabase implements CatalogDatabase {
  readonly #real: CatalogDatabase;
  readonly counts: number[] = [];
  /** Rows that were found by each statement of the last read. */
  rows: number[] = [];
  transact: CatalogDatabase["transact"];

  constructor(real: CatalogDatabase) {
    this.#real = real;
    this.transact = (work) => real.transact(work);
  }

  read: CatalogDatabase["read"] = (work) =>
    this.#real.read(async (query) => {
      this.rows = [];
      const counted = query.withPlugin({
        transformQuery: ({ node }) => node,
        transformResult: async ({ result }) => {
          this.rows.push(result.rows.length);
          return result;
        },
      });
      try {
        return await work(counted);
      } finally {
        this.counts.push(this.rows.length);
      }
    });

  close(): Promise<void> {
    return this.#real.close();
  }
}

describe("looking for content by a digest", () => {
  test("finds one's own by any algorithm that is known of it, and where it is", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "film", 7);
    const { sizeBytes, digests } = contentOf("film");
    const content = { sizeBytes, digests, blob: blobOf(7) };
    for (const [algorithm, value] of Object.entries(digests)) {
      const digest = { algorithm, value } as DigestClaim;
      expect(await rig.as("ann").ownContent({ digest })).toEqual({ content });
      expect(await rig.as("ann").ownContent({ digest, sizeBytes })).toEqual({ content });
      expect(await rig.as("ann").ownContent({ digest, sizeBytes: sizeBytes + 1 })).toEqual({});
      expect(await rig.as("bob").ownContent({ digest })).toEqual({});
    }
    expect(await rig.as("ann").ownContent({ digest: { algorithm: "sha1", value: "ab".repeat(20) } })).toEqual({});
    expect(await rig.as().provableContent({ digest: blake3Of("film"), sizeBytes })).toEqual({ content });
    expect(await rig.as().provableContent({ digest: blake3Of("film"), sizeBytes: 1 })).toEqual({});
  });

  test("finds it under any user of the owner's, and no more once the last file of it is deleted", async () => {
    await using rig = await CatalogRig.open();
    const files = [];
    for (const user of ["u1", "u2", "u3", "u4"]) files.push(await rig.upload("ann", "a.mp4", "film", 7, { user }));
    for (const { file } of files) {
      expect(await rig.as("ann").ownContent({ digest: blake3Of("film") })).toMatchObject({ content: { blob: { blobId: 7 } } });
      await rig.as("ann").deleteFile({ fileId: file.fileId });
    }
    expect(await rig.as("ann").ownContent({ digest: blake3Of("film") })).toEqual({});
    expect(await rig.as().provableContent({ digest: blake3Of("film"), sizeBytes: contentOf("film").sizeBytes })).toEqual({});
  });

  test("I22: takes the same statements, finding as little, for content that is absent and that is somebody else's", async () => {
    let counting!: CountingDatabase;
    await using rig = await CatalogRig.open({
      around: (real) => {
        counting = new CountingDatabase(real);
        return counting;
      },
    });
    await rig.upload("bob", "b.mp4", "theirs", 8);
    const { digests } = contentOf("theirs");
    for (const [algorithm, value] of Object.entries(digests)) {
      const absent = { algorithm, value: `${"0".repeat(value.length - 2)}99` } as DigestClaim;
      const foreign = { algorithm, value } as DigestClaim;
      counting.counts.length = 0;
      const answers = [];
      for (let turn = 0; turn < 20; turn += 1) answers.push(await rig.as("ann").ownContent({ digest: turn % 2 === 0 ? absent : foreign }));
      expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set(["{}"]));
      expect(new Set(counting.counts).size).toBe(1);
      // Whether somebody has it is known after the first statement only, and every later one finds nothing.
      expect(counting.rows.slice(1).every((count) => count === 0)).toBe(true);
    }
  });

  test("a weak digest of two contents of one's own stands for neither; one of somebody else's does not disturb", async () => {
    await using rig = await CatalogRig.open();
    const md5 = "cd".repeat(16);
    const commit = async (owner: string, content: string, blobId: number): Promise<void> => {
      const { uploadId, epoch } = await rig.as(owner).registerUpload(rig.plan("a.mp4"));
      const { sizeBytes, digests } = contentOf(content);
      await rig.as(owner).commitFile({ uploadId, epoch, sizeBytes, digests: { ...digests, md5 }, blob: blobOf(blobId) });
    };
    await commit("ann", "one", 1);
    await commit("bob", "other", 2);
    const digest = { algorithm: "md5", value: md5 } as const;
    expect(await rig.as("ann").ownContent({ digest })).toMatchObject({ content: { blob: { blobId: 1 } } });
    await commit("ann", "third", 3);
    expect(await rig.as("ann").ownContent({ digest })).toEqual({});
  });
});

describe("an instant upload", () => {
  test("F24: is a second file of the blob, and an upload that is merged from birth", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "film", 7);
    const wish = instant(rig, "again.mp4", "film", 7);
    const { file } = await rig.as("ann").instantUpload(wish);
    expect(file).toMatchObject({ name: "again.mp4", owner: "ann", fileId: wish.fileId, blob: blobOf(7) });
    expect(await rig.as("ann").file({ fileId: wish.fileId })).toEqual(file);
    expect(await rig.as("ann").upload({ uploadId: wish.uploadId })).toMatchObject({
      state: "merged",
      fileId: wish.fileId,
      digests: file?.digests,
    });
    const { t_blob } = await rig.everything();
    expect(t_blob).toMatchObject([{ blob_id: 7n, reference_count: 2n }]);
    await settle();
    expect(rig.events.map(({ subject }) => subject)).toContain(`troupe.v1.evt.file.${wish.fileId}.created`);
  });

  test("F11: asked for again is the same file, by its ID and by its key; also after the file was deleted", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "film", 7);
    const wish = instant(rig, "again.mp4", "film", 7, { operation: OPERATION });
    const { file } = await rig.as("ann").instantUpload(wish);
    const other = { ...wish, uploadId: randomIdentity(rig.random), fileId: rig.plan("x").fileId };
    const before = await kept(rig);
    expect(await rig.as("ann").instantUpload(wish)).toEqual({ file });
    expect(await rig.as("ann").instantUpload(other)).toEqual({ file });
    expect(await kept(rig)).toEqual(before);
    await rig.as("ann").deleteFile({ fileId: file?.fileId as string });
    expect(await rig.as("ann").instantUpload(other)).toEqual({ file });
    const conflicting = { ...other, operation: { ...OPERATION, requestDigest: "cd".repeat(32) } };
    await expect(rig.as("ann").instantUpload(conflicting)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  test("is none when its key stands for an upload that has bytes to receive, or had", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "film", 7);
    const { uploadId, epoch } = await rig.as("ann").registerUpload(rig.plan("b.mp4", { operation: OPERATION }));
    const wish = instant(rig, "b.mp4", "film", 7, { operation: OPERATION });
    expect(await rig.as("ann").instantUpload(wish)).toEqual({});
    await rig.as("ann").commitFile({ uploadId, epoch, ...contentOf("film"), blob: blobOf(8) });
    expect(await rig.as("ann").instantUpload(wish)).toEqual({});
    expect((await rig.as("ann").files({})).files).toHaveLength(2);
  });

  test("I22: of content that is not the owner's, of another digest or size, or gone, is refused and leaves nothing", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("bob", "b.mp4", "theirs", 8);
    const { file } = await rig.upload("ann", "a.mp4", "film", 7);
    await rig.upload("ann", "c.mp4", "other", 9);
    const wishes = [
      instant(rig, "x", "theirs", 8),
      instant(rig, "x", "theirs", 7),
      instant(rig, "x", "film", 9),
      instant(rig, "x", "film", 7, { sizeBytes: 1 }),
      instant(rig, "x", "film", 7, { digest: undefined }),
      instant(rig, "x", "film", 70),
    ];
    const before = await kept(rig);
    for (const wish of wishes) {
      const refused = rig.as("ann").instantUpload({ ...wish, operation: OPERATION });
      await expect(refused).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    }
    expect(await kept(rig)).toEqual(before);
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await expect(rig.as("ann").instantUpload(instant(rig, "x", "film", 7))).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
  });

  test("F1: that breaks off at any statement leaves nothing, and is done when asked again", async () => {
    let faulty!: FaultyDatabase;
    await using rig = await CatalogRig.open({
      around: (real) => {
        faulty = new FaultyDatabase(real);
        return faulty;
      },
    });
    await rig.upload("ann", "a.mp4", "film", 7);
    const wish = instant(rig, "b.mp4", "film", 7, { operation: OPERATION });
    const before = await kept(rig);
    let failAt = 1;
    for (; failAt < 100; failAt += 1) {
      faulty.failAt = failAt;
      const isDone = await rig
        .as("ann")
        .instantUpload(wish)
        .then(
          () => true,
          () => false,
        );
      if (isDone) break;
      expect(await kept(rig)).toEqual(before);
    }
    expect(failAt).toBeGreaterThan(10);
    expect((await rig.everything())["t_blob"]).toMatchObject([{ reference_count: 2n }]);
  });
});

describe("a commit of content that was proven", () => {
  const begun = async (rig: CatalogRig, content: string) =>
    rig.as("bob").registerUpload(rig.plan("mine.mp4", { digest: blake3Of(content), sizeBytes: contentOf(content).sizeBytes }));

  test("is a file of the owner's on the blob, once, and answers what it answered first", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a.mp4", "film", 7);
    const { uploadId, epoch } = await begun(rig, "film");
    const result = await rig.as().commitKnown({ uploadId, epoch, blobId: 7 });
    expect(result).toMatchObject({ isDuplicate: true, file: { owner: "bob", name: "mine.mp4", blob: blobOf(7) } });
    expect(await rig.as().commitKnown({ uploadId, epoch, blobId: 7 })).toEqual(result);
    expect((await rig.everything())["t_blob"]).toMatchObject([{ reference_count: 2n }]);
    expect(await rig.as("bob").upload({ uploadId })).toMatchObject({ state: "merged" });
  });

  test("F2: is refused to a host that has lost the upload, after an end, for content that has gone, and for another than was claimed", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "film", 7);
    await rig.upload("ann", "b.mp4", "other", 8);
    await rig.upload("ann", "c.mp4", "mask", 9);
    const upload = await begun(rig, "film");
    const before = await kept(rig);
    const commit = (more: object) => rig.as().commitKnown({ ...upload, blobId: 7, ...more });
    await expect(commit({ epoch: 2 })).rejects.toMatchObject({ code: "EPOCH_STALE" });
    // `blob` 9 has the size that was claimed, and another digest.
    expect([contentOf("mask").sizeBytes === contentOf("film").sizeBytes, await kept(rig)]).toEqual([true, before]);
    for (const blobId of [8, 9]) await expect(commit({ blobId })).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    expect(await kept(rig)).toEqual(before);
    await expect(commit({ uploadId: "nobody" })).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await expect(commit({})).rejects.toMatchObject({ code: "BLOB_NOT_FOUND" });
    await rig.as().endUpload({ ...upload, state: "cancelled" });
    await expect(commit({})).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
    await expect(rig.as("bob").commitKnown({ ...upload, blobId: 8 })).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

describe("another file of a blob", () => {
  test("F12: is told to every node that has it, until each has written it down; a commit of known bytes likewise", async () => {
    await using rig = await CatalogRig.open({ nodes: ["n1"] });
    await rig.upload("ann", "a.mp4", "film", 7);
    const { file } = await rig.as("ann").instantUpload(instant(rig, "again.mp4", "film", 7));
    const { file: third } = await rig.upload("bob", "b.mp4", "film", 8);
    await settle();
    const both = [file?.fileId, third.fileId].sort();
    expect(rig.recorded.map(({ nodeId, blobId, path }) => ({ nodeId, blobId, path }))).toEqual(
      both.map(() => ({ nodeId: "n1", blobId: 7, path: blobOf(7).path })),
    );
    expect(rig.recorded.map(({ file: { fileId } }) => fileId).sort()).toEqual(both);
    // Nobody has answered for the other node yet.
    rig.recorded.length = 0;
    rig.answerRecord("n2");
    await rig.clock.advance(2 * OUTBOX_BACKOFF_MIN_MS + 1_000);
    await settle();
    expect(rig.recorded.map(({ nodeId, file: { fileId } }) => [nodeId, fileId]).sort()).toEqual(both.map((fileId) => ["n2", fileId]));
    expect((await rig.everything())["t_outbox"]).toEqual([]);
  });
});

test("what only tus knows of an upload is kept with it", async () => {
  await using rig = await CatalogRig.open();
  const tus = { metadata: "filename Zm9v", parts: ["p1", "p2"] };
  const [plain, other] = [rig.plan("a"), rig.plan("b", { tus })];
  await rig.as("ann").registerUpload(plain);
  await rig.as("ann").registerUpload(other);
  expect((await rig.as("ann").upload({ uploadId: plain.uploadId })).tus).toBeUndefined();
  expect((await rig.as("ann").upload({ uploadId: other.uploadId })).tus).toEqual(tus);
  expect((await rig.as().claimUpload({ uploadId: other.uploadId, host: "n2" })).tus).toEqual(tus);
});
