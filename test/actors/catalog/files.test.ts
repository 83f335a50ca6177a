import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fileKey } from "../../../src/actors/catalog/lookup.ts";
import { decodeCursor, encodeCursor, pageOf } from "../../../src/actors/catalog/paging.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { CACHE_LIFETIME_MS, CACHE_TOMBSTONE_MS, PAGE_ITEMS_MAX, REPLY_BYTES_MAX } from "../../../src/core/limits.ts";
import type { Cache, CacheLease } from "../../../src/core/ports/cache.ts";
import { ANYONE } from "../../../src/core/principal.ts";
import { keep } from "../../contract/cache.ts";
import { blobOf, CatalogRig, contentOf } from "./rig.ts";

describe("a file", () => {
  test("of somebody else is not there: not to read, rename, delete or list", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    const { fileId } = file;
    for (let time = 0; time < 2; time += 1) {
      for (const call of [
        rig.as("bob").file({ fileId }),
        rig.as("bob").renameFile({ fileId, name: "mine" }),
        rig.as("bob").deleteFile({ fileId }),
      ]) {
        await expect(call).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
      }
      // Once from the database, once from the cache.
      expect(await rig.as("ann").file({ fileId })).toEqual(file);
    }
    expect((await rig.as("bob").files({})).files).toEqual([]);
    expect((await rig.as().files({})).files).toHaveLength(1);
    expect(await rig.as().file({ fileId })).toEqual(file);
  });

  test("is read by whoever reads without a name, who may list, rename and delete nothing and sees no upload", async () => {
    await using rig = await CatalogRig.open();
    const plan = rig.plan("b.mp4");
    await rig.as("ann").registerUpload(plan);
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    const { fileId } = file;
    const anyone = rig.as(ANYONE.owner);
    for (let time = 0; time < 2; time += 1) expect(await anyone.file({ fileId })).toEqual(file);
    await expect(anyone.renameFile({ fileId, name: "mine" })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(anyone.deleteFile({ fileId })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(anyone.upload({ uploadId: plan.uploadId })).rejects.toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    expect([(await anyone.files({})).files, (await anyone.uploads({})).uploads]).toEqual([[], []]);
  });

  test("that is renamed is found under its new name at once and in every listing", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").file({ fileId: file.fileId });
    await rig.clock.advance(5_000);
    const { blob: _, ...record } = file;
    const renamed = { ...record, name: "B/b.mp4", modifiedMs: record.modifiedMs + 5_000 };
    expect(await rig.as("ann").renameFile({ fileId: file.fileId, name: "B/b.mp4" })).toEqual(renamed);
    expect(await rig.as("ann").file({ fileId: file.fileId })).toEqual({ ...renamed, blob: blobOf(1) });
    expect((await rig.as("ann").files({ prefix: "B/" })).files).toEqual([renamed]);
    await rig.clock.advance(1_000);
    expect(rig.events.map(({ subject }) => subject.split(".").at(-1))).toEqual(["created", "renamed"]);
  });

  test("is not renamed to a name that another file has, of the same owner and user, which would hide it", async () => {
    await using rig = await CatalogRig.open();
    const ann = rig.as("ann");
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    const { file: other } = await rig.upload("ann", "b.mp4", "y", 2);
    await rig.upload("bob", "c.mp4", "z", 3);
    const { fileId } = file;
    await rig.clock.advance(5_000);
    await expect(ann.renameFile({ fileId, name: "b.mp4" })).rejects.toMatchObject({ code: "NAME_TAKEN" });
    expect(await ann.file({ fileId })).toEqual(file);
    // Its own, somebody else's, and one that has become free.
    expect(await ann.renameFile({ fileId, name: "a.mp4" })).toMatchObject({ name: "a.mp4" });
    expect(await ann.renameFile({ fileId, name: "c.mp4" })).toMatchObject({ name: "c.mp4" });
    await ann.deleteFile({ fileId: other.fileId });
    expect(await ann.renameFile({ fileId, name: "b.mp4" })).toMatchObject({ name: "b.mp4" });
    await rig.clock.advance(1_000);
    expect(rig.events.filter(({ subject }) => subject.endsWith(".renamed"))).toHaveLength(3);
  });

  test("of which there are several of one name, each may be renamed to that name again", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.upload("ann", "a.mp4", "y", 2);
    expect(await rig.as("ann").renameFile({ fileId: file.fileId, name: "a.mp4" })).toMatchObject({ name: "a.mp4" });
  });

  test("F17: an old name that a slow lookup put into the cache is gone from it in time, though no tombstone stopped it", async () => {
    let lease: CacheLease | undefined;
    const deaf = (cache: Cache): Cache => ({
      get: async (key) => {
        const cached = await cache.get(key);
        if (cached.kind === "absent") lease = cached.lease;
        return cached;
      },
      set: async () => undefined,
      tombstone: async () => undefined,
      close: () => cache.close(),
    });
    await using rig = await CatalogRig.open({ aroundCache: deaf });
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").file({ fileId: file.fileId });
    await rig.as("ann").renameFile({ fileId: file.fileId, name: "b.mp4" });
    await rig.clock.advance(CACHE_LIFETIME_MS / 2);
    await rig.cache.set(fileKey(file.fileId), bytesOf(JSON.stringify(file)), lease as CacheLease, CACHE_LIFETIME_MS);
    expect(await rig.as("ann").file({ fileId: file.fileId })).toMatchObject({ name: "a.mp4" });
    await rig.clock.advance(CACHE_LIFETIME_MS / 2);
    expect(await rig.as("ann").file({ fileId: file.fileId })).toMatchObject({ name: "b.mp4" });
  });

  test("F17: a cache that was flushed or filled with nonsense costs nothing but time", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    const { file: other } = await rig.upload("ann", "b.mp4", "y", 2);
    const record = bytesOf(JSON.stringify(other));
    for (const nonsense of [...["", "{", "null", "{}", '{"fileId":1}', "\ud800"].map(bytesOf), Uint8Array.of(0xff, 0xfe), record]) {
      await keep(rig.cache, fileKey(file.fileId), nonsense, 1_000);
      expect(await rig.as("ann").file({ fileId: file.fileId })).toEqual(file);
      await rig.clock.advance(1_000);
    }
    expect(await rig.as("ann").file({ fileId: file.fileId })).toEqual(file);
  });

  test("comes from the cache until its record there is too old, and from the database then", async () => {
    const found: string[] = [];
    const watched = (cache: Cache): Cache => ({
      get: async (key) => {
        const cached = await cache.get(key);
        found.push(cached.kind);
        return cached;
      },
      set: (key, value, lease, lifetimeMs) => cache.set(key, value, lease, lifetimeMs),
      tombstone: (key, lifetimeMs) => cache.tombstone(key, lifetimeMs),
      close: () => cache.close(),
    });
    await using rig = await CatalogRig.open({ aroundCache: watched });
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    for (let round = 0; round < 2; round += 1) {
      for (let time = 0; time < 3; time += 1) expect(await rig.as("ann").file({ fileId: file.fileId })).toEqual(file);
      await rig.clock.advance(CACHE_LIFETIME_MS);
    }
    expect(found).toEqual(["absent", "value", "value", "absent", "value", "value"]);
  });
});

