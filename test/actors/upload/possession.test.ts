import { createHmac } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { blake3, md5, sha256 } from "hash-wasm";
import { describe, expect, it } from "vitest";
import type { CatalogTables } from "../../../src/actors/catalog/tables.ts";
import type { UploadStatus } from "../../../src/actors/upload/contract.ts";
import { drawChallenge } from "../../../src/actors/upload/possession.ts";
import type { DigestClaim } from "../../../src/core/digest.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { CHALLENGE_RANGES_MAX, FILE_BYTES_LIMIT, LEAF_BYTES, PROOF_ANSWER_MS } from "../../../src/core/limits.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import type { Principal } from "../../../src/core/principal.ts";
import type { Challenge } from "../../../src/core/shapes.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { diskFailed, diskFull, FaultyDisk } from "../../support/faulty-disk.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { createUpload, sendChunk, someBytes, startTroupe, type Troupe, uploadFile } from "../../support/troupe.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const CHUNK = LEAF_BYTES;
const ANN = { owner: "ann" };
const BOB = { owner: "bob" };
const AS_BOB = { principal: BOB };

function proofOf({ nonce, ranges }: Challenge, bytes: Uint8Array): string {
  const mac = createHmac("sha256", Buffer.from(nonce, "hex"));
  for (const [offset, length] of ranges) mac.update(bytes.subarray(offset, offset + length));
  return mac.digest("hex");
}

const blake3Of = async (bytes: Uint8Array): Promise<DigestClaim> => ({ algorithm: "blake3", value: await blake3(bytes) });

/** Bob begins an upload of these bytes, by digest alone. */
async function begin(troupe: Troupe, bytes: Uint8Array, digest?: DigestClaim) {
  const created = await createUpload(troupe, {
    name: "mine.mp4",
    sizeBytes: bytes.length,
    chunkBytes: CHUNK,
    digest: digest ?? (await blake3Of(bytes)),
    principal: BOB,
  });
  const session = troupe.upload(created.uploadId);
  return {
    ...created,
    session,
    prove: (hmac: string) => session.prove({ epoch: created.epoch, hmac }, AS_BOB),
    right: () => proofOf(created.challenge as Challenge, bytes),
  };
}

/** A proof that does not hold is answered when its time is over. */
async function inVain(clock: VirtualClock, answer: Promise<UploadStatus>): Promise<void> {
  let isOver = false;
  const over = answer.finally(() => {
    isOver = true;
  });
  while (!isOver) await clock.advance(PROOF_ANSWER_MS / 10);
  expect((await over).state).toBe("receiving");
}

const immediately = () => new Promise((resolve) => setImmediate(resolve));

async function sendAll(troupe: Troupe, uploadId: string, bytes: Uint8Array): Promise<void> {
  for (let index = 0; index * CHUNK < bytes.length; index += 1)
    await sendChunk(troupe, uploadId, index, bytes.subarray(index * CHUNK, (index + 1) * CHUNK));
}

async function readBlob(troupe: Troupe, fileId: string, principal: Principal): Promise<Buffer> {
  const { blob, sizeBytes } = await troupe.catalog.file({ fileId }, { principal });
  const blocks: Uint8Array[] = [];
  for await (const block of await troupe.node.readBlob({ ...blob, sizeBytes, offset: 0, lengthBytes: sizeBytes })) blocks.push(block);
  return Buffer.concat(blocks);
}

