/** Instant uploads and proofs of possession, over real sessions, a real disk and a real catalog. */
import { createHmac } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blake3, md5, sha256 } from "hash-wasm";
import type { KyselyPlugin } from "kysely";
import { describe, expect, test } from "vitest";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import { readRecord } from "../../src/actors/storage/blob-record.ts";
import { LEAF_BYTES, PROOF_ANSWER_MS, PROOF_WINDOW_MS, PROOFS_PER_WINDOW_MAX } from "../../src/core/limits.ts";
import type { Database } from "../../src/core/ports/database.ts";
import type { Challenge } from "../../src/core/shapes.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes, startTroupe, type Troupe, uploadFile } from "../support/troupe.ts";
import { gatewayOf, type Told, type TroupeGateway } from "../support/troupe-gateway.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";

const TOKENS = [
  { owner: "ann", secret: "ann-secret" },
  { owner: "bob", secret: "bob-secret" },
];
const as = (owner: string) => ({ authorization: `Bearer ${owner}-secret` });
const ANN = { owner: "ann" };
const BOB = { owner: "bob" };

interface Stage extends AsyncDisposable {
  readonly troupe: Troupe;
  readonly gateway: TroupeGateway;
  readonly clock: VirtualClock;
  readonly root: string;
  /** Of every transaction and read since the last time it was emptied. */
  readonly statements: string[];
  create(owner: string, body: Record<string, unknown>): Promise<Told>;
  prove(owner: string, uploadId: unknown, hmac: unknown): Promise<Told>;
  /** The same, for a proof that does not hold. */
  proveInVain(owner: string, uploadId: unknown, hmac: unknown): Promise<Told>;
}

