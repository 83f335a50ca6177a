import { describe, expect, test } from "vitest";
import type { CatalogDatabase } from "../../../src/actors/catalog/tables.ts";
import { OUTCOME_KEPT_MS } from "../../../src/core/limits.ts";
import { blobOf, CatalogRig, contentOf, FaultyDatabase } from "./rig.ts";

const requestDigest = (digit: string) => digit.repeat(64);

describe("an upload in the catalog", () => {
  test("is registered, claimed with a growing epoch, and shown to its owner alone", async () => {
    await using rig = await CatalogRig.open();
    const plan = rig.plan("a.mp4", { sizeBytes: 7, digest: { algorithm: "md5", value: "0123456789abcdef0123456789abcdef" } });
    const { uploadId } = plan;
    expect(await rig.as("ann").registerUpload(plan)).toEqual({ uploadId, epoch: 1, isNew: true });
    expect(await rig.as().claimUpload({ uploadId, host: "n2" })).toMatchObject({
      ...plan,
      owner: "ann",
      host: "n2",
      epoch: 2,
      state: "receiving",
    });
    expect(await rig.as("ann").upload({ uploadId })).toMatchObject({ ...plan, owner: "ann", host: "n2", epoch: 2 });
    for (const call of [
      rig.as("bob").upload({ uploadId }),
      rig.as("bob").claimUpload({ uploadId, host: "n3" }),
      rig.as("bob").endUpload({ uploadId, epoch: 2, state: "cancelled" }),
    ]) {
      await expect(call).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    }
    expect((await rig.as("bob").uploads({})).uploads).toEqual([]);
    expect((await rig.as("ann").uploads({})).uploads).toHaveLength(1);
  });

  test("F11: registered again with the same IDs, because the answer was lost, it is answered as the first time", async () => {
    await using rig = await CatalogRig.open();
    for (const operation of [undefined, { key: "k", requestDigest: requestDigest("a") }]) {
      const plan = rig.plan("a.mp4", operation === undefined ? {} : { operation });
      const answers = [await rig.as("ann").registerUpload(plan), await rig.as("ann").registerUpload(plan)];
      expect(answers[1]).toEqual(answers[0]);
      await expect(rig.as("bob").registerUpload({ ...plan, operation: undefined })).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    }
  });

  test("F11: an idempotency key used again answers the first upload; for another request it is a conflict; another owner's is another key", async () => {
    await using rig = await CatalogRig.open();
    const operation = { key: "k", requestDigest: requestDigest("a") };
    const first = await rig.as("ann").registerUpload(rig.plan("a.mp4", { operation }));
    expect(await rig.as("ann").registerUpload(rig.plan("a.mp4", { operation }))).toEqual({
      uploadId: first.uploadId,
      epoch: 1,
      isNew: false,
    });
    await expect(
      rig.as("ann").registerUpload(rig.plan("a.mp4", { operation: { key: "k", requestDigest: requestDigest("b") } })),
    ).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    expect(await rig.as("bob").registerUpload(rig.plan("a.mp4", { operation }))).toMatchObject({ isNew: true });
    expect((await rig.as("ann").uploads({})).uploads).toHaveLength(1);
  });

  test("an idempotency key is free again once it has expired, swept or not", async () => {
    await using rig = await CatalogRig.open();
    const plan = (digit: string) => rig.plan("a.mp4", { operation: { key: "k", requestDigest: requestDigest(digit) } });
    await rig.as("ann").registerUpload(plan("a"));
    // The clock is set, and no timer has run.
    rig.clock.jumpWall(OUTCOME_KEPT_MS);
    expect(await rig.as("ann").registerUpload(plan("b"))).toMatchObject({ isNew: true });
    await expect(rig.as("ann").registerUpload(plan("a"))).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  test("F22: is found by the key it was created with, by its owner, until the key expires", async () => {
    await using rig = await CatalogRig.open();
    const operation = { key: "k", requestDigest: requestDigest("a") };
    const { uploadId } = await rig.as("ann").registerUpload(rig.plan("a.mp4", { operation }));
    expect(await rig.as("ann").createdUpload({ operation })).toMatchObject({ upload: { uploadId, owner: "ann", host: "n1" } });
    expect(await rig.as("bob").createdUpload({ operation })).toEqual({});
    expect(await rig.as("ann").createdUpload({ operation: { ...operation, key: "another" } })).toEqual({});
    const otherwise = { operation: { ...operation, requestDigest: requestDigest("b") } };
    await expect(rig.as("ann").createdUpload(otherwise)).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    rig.clock.jumpWall(OUTCOME_KEPT_MS);
    for (const asked of [{ operation }, otherwise]) expect(await rig.as("ann").createdUpload(asked)).toEqual({});
  });

  test("F22: the first ending stays, and the same again is fine", async () => {
    await using rig = await CatalogRig.open();
    const plan = rig.plan("a.mp4");
    const { uploadId, epoch } = await rig.as("ann").registerUpload(plan);
    const lastError = { code: "DIGEST_MISMATCH", detail: "it was another", retryable: false };
    for (let time = 0; time < 2; time += 1)
      expect(await rig.as("ann").endUpload({ uploadId, epoch, state: "failed", lastError })).toEqual({});
    expect(await rig.as("ann").endUpload({ uploadId, epoch, state: "cancelled" })).toEqual({});
    expect(await rig.as().claimUpload({ uploadId, host: "n9" })).toMatchObject({ state: "failed", lastError, host: "n1", epoch: 1 });
    await expect(rig.as("ann").commitFile({ uploadId, epoch, ...contentOf("x"), blob: blobOf(1) })).rejects.toMatchObject({
      code: "UPLOAD_FAILED",
    });
  });

  test("F2: a host that lost its upload can neither commit nor end it", async () => {
    await using rig = await CatalogRig.open();
    const { uploadId, epoch } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
    await rig.as().claimUpload({ uploadId, host: "n2" });
    const before = await rig.everything();
    await expect(rig.as().commitFile({ uploadId, epoch, ...contentOf("x"), blob: blobOf(1) })).rejects.toMatchObject({
      code: "EPOCH_STALE",
    });
    await expect(rig.as().endUpload({ uploadId, epoch, state: "cancelled" })).rejects.toMatchObject({ code: "EPOCH_STALE" });
    expect(await rig.everything()).toEqual(before);
  });

  test("F11: a claim that is heard twice makes no host an earlier one", async () => {
    await using rig = await CatalogRig.open();
    const { uploadId, epoch } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
    const claim = (after: number, host = "n1") => rig.as().claimUpload({ uploadId, host, after });
    for (let time = 0; time < 2; time += 1) expect(await claim(epoch)).toMatchObject({ host: "n1", epoch: 2 });
    await expect(claim(epoch, "n2")).rejects.toMatchObject({ code: "EPOCH_STALE" });
    expect(await claim(2)).toMatchObject({ epoch: 3 });
    await expect(claim(epoch)).rejects.toMatchObject({ code: "EPOCH_STALE" });
    expect(await rig.as().upload({ uploadId })).toMatchObject({ host: "n1", epoch: 3 });
  });

  test("F20: of a commit by the old host and one by the new, only the new one's is a file, in either order", async () => {
    for (const oldFirst of [true, false]) {
      await using rig = await CatalogRig.open();
      const { uploadId } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
      await rig.as().claimUpload({ uploadId, host: "n2" });
      const commits = [1, 2].map((epoch) => () => rig.as().commitFile({ uploadId, epoch, ...contentOf("x"), blob: blobOf(epoch) }));
      const outcomes = await Promise.allSettled((oldFirst ? commits : commits.reverse()).map((commit) => commit()));
      const [old, current] = oldFirst ? outcomes : outcomes.reverse();
      expect(old).toMatchObject({ status: "rejected", reason: { code: "EPOCH_STALE" } });
      expect(current).toMatchObject({ status: "fulfilled", value: { isDuplicate: false, file: { blob: blobOf(2) } } });
    }
  });

  test("an outcome is shown for seven days, and then forgotten; an open upload stays", async () => {
    await using rig = await CatalogRig.open();
    const ended = await rig.as("ann").registerUpload(rig.plan("a.mp4", { operation: { key: "k", requestDigest: requestDigest("a") } }));
    const open = await rig.as("ann").registerUpload(rig.plan("b.mp4"));
    await rig.as("ann").endUpload({ uploadId: ended.uploadId, epoch: 1, state: "cancelled" });
    rig.clock.jumpWall(OUTCOME_KEPT_MS - 3_600_000);
    await rig.clock.advance(120_000);
    expect((await rig.as("ann").uploads({})).uploads).toHaveLength(2);
    rig.clock.jumpWall(3_600_000);
    await rig.clock.advance(120_000);
    await expect(rig.as("ann").upload({ uploadId: ended.uploadId })).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    expect(await rig.as("ann").upload({ uploadId: open.uploadId })).toMatchObject({ state: "receiving" });
    expect((await rig.everything())["t_operation"]).toEqual([]);
  });
});

describe("a commit", () => {
  test("makes the file, its blob, digests and replicas, and ends the upload", async () => {
    await using rig = await CatalogRig.open();
    const plan = rig.plan("films/a.mp4", { user: "tnv001" });
    const { uploadId } = await rig.as("ann").registerUpload(plan);
    const { sizeBytes, digests } = contentOf("x");
    const { file, isDuplicate } = await rig.as("ann").commitFile({ uploadId, epoch: 1, sizeBytes, digests, blob: blobOf(5) });
    expect(isDuplicate).toBe(false);
    expect(file).toMatchObject({
      fileId: plan.fileId,
      owner: "ann",
      user: "tnv001",
      name: "films/a.mp4",
      contentType: "video/mp4",
      sizeBytes,
      digests,
      blob: blobOf(5),
    });
    const rows = await rig.everything();
    expect([rows["t_file_01"], rows["t_file_02"], rows["t_file_03"]].map((found) => found?.length)).toEqual([0, 1, 0]);
    expect(rows["t_blob"]).toMatchObject([{ blob_id: 5n, reference_count: 1n, state: "live", live: 1n, generation: 1n }]);
    expect([rows["t_digest"]?.length, rows["t_replica"]?.length]).toEqual([2, 2]);
    expect(await rig.as("ann").upload({ uploadId })).toMatchObject({ state: "merged", digests });
    expect(await rig.as("ann").file({ fileId: plan.fileId })).toEqual(file);
    await expect(rig.as("ann").endUpload({ uploadId, epoch: 1, state: "cancelled" })).rejects.toMatchObject({ code: "UPLOAD_MERGED" });
  });

  test("tells the size that its upload was created without, in its record and in lists", async () => {
    await using rig = await CatalogRig.open();
    const { uploadId, epoch } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
    expect(await rig.as("ann").upload({ uploadId })).not.toHaveProperty("sizeBytes");
    const { sizeBytes, digests } = contentOf("film");
    await rig.as("ann").commitFile({ uploadId, epoch, sizeBytes, digests, blob: blobOf(7) });
    expect(await rig.as("ann").upload({ uploadId })).toMatchObject({ state: "merged", sizeBytes });
    expect((await rig.as("ann").uploads({})).uploads).toMatchObject([{ uploadId, sizeBytes }]);
    // A row that was written without it.
    await rig.database.transact(({ query }) => query.updateTable("t_upload").set({ size_bytes: null }).execute());
    expect(await rig.as("ann").upload({ uploadId })).toMatchObject({ state: "merged", sizeBytes });
  });

  test("F22: repeated, it gives the first answer, also when the file is a duplicate, was renamed or is gone", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "first.mp4", "x", 1);
    const { uploadId } = await rig.as("bob").registerUpload(rig.plan("second.mp4"));
    const commit = () => rig.as("bob").commitFile({ uploadId, epoch: 1, ...contentOf("x"), blob: blobOf(2) });
    const first = await commit();
    expect(first).toMatchObject({ isDuplicate: true, file: { blob: blobOf(1) } });
    expect(await commit()).toEqual(first);
    await rig.as("bob").renameFile({ fileId: first.file.fileId, name: "other.mp4" });
    expect(await commit()).toEqual(first);
    await rig.as("bob").deleteFile({ fileId: first.file.fileId });
    expect(await commit()).toEqual(first);
    expect((await rig.everything())["t_blob"]).toMatchObject([{ blob_id: 1n, reference_count: 1n }]);
  });

  test("F24: two at once of the same content make one blob with two references", async () => {
    await using rig = await CatalogRig.open();
    await rig.startCatalog();
    const results = await Promise.all(["ann", "bob", "cid"].map((owner, index) => rig.upload(owner, "a.mp4", "same", 10 + index)));
    expect(results.map(({ isDuplicate }) => isDuplicate).sort()).toEqual([false, true, true]);
    expect(new Set(results.map(({ file }) => file.blob.blobId)).size).toBe(1);
    const rows = await rig.everything();
    expect(rows["t_blob"]).toMatchObject([{ reference_count: 3n }]);
    expect(rows["t_replica"]).toHaveLength(2);
  });

  test("the same digest with another size is other content", async () => {
    await using rig = await CatalogRig.open();
    const { digests } = contentOf("same");
    for (const sizeBytes of [1, 2]) {
      const { uploadId } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
      expect(await rig.as("ann").commitFile({ uploadId, epoch: 1, sizeBytes, digests, blob: blobOf(sizeBytes) })).toMatchObject({
        isDuplicate: false,
      });
    }
  });

  test("F25: a blob ID that was retired never comes back, whatever its content", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    await expect(rig.upload("ann", "b.mp4", "x", 1)).rejects.toMatchObject({ code: "BLOB_ID_TAKEN" });
    await expect(rig.upload("ann", "c.mp4", "y", 1)).rejects.toMatchObject({ code: "BLOB_ID_TAKEN" });
    expect(await rig.upload("ann", "d.mp4", "x", 2)).toMatchObject({ isDuplicate: false, file: { blob: blobOf(2) } });
  });

  test("I17: a path that is not the blob's, and a blob nobody holds, are refused", async () => {
    await using rig = await CatalogRig.open();
    const { uploadId } = await rig.as("ann").registerUpload(rig.plan("a.mp4"));
    for (const blob of [{ ...blobOf(1), blobId: 2 }, { ...blobOf(1), path: "../../etc/passwd" }, blobOf(1, [])]) {
      await expect(rig.as("ann").commitFile({ uploadId, epoch: 1, ...contentOf("x"), blob })).rejects.toMatchObject({
        code: "BAD_REQUEST",
      });
    }
  });

  test("F1: whichever query the database fails at, nothing is left, and the same again succeeds", async () => {
    let faulty: FaultyDatabase | undefined;
    const around = (database: CatalogDatabase): CatalogDatabase => {
      faulty = new FaultyDatabase(database);
      return faulty;
    };
    await using rig = await CatalogRig.open({ around });
    if (faulty === undefined) throw new Error("the catalog was given its database");
    const fault: FaultyDatabase = faulty;
    const operation = { key: "k", requestDigest: requestDigest("a") };
    const plan = rig.plan("a.mp4", { operation });
    const { uploadId } = plan;
    let commits: Awaited<ReturnType<typeof commit>> | undefined;
    const commit = () => rig.as("ann").commitFile({ uploadId, epoch: 1, ...contentOf("x"), blob: blobOf(1) });
    const steps = [
      () => rig.as("ann").registerUpload(plan),
      async () => {
        commits = await commit();
      },
      () => rig.as("ann").renameFile({ fileId: plan.fileId, name: "b.mp4" }),
      () => rig.as("ann").deleteFile({ fileId: plan.fileId }),
    ];
    const failures: number[] = [];
    for (const step of steps) {
      // The outbox is swept beside this.
      await rig.clock.advance(20_000);
      const before = await rig.everything();
      let failed = 0;
      for (let failAt = 1; ; failAt += 1) {
        fault.failAt = failAt;
        const outcome = await step().then(
          () => "done",
          (error: { code: string }) => error.code,
        );
        fault.failAt = Number.POSITIVE_INFINITY;
        if (outcome === "done") break;
        expect(outcome).toBe("DATABASE_UNAVAILABLE");
        expect(await rig.everything()).toEqual(before);
        failed += 1;
      }
      failures.push(failed);
    }
    expect(commits).toMatchObject({ isDuplicate: false, file: { fileId: plan.fileId } });
    // Each step was broken at each of its queries.
    expect(failures.every((count) => count >= 2)).toBe(true);
    expect(failures[1]).toBeGreaterThan(12);
  });
});