describe("a deleted file", () => {
  test("F25: is gone at once, its blob retired and every node that holds it told", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await rig.as("ann").file({ fileId: file.fileId });
    expect(await rig.as("ann").deleteFile({ fileId: file.fileId })).toEqual({});
    for (const call of [
      rig.as("ann").file({ fileId: file.fileId }),
      rig.as("ann").deleteFile({ fileId: file.fileId }),
      rig.as("ann").renameFile({ fileId: file.fileId, name: "b" }),
    ]) {
      await expect(call).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    }
    await rig.clock.advance(100);
    expect(rig.retired).toEqual(["n1", "n2"].map((nodeId) => ({ nodeId, blobId: 1, path: blobOf(1).path })));
    expect(rig.events.at(-1)).toMatchObject({
      subject: `troupe.v1.evt.file.${file.fileId}.deleted`,
      body: { owner: "ann", name: "a.mp4" },
    });
    const rows = await rig.everything();
    expect(rows["t_blob"]).toMatchObject([{ state: "retired", live: null, reference_count: 0n, generation: 2n }]);
    for (const table of ["t_file_01", "t_file_02", "t_file_03", "t_file_id", "t_digest", "t_replica", "t_outbox"])
      expect(rows[table]).toEqual([]);
  });

  test("F25: one of two names for a blob goes, and the blob stays for the other", async () => {
    await using rig = await CatalogRig.open();
    const [first, second] = [await rig.upload("ann", "a.mp4", "x", 1), await rig.upload("bob", "b.mp4", "x", 2)];
    await rig.as("ann").deleteFile({ fileId: first.file.fileId });
    await rig.clock.advance(5_000);
    expect(rig.retired).toEqual([]);
    expect(await rig.as("bob").file({ fileId: second.file.fileId })).toMatchObject({ blob: blobOf(1) });
    await rig.as("bob").deleteFile({ fileId: second.file.fileId });
    await rig.clock.advance(5_000);
    expect(rig.retired.map(({ blobId }) => blobId)).toEqual([1, 1]);
  });

  test("F25: a lookup that read it before the delete cannot bring it back", async () => {
    let release: (() => void) | undefined;
    const slow = (cache: Cache): Cache => ({
      get: (key) => cache.get(key),
      set: async (key, value, lease, lifetimeMs) => {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        await cache.set(key, value, lease, lifetimeMs);
      },
      tombstone: (key, lifetimeMs) => cache.tombstone(key, lifetimeMs),
      close: () => cache.close(),
    });
    await using rig = await CatalogRig.open({ aroundCache: slow });
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    const lookup = rig.as("ann").file({ fileId: file.fileId });
    await rig.clock.advance(10);
    await rig.as("ann").deleteFile({ fileId: file.fileId });
    release?.();
    expect(await lookup).toEqual(file);
    await expect(rig.as("ann").file({ fileId: file.fileId })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await rig.clock.advance(CACHE_TOMBSTONE_MS + 1);
    await expect(rig.as("ann").file({ fileId: file.fileId })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  });

  test("a foreigner who tries to delete hides nothing", async () => {
    await using rig = await CatalogRig.open();
    const { file } = await rig.upload("ann", "a.mp4", "x", 1);
    await expect(rig.as("bob").deleteFile({ fileId: file.fileId })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    expect(await rig.as("ann").file({ fileId: file.fileId })).toEqual(file);
  });
});

describe("listings", () => {
  test("by app, user and the beginning of the name as bytes, whatever the case", async () => {
    await using rig = await CatalogRig.open();
    const names = ["Films/a", "films/a", "films/b", "films", "film~", "ünï/1", "ünï/2", "\u{10ffff}x"];
    for (const [index, name] of names.entries()) {
      rig.clock.jumpWall(1);
      await rig.upload("ann", name, `c${index}`, index, { user: index % 2 === 0 ? "tnv001" : "tnv003", app: index < 4 ? "one" : "two" });
    }
    const list = async (input: object) => (await rig.as("ann").files(input)).files.map(({ name }) => name);
    expect(await list({})).toEqual([...names].reverse());
    expect((await list({ prefix: "films/" })).sort()).toEqual(["films/a", "films/b"]);
    expect(await list({ prefix: "ünï/", user: "tnv003" })).toEqual(["ünï/1"]);
    expect(await list({ prefix: "\u{10ffff}" })).toEqual(["\u{10ffff}x"]);
    expect(await list({ prefix: "\ud800" })).toEqual([]);
    expect(await list({ user: "tnv001", app: "one" })).toEqual(["films/b", "Films/a"]);
    expect(await list({ user: "nobody" })).toEqual([]);
  });

  test("uploads by state: 'receiving' stands for all that have not ended", async () => {
    await using rig = await CatalogRig.open();
    await rig.upload("ann", "a", "x", 1);
    await rig.as("ann").registerUpload(rig.plan("b"));
    const list = async (state: "merged" | "receiving" | "verifying") =>
      (await rig.as("ann").uploads({ state })).uploads.map(({ name }) => name);
    expect([await list("merged"), await list("receiving"), await list("verifying")]).toEqual([["a"], ["b"], []]);
  });

  test("paging gives each file once and in order, also while others come and go", async () => {
    await using rig = await CatalogRig.open();
    let blobId = 0;
    const add = (tie: boolean, user: string) => {
      blobId += 1;
      if (!tie) rig.clock.jumpWall(1);
      return rig.upload("ann", `f${blobId}`, `c${blobId}`, blobId, { user });
    };
    const users = ["tnv001", "tnv002", "tnv003"];
    const before: string[] = [];
    for (let index = 0; index < 40; index += 1) before.unshift((await add(index % 3 === 0, users[index % 3] as string)).file.fileId);
    const order = (await rig.as("ann").files({})).files;
    expect(new Set(order.map(({ fileId }) => fileId))).toEqual(new Set(before));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 8 }), async (limits) => {
        const seen: string[] = [];
        let cursor: string | undefined;
        let page = 0;
        do {
          const limit = limits[page % limits.length] as number;
          const answer: Awaited<ReturnType<ReturnType<typeof rig.as>["files"]>> = await rig.as("ann").files({ limit, cursor });
          seen.push(...answer.files.map(({ fileId }) => fileId));
          cursor = answer.cursor;
          page += 1;
          // A page that begins where it ended would go on for ever.
          expect(page).toBeLessThan(200);
          // A newer file appears in no later page.
          rig.clock.jumpWall(1);
          if (page === 1) await add(false, "tnv002");
        } while (cursor !== undefined);
        expect(seen.slice(-40)).toEqual(order.map(({ fileId }) => fileId));
        expect(new Set(seen).size).toBe(seen.length);
      }),
      { numRuns: 15 },
    );
  });

  test("uploads are paged the same way", async () => {
    await using rig = await CatalogRig.open();
    for (let index = 0; index < 25; index += 1) {
      if (index % 4 === 0) rig.clock.jumpWall(1);
      await rig.as("ann").registerUpload(rig.plan(`u${index}`));
    }
    const all = (await rig.as("ann").uploads({})).uploads.map(({ uploadId }) => uploadId);
    const paged: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      expect(paged.length).toBeLessThanOrEqual(25);
      const page: Awaited<ReturnType<ReturnType<typeof rig.as>["uploads"]>> = await rig.as("ann").uploads({ limit: 3, cursor });
      paged.push(...page.uploads.map(({ uploadId }) => uploadId));
      cursor = page.cursor;
      more = cursor !== undefined;
    }
    expect(paged).toEqual(all);
    expect(new Set(paged).size).toBe(25);
  });

  test("a cursor is read back as it was made, and garbage is BAD_CURSOR", async () => {
    const position = fc.record({ timeMs: fc.nat(Number.MAX_SAFE_INTEGER), id: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) });
    fc.assert(
      fc.property(position, (made) => {
        expect(decodeCursor(encodeCursor(made))).toEqual(made);
      }),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.string().map((text) => Buffer.from(text).toString("base64url")),
        ),
        (text) => {
          try {
            expect(encodeCursor(decodeCursor(text))).toBe(text);
          } catch (error) {
            expect(error).toMatchObject({ code: "BAD_CURSOR" });
          }
        },
      ),
    );
    await using rig = await CatalogRig.open();
    for (const cursor of ["", "x", "!", encodeCursor({ timeMs: 1, id: "a" }).slice(0, -1)]) {
      await expect(rig.as("ann").files({ cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
      await expect(rig.as("ann").uploads({ cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
    }
  });

  test("a page ends early rather than outgrow one reply", () => {
    const items = Array.from({ length: PAGE_ITEMS_MAX + 1 }, (_, index) => ({ id: `i${index}`, name: "\u0001".repeat(400) }));
    const seen: string[] = [];
    let rest = items;
    while (rest.length > 0) {
      const page = pageOf(rest, PAGE_ITEMS_MAX, ({ id }) => ({ timeMs: 1, id }));
      expect(JSON.stringify(page).length).toBeLessThan(REPLY_BYTES_MAX);
      expect(page.items.length).toBeGreaterThan(0);
      seen.push(...page.items.map(({ id }) => id));
      expect(page.cursor === undefined).toBe(page.items.length === rest.length);
      rest = rest.slice(page.items.length);
    }
    expect(seen).toEqual(items.map(({ id }) => id));
  });
});

test("contents of tests differ as they should", () => {
  expect(contentOf("a").digests.blake3).not.toBe(contentOf("b").digests.blake3);
});