async function setTheStage(): Promise<Stage> {
  const directory = await temporaryDirectory();
  const clock = new VirtualClock();
  const statements: string[] = [];
  const troupe = await startTroupe({
    root: directory.path,
    clock,
    wrapStorageDatabase: (real) => writtenDown(real, statements),
  });
  const gateway = gatewayOf(troupe, { tokens: TOKENS });
  const prove = (owner: string, uploadId: unknown, hmac: unknown) => gateway.post(`/api/v1/uploads/${uploadId}/proof`, { hmac }, as(owner));
  return {
    troupe,
    gateway,
    clock,
    root: directory.path,
    statements,
    create: (owner, body) => gateway.post("/api/v1/uploads", { name: "film.mp4", ...body }, as(owner)),
    prove,
    proveInVain: async (owner, uploadId, hmac) => {
      let isOver = false;
      const answer = prove(owner, uploadId, hmac).finally(() => {
        isOver = true;
      });
      while (!isOver) await clock.advance(PROOF_ANSWER_MS / 10);
      return answer;
    },
    [Symbol.asyncDispose]: async () => {
      await gateway.stop();
      await troupe.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}

/** Which statements run, without what they are about. */
function writtenDown(real: Database<CatalogTables>, statements: string[]): Database<CatalogTables> {
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      statements.push(node.kind);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return {
    read: (work) => real.read((query) => work(query.withPlugin(plugin))),
    transact: (work) =>
      real.transact((transaction) =>
        work({
          ...transaction,
          query: transaction.query.withPlugin(plugin),
          insertIfAbsent: (table, row) => {
            statements.push(`insert ${table}`);
            return transaction.insertIfAbsent(table, row);
          },
          lock: (query) => transaction.lock(query),
          claim: (query) => transaction.claim(query),
        }),
      ),
    close: () => real.close(),
  };
}

const claimOf = async (bytes: Uint8Array) => ({ size: bytes.length, digest: { algorithm: "blake3", value: await blake3(bytes) } });

function proofOf(challenge: unknown, bytes: Uint8Array): string {
  const { nonce, ranges } = challenge as Challenge;
  const mac = createHmac("sha256", Buffer.from(nonce, "hex"));
  for (const [offset, length] of ranges) mac.update(bytes.subarray(offset, offset + length));
  return mac.digest("hex");
}

/** What an answer says when everything random in it is left out. */
function shapeOf({ status, headers, json }: Told): unknown {
  const { uploadId, challenge, ...rest } = json as { uploadId: string; challenge?: Challenge };
  const { "x-request-id": _, location = "", ...fields } = headers;
  const asked = challenge && {
    keys: Object.keys(challenge),
    nonce: challenge.nonce.length,
    ranges: challenge.ranges.map(([, bytes]) => bytes),
  };
  return { status, fields, location: location.replace(uploadId, "…"), keys: Object.keys(json), id: uploadId.length, rest, asked };
}

describe("an upload of content that is the owner's already", () => {
  test("F24: is the file at once, by any digest that is known of it, and the blob's record names it", async () => {
    await using stage = await setTheStage();
    const { troupe, gateway, root } = stage;
    const bytes = someBytes(200_000);
    const digest = { algorithm: "md5", value: await md5(bytes) } as const;
    const first = await uploadFile(troupe, bytes, { principal: ANN, digest });
    const seen = [];
    for (const claim of [
      await claimOf(bytes),
      { digest },
      { size: bytes.length, digest: { ...digest, value: digest.value.toUpperCase() } },
    ]) {
      const answer = await stage.create("ann", { ...claim, name: "ä/again.mp4", user: "somebody" });
      expect(answer.status).toBe(200);
      const { fileId, url } = answer.json;
      expect(answer.json).toEqual({
        fileId,
        name: "ä/again.mp4",
        size: bytes.length,
        digest: { blake3: await blake3(bytes), md5: digest.value },
        copies: 1,
        durability: "single-copy",
        url,
        instant: true,
      });
      expect(answer.headers["location"]).toBe(new URL(String(url)).pathname);
      const read = await gateway.ask("GET", String(answer.headers["location"]), { headers: as("ann") });
      expect({ status: read.status, length: read.headers["content-length"] }).toEqual({ status: 200, length: "200000" });
      expect((await gateway.ask("GET", `/api/v1/files/${fileId}`, { headers: as("ann") })).json).toMatchObject({ user: "somebody" });
      seen.push(fileId);
    }
    expect(new Set(seen).size).toBe(3);
    const { blob } = await troupe.catalog.file({ fileId: first.fileId }, { principal: ANN });
    const recordPath = join(root, "blobs", `${blob.path}.record`);
    const recorded = async (): Promise<string[]> => (await readRecord(new NodeDisk(), recordPath))?.files.map(({ fileId }) => fileId) ?? [];
    await expect
      .poll(async () => {
        await stage.clock.advance(50);
        return (await recorded()).sort();
      })
      .toEqual([first.fileId, ...seen].map(String).sort());
  });

  test("F11: under one key is one file, whose upload is merged: listed, merged again, and not to be cancelled", async () => {
    await using stage = await setTheStage();
    const { troupe, gateway } = stage;
    const bytes = someBytes(1000);
    await uploadFile(troupe, bytes, { principal: ANN });
    const wish = { ...(await claimOf(bytes)), idempotencyKey: "k" };
    const answers = [await stage.create("ann", wish), await stage.create("ann", wish)];
    expect(answers[1]?.json).toEqual(answers[0]?.json);
    expect((await stage.create("ann", { ...wish, name: "other.mp4" })).json).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    const list = await gateway.ask("GET", "/api/v1/uploads?state=merged", { headers: as("ann") });
    const { uploadId } = (list.json["uploads"] as { uploadId: string; fileId: string }[]).find(
      ({ fileId }) => fileId === answers[0]?.json["fileId"],
    ) as { uploadId: string };
    const merged = await gateway.post(`/api/v1/uploads/${uploadId}/merge`, {}, as("ann"));
    expect({ ...merged.json, instant: true }).toEqual(answers[0]?.json);
    expect((await gateway.ask("GET", `/api/v1/uploads/${uploadId}`, { headers: as("ann") })).json).toMatchObject({
      state: "merged",
      missing: [],
    });
    expect((await gateway.ask("DELETE", `/api/v1/uploads/${uploadId}`, { headers: as("ann") })).json).toMatchObject({
      code: "UPLOAD_MERGED",
    });
    expect((await stage.prove("ann", uploadId, "00".repeat(32))).json).toEqual(answers[0]?.json);
    expect((await stage.prove("bob", uploadId, "00".repeat(32))).json).toMatchObject({ code: "UPLOAD_NOT_FOUND" });
  });

  test("is an ordinary one where its bytes are damaged, or gone, and mends them", async () => {
    await using stage = await setTheStage();
    const { troupe, gateway, root } = stage;
    for (const [index, harm] of (["damaged", "shorter", "gone"] as const).entries()) {
      const bytes = someBytes(100_000, index + 1);
      const { fileId } = await uploadFile(troupe, bytes, { principal: ANN });
      const { blob } = await troupe.catalog.file({ fileId }, { principal: ANN });
      const path = join(root, "blobs", blob.path);
      if (harm === "gone") await rm(path);
      else await writeFile(path, harm === "damaged" ? someBytes(100_000, 99) : bytes.subarray(0, 70_000));
      const get = () => gateway.ask("GET", `/files/${fileId}`, { headers: as("ann") });
      // Whoever reads it finds out; before that, its length is all that is looked at.
      if (harm === "damaged") await expect(get()).resolves.toMatchObject({ status: 500 });
      const answer = await stage.create("ann", { ...(await claimOf(bytes)), chunkBytes: 131_072 });
      expect(answer.status, harm).toBe(202);
      const upload = `/api/v1/uploads/${answer.json["uploadId"]}`;
      expect((await gateway.ask("PUT", `${upload}/chunks/0`, { headers: as("ann"), body: bytes })).status).toBe(200);
      expect((await gateway.post(`${upload}/merge`, {}, as("ann"))).status).toBe(200);
      expect((await get()).status).toBe(200);
      expect((await stage.create("ann", await claimOf(bytes))).json).toMatchObject({ instant: true });
    }
  });
});

describe("an upload of content that is somebody else's, or nobody's", () => {
  test("I22, F24: is asked for a proof, and is the file with it; without it the upload goes on as it began", async () => {
    await using stage = await setTheStage();
    const { troupe, gateway } = stage;
    const bytes = someBytes(30 * LEAF_BYTES + 5);
    await uploadFile(troupe, bytes, { principal: ANN });
    const wish = { ...(await claimOf(bytes)), chunkBytes: 8 * 1024 * 1024 };
    const first = await stage.create("bob", wish);
    expect(first.status).toBe(202);
    const proven = await stage.prove("bob", first.json["uploadId"], proofOf(first.json["challenge"], bytes).toUpperCase());
    expect(proven.status).toBe(200);
    expect(proven.json).toMatchObject({ instant: true, size: bytes.length, name: "film.mp4" });
    expect(await troupe.catalog.file({ fileId: String(proven.json["fileId"]) }, { principal: BOB })).toMatchObject({ owner: "bob" });
    // From now on it is his own.
    expect((await stage.create("bob", wish)).json).toMatchObject({ instant: true });

    const other = someBytes(30 * LEAF_BYTES + 5, 3);
    await uploadFile(troupe, other, { principal: ANN });
    const second = await stage.create("bob", { ...wish, ...(await claimOf(other)) });
    const { challenge: _, ...begun } = second.json;
    const vain = await stage.proveInVain("bob", second.json["uploadId"], "ab".repeat(32));
    expect({ status: vain.status, json: vain.json }).toEqual({ status: 201, json: begun });
    const upload = `/api/v1/uploads/${second.json["uploadId"]}`;
    expect((await gateway.ask("PUT", `${upload}/chunks/0`, { headers: as("bob"), body: other })).status).toBe(200);
    expect((await gateway.post(`${upload}/merge`, {}, as("bob"))).json).toMatchObject({ size: other.length });
  });

  test("I22: cannot be told apart by a client that knows only the digest: not by the answers, and not by the work they take", async () => {
    await using stage = await setTheStage();
    const { troupe, gateway } = stage;
    const bytes = someBytes(25 * LEAF_BYTES);
    const sha = await sha256(bytes);
    await uploadFile(troupe, bytes, { principal: ANN, digest: { algorithm: "sha256", value: sha } });
    await settle();
    const flip = (hex: string) => `${hex.slice(0, -2)}${hex.endsWith("00") ? "11" : "00"}`;
    const claims = { blake3: await blake3(bytes), sha256: sha, md5: await md5(bytes) };
    for (const [algorithm, value] of Object.entries(claims)) {
      const shapes = { absent: new Set<string>(), foreign: new Set<string>() };
      const work = { absent: new Set<string>(), foreign: new Set<string>() };
      const nonces = new Set<string>();
      for (let turn = 0; turn < 24; turn += 1) {
        const kind = turn % 2 === 0 ? "absent" : "foreign";
        stage.statements.length = 0;
        const told = await stage.create("bob", {
          size: bytes.length,
          digest: { algorithm, value: kind === "absent" ? flip(value) : value },
          idempotencyKey: `${algorithm} ${turn}`.replace(" ", "-"),
        });
        work[kind].add(JSON.stringify(stage.statements));
        shapes[kind].add(JSON.stringify(shapeOf(told)));
        if (algorithm === "md5") expect(told.status).toBe(201);
        else nonces.add((told.json["challenge"] as Challenge).nonce);
        stage.statements.length = 0;
        await gateway.ask("DELETE", `/api/v1/uploads/${told.json["uploadId"]}`, { headers: as("bob") });
      }
      expect(shapes.absent.size).toBe(1);
      expect(shapes.foreign).toEqual(shapes.absent);
      expect(work.absent.size).toBe(1);
      expect(work.foreign).toEqual(work.absent);
      expect(nonces.size).toBe(algorithm === "md5" ? 0 : 24);
    }
    expect((await troupe.catalog.files({}, { principal: BOB })).files).toEqual([]);
  });

  test("I22: gives nothing for a proof that was made for another upload, by somebody else, twice, or of the wrong form", async () => {
    await using stage = await setTheStage();
    const bytes = someBytes(25 * LEAF_BYTES);
    await uploadFile(stage.troupe, bytes, { principal: ANN });
    const wish = await claimOf(bytes);
    const [one, other] = [await stage.create("bob", wish), await stage.create("bob", wish)];
    const [first, second] = [one.json["uploadId"], other.json["uploadId"]];
    const right = proofOf(one.json["challenge"], bytes);
    expect((await stage.prove("ann", first, right)).json).toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    for (const hmac of ["", "ab", "zz".repeat(32), `${right}00`, 7, null, [right], undefined])
      expect((await stage.prove("bob", first, hmac)).json).toMatchObject({ code: "BAD_REQUEST", status: 400 });
    expect((await stage.prove("bob", "nobody", right)).json).toMatchObject({ code: "UPLOAD_NOT_FOUND" });
    // Bound to its session, and one try.
    expect((await stage.proveInVain("bob", second, right)).status).toBe(201);
    expect((await stage.prove("bob", second, proofOf(other.json["challenge"], bytes))).status).toBe(201);
    // None of that has spent the first one's.
    expect((await stage.prove("bob", first, right)).status).toBe(200);
  });

  test("may be proven so often a minute by one owner, whatever there is, and a refused proof is not spent", async () => {
    await using stage = await setTheStage();
    const bytes = someBytes(LEAF_BYTES);
    await uploadFile(stage.troupe, bytes, { principal: ANN });
    const [known, unknown] = [await stage.create("bob", await claimOf(bytes)), await stage.create("bob", await claimOf(someBytes(9)))];
    await stage.proveInVain("bob", unknown.json["uploadId"], "00".repeat(32));
    for (let count = 1; count < PROOFS_PER_WINDOW_MAX; count += 1)
      expect((await stage.prove("bob", unknown.json["uploadId"], "00".repeat(32))).status).toBe(201);
    const right = proofOf(known.json["challenge"], bytes);
    const refused = [await stage.prove("bob", known.json["uploadId"], right), await stage.prove("bob", unknown.json["uploadId"], right)];
    for (const { status, json, headers } of refused) {
      expect({ status, code: json["code"] }).toEqual({ status: 429, code: "TOO_MANY" });
      expect(Number(headers["retry-after"])).toBeGreaterThan(30);
    }
    // Nobody else is kept waiting by that.
    const hers = await stage.create("ann", await claimOf(someBytes(9)));
    expect((await stage.proveInVain("ann", hers.json["uploadId"], "00".repeat(32))).status).toBe(201);
    await stage.clock.advance(PROOF_WINDOW_MS);
    expect((await stage.prove("bob", known.json["uploadId"], right)).status).toBe(200);
  });
});