describe("possession of content", () => {
  it("F24: proven makes a file of somebody else's content without a byte, and the blob has two files", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const bytes = someBytes(40 * LEAF_BYTES + 77);
    const theirs = await uploadFile(troupe, bytes, { principal: ANN });
    for (const digest of [await blake3Of(bytes), { algorithm: "sha256", value: await sha256(bytes) } as const]) {
      // The SHA-256 is known from the second upload on, which claimed it.
      const upload = await begin(troupe, bytes, digest);
      expect(upload.challenge?.ranges).toHaveLength(CHALLENGE_RANGES_MAX);
      if (digest.algorithm === "sha256") {
        await sendAll(troupe, upload.uploadId, bytes);
        await upload.session.merge({ epoch: upload.epoch }, AS_BOB);
        continue;
      }
      const { state, file } = await upload.prove(upload.right());
      expect({ state, file }).toMatchObject({ state: "merged", file: { name: "mine.mp4", sizeBytes: bytes.length, copies: 1 } });
      const located = await troupe.catalog.file({ fileId: file?.fileId as string }, AS_BOB);
      expect(located.blob).toEqual((await troupe.catalog.file({ fileId: theirs.fileId }, { principal: ANN })).blob);
      expect(located).toMatchObject({ owner: "bob", name: "mine.mp4" });
    }
    const again = await begin(troupe, bytes, { algorithm: "sha256", value: await sha256(bytes) });
    expect((await again.prove(again.right())).state).toBe("merged");
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
  });

  it("I22: that is not proven, absent, or only known by its digest is answered after the same time with the same words", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock });
    const bytes = someBytes(30 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const answers: unknown[] = [];
    for (const content of [bytes, someBytes(30 * LEAF_BYTES, 2)]) {
      const upload = await begin(troupe, content);
      const askedMs = clock.nowMs();
      const { timerCount } = clock;
      let answeredMs: number | undefined;
      const answer = upload.prove("ab".repeat(32)).then((status) => {
        answeredMs = clock.nowMs();
        return status;
      });
      // The question's own timer, and the one that its answer waits for.
      while (clock.timerCount < timerCount + 2) await immediately();
      // What there is to be found is found long before the time is over.
      while (content === bytes && (await troupe.storage.status({})).openBlobCount === 0) await immediately();
      for (let turn = 0; turn < 200; turn += 1) await immediately();
      await clock.advance(PROOF_ANSWER_MS - 1);
      expect(answeredMs).toBeUndefined();
      await clock.advance(1);
      const { state, missing, file, lastError, receivedCount } = await answer;
      expect((answeredMs as number) - askedMs).toBe(PROOF_ANSWER_MS);
      answers.push({ state, missing, file, lastError, receivedCount });
      // One try: the right one comes too late, and is not even looked at.
      const late = await upload.prove(proofOf(upload.challenge as Challenge, content));
      expect(late.state).toBe("receiving");
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject({ state: "receiving", missing: [[0, 29]] });
  });

  it("I22: of a damaged blob is never proven; the upload's bytes mend it", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    await using troupe = await startTroupe({ root: directory.path, clock });
    const bytes = someBytes(3 * LEAF_BYTES);
    const { fileId } = await uploadFile(troupe, bytes, { principal: ANN });
    const { blob } = await troupe.catalog.file({ fileId }, { principal: ANN });
    const upload = await begin(troupe, bytes);
    await writeFile(join(directory.path, "blobs", blob.path), someBytes(3 * LEAF_BYTES, 9));
    const answer = upload.prove(upload.right());
    const isVouchedFor = () =>
      troupe.storage.holdBlob({ ...blob, sizeBytes: bytes.length }).then(
        () => true,
        ({ code }) => code !== "BLOB_DAMAGED",
      );
    while (await isVouchedFor()) await immediately();
    await inVain(clock, answer);
    await sendAll(troupe, upload.uploadId, bytes);
    await upload.session.merge({ epoch: upload.epoch }, AS_BOB);
    expect(await isVouchedFor()).toBe(true);
    expect((await readBlob(troupe, fileId, ANN)).equals(bytes)).toBe(true);
  });

  it("F8: that a slow disk does not show in time is not proven, at the time of any other", async () => {
    await using directory = await temporaryDirectory();
    const clock = new VirtualClock();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, clock, disk });
    const bytes = someBytes(3 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    const gate = Promise.withResolvers<void>();
    disk.intercept = (call, path) => (call === "read" && path.includes("blobs") ? gate.promise : undefined);
    await inVain(clock, upload.prove(upload.right()));
    gate.resolve();
    // What it shows afterwards comes too late.
    await clock.advance(5_000);
    expect(await upload.session.status({})).toMatchObject({ state: "receiving" });
  });

  it("is asked for by the same challenge when a creation is repeated, and by another after a restart", async () => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(30 * LEAF_BYTES);
    const digest = await blake3Of(bytes);
    const wish = {
      app: "default",
      user: "default",
      name: "a",
      contentType: "video/mp4",
      sizeBytes: bytes.length,
      chunkBytes: CHUNK,
      digest,
    };
    const operation = { key: "k", requestDigest: "ab".repeat(32) };
    const challenges: (Challenge | undefined)[] = [];
    let epoch = 0;
    for (let start = 0; start < 2; start += 1) {
      const clock = new VirtualClock();
      await using troupe = await startTroupe({ root: directory.path, clock });
      for (let time = 0; time < 2; time += 1) {
        const created = await troupe.storage.createUpload({ ...wish, operation }, AS_BOB);
        challenges.push(created.challenge);
        epoch = created.epoch;
      }
      if (start === 0) continue;
      await uploadFile(troupe, bytes, { principal: ANN });
      const { uploadId } = await troupe.storage.createUpload({ ...wish, operation }, AS_BOB);
      const session = troupe.upload(uploadId);
      // Made for the challenge that a restart has ended.
      const answer = session.prove({ epoch, hmac: proofOf(challenges[0] as Challenge, bytes) }, AS_BOB);
      await inVain(clock, answer);
      expect((await troupe.storage.createUpload({ ...wish, operation }, AS_BOB)).challenge).toBeUndefined();
    }
    expect(challenges[0]).toBeDefined();
    expect(challenges[1]).toEqual(challenges[0]);
    expect(challenges[2]).not.toEqual(challenges[0]);
    expect(challenges[3]).toEqual(challenges[2]);
  });

  it("cancelled or merged while it is looked into, the upload is that, and whoever asked hears so", async () => {
    await using directory = await temporaryDirectory();
    const disk = new FaultyDisk(new NodeDisk());
    await using troupe = await startTroupe({ root: directory.path, disk, clock: new VirtualClock() });
    const bytes = someBytes(3 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const [cancelled, merged] = [await begin(troupe, bytes), await begin(troupe, bytes)];
    await sendAll(troupe, merged.uploadId, bytes);
    const gate = Promise.withResolvers<void>();
    disk.intercept = (call, path) => (call === "read" && path.includes("blobs") ? gate.promise : undefined);
    const first = cancelled.prove(cancelled.right());
    first.catch(() => undefined);
    const second = merged.prove(merged.right());
    await cancelled.session.cancel({ epoch: cancelled.epoch }, AS_BOB);
    await expect(first).rejects.toMatchObject({ code: "UPLOAD_CANCELLED" });
    const merging = merged.session.merge({ epoch: merged.epoch }, AS_BOB);
    gate.resolve();
    const [{ file, state }, { file: expected }] = await Promise.all([second, merging]);
    expect(state === "merged" ? file : expected).toEqual(expected);
    expect((await troupe.catalog.files({}, AS_BOB)).files.map(({ fileId }) => fileId)).toEqual([expected?.fileId]);
    await expect(cancelled.prove(cancelled.right())).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("may be asked for again while it is looked into, with one outcome", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const bytes = someBytes(5 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    const answers = await Promise.all([upload.prove(upload.right()), upload.prove(upload.right()), upload.prove("00".repeat(32))]);
    expect(new Set(answers.map(({ state }) => state))).toEqual(new Set(["merged"]));
    expect(new Set(answers.map(({ file }) => file?.fileId)).size).toBe(1);
  });

  it("proven while chunks arrive ends their bodies, and leaves nothing of them", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const bytes = someBytes(4 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    await sendChunk(troupe, upload.uploadId, 0, bytes.subarray(0, CHUNK));
    const begun = Promise.withResolvers<void>();
    async function* held(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(CHUNK, CHUNK + 10);
      begun.resolve();
      await new Promise(() => {});
    }
    const signal = new AbortController().signal;
    const stored = troupe.node.storeChunk({ uploadId: upload.uploadId, index: 1, bytes: held(), digests: [], signal });
    stored.catch(() => undefined);
    await begun.promise;
    expect((await upload.prove(upload.right())).state).toBe("merged");
    await expect(stored).rejects.toMatchObject({ code: "UPLOAD_MERGED" });
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
    expect(await troupe.storage.status({})).toMatchObject({ uploadCount: 0, reservedBytes: 0 });
  });

  it.each([false, true])(
    "F3: proven after a merge that broke off leaves nothing among the blobs, though it is refused at first: %s",
    async (isRefused) => {
      await using directory = await temporaryDirectory();
      const disk = new FaultyDisk(new NodeDisk());
      const blobs = async (): Promise<string[]> => (await readdir(join(directory.path, "blobs"), { recursive: true })).sort();
      const bytes = someBytes(2 * LEAF_BYTES);
      let before: string[];
      let uploadId: string;
      {
        await using troupe = await startTroupe({ root: directory.path, disk, clock: new VirtualClock() });
        await uploadFile(troupe, bytes, { principal: ANN });
        before = await blobs();
        const upload = await begin(troupe, bytes);
        uploadId = upload.uploadId;
        await sendAll(troupe, uploadId, bytes);
        let isLinked = false;
        disk.intercept = (call, path) => {
          if (call === "link") isLinked = true;
          if (isLinked && call === "syncDirectory") throw diskFull(path);
        };
        await expect(upload.session.merge({ epoch: upload.epoch }, AS_BOB)).rejects.toMatchObject({ code: "DISK_FULL" });
        expect((await blobs()).length).toBeGreaterThan(before.length);
        disk.intercept = (call, path) => {
          if (isRefused && call === "remove" && path.includes("/blobs/")) throw diskFailed(path);
        };
        expect((await upload.prove(upload.right())).state).toBe("merged");
        expect((await blobs()).length > before.length).toBe(isRefused);
        disk.intercept = () => {};
      }
      await using troupe = await startTroupe({ root: directory.path, disk, clock: new VirtualClock() });
      expect(await blobs()).toEqual(before);
      expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
      expect((await troupe.catalog.upload({ uploadId }, AS_BOB)).state).toBe("merged");
    },
  );

  it("is asked of nobody whose digest is weak, whose size is unknown, or whose file is empty", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const bytes = someBytes(100);
    const weak = { algorithm: "md5", value: await md5(bytes) } as const;
    const strong = await blake3Of(bytes);
    for (const wish of [{ sizeBytes: 100, digest: weak }, { digest: strong }, { sizeBytes: 0, digest: strong }, { sizeBytes: 100 }])
      expect((await createUpload(troupe, wish)).challenge).toBeUndefined();
    expect((await createUpload(troupe, { sizeBytes: 100, digest: strong })).challenge).toMatchObject({ ranges: [[0, 100]] });
  });

  it("cannot be asked about by a person: the bus refuses whoever is not the system", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const digest = { algorithm: "blake3", value: "ab".repeat(32) } as const;
    const challenge = { nonce: "00".repeat(32), ranges: [[0, 1]] as [number, number][] };
    const blob = { blobId: 1, path: "000/000/000/00000000_001" };
    await expect(troupe.catalog.provableContent({ digest, sizeBytes: 1 }, AS_BOB)).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(troupe.catalog.commitKnown({ uploadId: "u", epoch: 1, blobId: 1 }, AS_BOB)).rejects.toMatchObject({ code: "FORBIDDEN" });
    const proof = { ...blob, sizeBytes: 1, challenge, hmac: "00".repeat(32) };
    await expect(troupe.storage.proveBlob(proof, AS_BOB)).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

/** Says once that the outcome of a transaction is unknown, after or before it has happened; `gate` holds the next one back. */
class ForgetfulDatabase implements Database<CatalogTables> {
  readonly #real: Database<CatalogTables>;
  fates: ("done" | "lost")[] = [];
  gate: Promise<void> = Promise.resolve();

  constructor(real: Database<CatalogTables>) {
    this.#real = real;
  }

  transact: Database<CatalogTables>["transact"] = async (work) => {
    await this.gate;
    const fate = this.fates.shift();
    if (fate === undefined) return await this.#real.transact(work);
    if (fate === "done") await this.#real.transact(work);
    throw new TroupeError("DATABASE_UNAVAILABLE", undefined, { facts: { outcomeUnknown: true } });
  };

  read: Database<CatalogTables>["read"] = (work) => this.#real.read(work);

  close(): Promise<void> {
    return this.#real.close();
  }
}

describe("the commit of content that was proven", () => {
  it("F15: is asked for until its outcome is known, cannot be cancelled meanwhile, and happens once", async () => {
    await using directory = await temporaryDirectory();
    let database!: ForgetfulDatabase;
    const clock = new VirtualClock();
    await using troupe = await startTroupe({
      root: directory.path,
      clock,
      wrapStorageDatabase: (real) => {
        database = new ForgetfulDatabase(real);
        return database;
      },
    });
    const bytes = someBytes(2 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    const gate = Promise.withResolvers<void>();
    database.gate = gate.promise;
    const proven = upload.prove(upload.right());
    while ((await upload.session.status({})).state !== "committing") await immediately();
    const { epoch, uploadId } = upload;
    await expect(upload.session.cancel({ epoch }, AS_BOB)).rejects.toMatchObject({ code: "UPLOAD_COMMITTING" });
    await expect(sendChunk(troupe, uploadId, 0, bytes.subarray(0, CHUNK))).rejects.toMatchObject({ code: "UPLOAD_BUSY" });
    expect(await upload.session.merge({ epoch, wait: false }, AS_BOB)).toEqual({ state: "committing" });
    const merged = upload.session.merge({ epoch }, AS_BOB);
    database.fates = ["lost", "done", "lost"];
    gate.resolve();
    const isCommitting = () =>
      upload.session.status({}).then(
        ({ state }) => state === "committing",
        () => false,
      );
    while (await isCommitting()) await clock.advance(50);
    const { file } = await proven;
    expect((await merged).file).toEqual(file);
    expect((await troupe.catalog.files({}, AS_BOB)).files).toHaveLength(1);
  });

  it.each(["done", "lost"] as const)(
    "F1: that the process did not live to hear of, and that is %s, is what the catalog says after a restart",
    async (fate) => {
      await using directory = await temporaryDirectory();
      const bytes = someBytes(2 * LEAF_BYTES);
      let database!: ForgetfulDatabase;
      const clock = new VirtualClock();
      const start = () =>
        startTroupe({
          root: directory.path,
          clock,
          wrapStorageDatabase: (real) => {
            database = new ForgetfulDatabase(real);
            return database;
          },
        });
      let uploadId: string;
      {
        await using troupe = await start();
        await uploadFile(troupe, bytes, { principal: ANN });
        const upload = await begin(troupe, bytes);
        uploadId = upload.uploadId;
        await sendChunk(troupe, uploadId, 1, bytes.subarray(CHUNK));
        database.fates = [fate];
        const proven = upload.prove(upload.right());
        proven.catch(() => undefined);
        // Nobody knows how it ended; before it is asked for again, all is over.
        while (database.fates.length > 0) await immediately();
        await troupe.stop();
        await expect(proven).rejects.toMatchObject({ code: "STOPPING" });
      }
      await using troupe = await start();
      const isDone = fate === "done";
      expect((await troupe.catalog.upload({ uploadId }, AS_BOB)).state).toBe(isDone ? "merged" : "receiving");
      expect((await troupe.catalog.files({}, AS_BOB)).files).toHaveLength(isDone ? 1 : 0);
      expect(await readdir(join(directory.path, "uploads"))).toEqual(isDone ? [] : [uploadId]);
      if (!isDone) expect(await troupe.upload(uploadId).status({})).toMatchObject({ state: "receiving", epoch: 2, missing: [[0, 0]] });
    },
  );

  it("F2: is refused to a host that has lost the upload, which then is failed there, as whoever asked hears", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path, clock: new VirtualClock() });
    const bytes = someBytes(2 * LEAF_BYTES);
    await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    await troupe.catalog.claimUpload({ uploadId: upload.uploadId, host: "another" });
    await expect(upload.prove(upload.right())).rejects.toMatchObject({ code: "EPOCH_STALE" });
    expect((await troupe.catalog.files({}, AS_BOB)).files).toEqual([]);
    expect((await troupe.catalog.upload({ uploadId: upload.uploadId })).state).toBe("receiving");
  });

  it("goes on with the chunks when the content has gone meanwhile, and says so to who waits for a merge", async () => {
    await using directory = await temporaryDirectory();
    let database!: ForgetfulDatabase;
    const clock = new VirtualClock();
    await using troupe = await startTroupe({
      root: directory.path,
      clock,
      wrapStorageDatabase: (real) => {
        database = new ForgetfulDatabase(real);
        return database;
      },
    });
    const bytes = someBytes(2 * LEAF_BYTES);
    const { fileId } = await uploadFile(troupe, bytes, { principal: ANN });
    const upload = await begin(troupe, bytes);
    const gate = Promise.withResolvers<void>();
    database.gate = gate.promise;
    // Both wait for the database; the delete is first.
    const deleted = troupe.catalog.deleteFile({ fileId }, { principal: ANN });
    await immediately();
    const proven = upload.prove(upload.right());
    while ((await upload.session.status({})).state !== "committing") await immediately();
    const merged = upload.session.merge({ epoch: upload.epoch }, AS_BOB);
    merged.catch(() => undefined);
    gate.resolve();
    await deleted;
    expect(await proven).toMatchObject({ state: "receiving", missing: [[0, 1]] });
    await expect(merged).rejects.toMatchObject({ code: "UPLOAD_BUSY" });
    await sendAll(troupe, upload.uploadId, bytes);
    const { file } = await upload.session.merge({ epoch: upload.epoch }, AS_BOB);
    expect((await readBlob(troupe, file?.fileId as string, BOB)).equals(bytes)).toBe(true);
  });
});

describe("a challenge", () => {
  const digest = { algorithm: "sha256", value: "ab".repeat(32) } as const;

  it("asks for whole leaves inside the file, in order, each once, and for all of a small file", () => {
    const random = new SeededRandom(11);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.integer({ min: 1, max: 3_000_000 }),
          fc.maxSafeInteger().map((n) => 1 + (Math.abs(n) % FILE_BYTES_LIMIT)),
        ),
        (sizeBytes) => {
          const { nonce, ranges } = drawChallenge(random, { digest, sizeBytes }) as Challenge;
          expect(nonce).toMatch(/^[0-9a-f]{64}$/);
          expect(ranges).toHaveLength(Math.min(CHALLENGE_RANGES_MAX, Math.ceil(sizeBytes / LEAF_BYTES)));
          let end = 0;
          let sum = 0;
          for (const [offset, length] of ranges) {
            expect(offset).toBeGreaterThanOrEqual(end);
            expect(offset % LEAF_BYTES).toBe(0);
            expect(length).toBe(Math.min(LEAF_BYTES, sizeBytes - offset));
            end = offset + length;
            sum += length;
          }
          expect(end).toBeLessThanOrEqual(sizeBytes);
          if (sizeBytes <= CHALLENGE_RANGES_MAX * LEAF_BYTES) expect(sum).toBe(sizeBytes);
        },
      ),
    );
  });
});
