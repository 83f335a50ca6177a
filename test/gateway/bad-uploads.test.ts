/** What a client can get wrong about an upload, against real sessions: each has its own code, costs little, and changes nothing. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CHUNK_BYTES_MAX, CHUNK_COUNT_MAX, JSON_BODY_BYTES_MAX, MISSING_RANGES_MAX } from "../../src/core/limits.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { FaultyDisk } from "../support/faulty-disk.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, piecesOf, someBytes, startTroupe, type Troupe } from "../support/troupe.ts";
import { gatewayOf, type Told, type TroupeGateway } from "../support/troupe-gateway.ts";
import { until } from "../support/until.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const KIB64 = 65_536;
const EXPIRY_MS = 60_000;
const UPLOADS = "/api/v1/uploads";

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let clock: VirtualClock;
let disk: FaultyDisk;
let troupe: Troupe;
let gateway: TroupeGateway;

beforeAll(async () => {
  directory = await temporaryDirectory();
  clock = new VirtualClock();
  disk = new FaultyDisk(new NodeDisk());
  // Room for declared sizes that nobody sends.
  disk.freeBytes = 2 ** 50;
  troupe = await startTroupe({ root: directory.path, clock, disk, idleExpiryMs: EXPIRY_MS });
  gateway = gatewayOf(troupe, { fileBytesMax: 1024 ** 4 });
});

afterAll(async () => {
  await gateway.stop();
  await troupe.stop();
  await directory[Symbol.asyncDispose]();
});

/** What this test's thread holds; what other tests hold in the same process is not counted. */
const ownBytes = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
const codeOf = ({ status, json }: Told): unknown[] => [status, json["code"]];

async function created(wish: Record<string, unknown> = {}): Promise<string> {
  const answer = await gateway.post(UPLOADS, { name: "a", size: KIB64 + 10, chunkBytes: KIB64, ...wish });
  expect(answer.status).toBe(201);
  return `${UPLOADS}/${String(answer.json["uploadId"])}`;
}

const put = (path: string, index: number | string, body: Uint8Array | AsyncIterable<Uint8Array>, headers: Record<string, string> = {}) =>
  gateway.ask("PUT", `${path}/chunks/${index}`, { body, headers });

const cancelled = async (path: string): Promise<void> => expect((await gateway.ask("DELETE", path)).status).toBe(204);

/** A body that says it has begun, and ends when it is told to. */
function heldBody(bytes: Uint8Array) {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 10);
    begun.resolve();
    await gate.promise;
    yield bytes.subarray(10);
  }
  return { body: body(), begun: begun.promise, release: () => gate.resolve() };
}

describe("a creation is refused", () => {
  const wishes: readonly [string, unknown, number, string][] = [
    ["I20: a size of 2^63", { name: "a", size: 2 ** 63 }, 400, "BAD_REQUEST"],
    ["I20: a size of 2^53", { name: "a", size: 2 ** 53 }, 400, "BAD_REQUEST"],
    ["I1: a size above what is allowed", { name: "a", size: 1024 ** 4 + 1 }, 413, "TOO_LARGE"],
    ["a negative size", { name: "a", size: -1 }, 400, "BAD_REQUEST"],
    ["half a byte", { name: "a", size: 1.5 }, 400, "BAD_REQUEST"],
    ["a size in words", { name: "a", size: "10" }, 400, "BAD_REQUEST"],
    ["chunks of nothing", { name: "a", chunkBytes: 0 }, 400, "BAD_CHUNK_SIZE"],
    ["chunks of less than nothing", { name: "a", chunkBytes: -KIB64 }, 400, "BAD_CHUNK_SIZE"],
    ["chunks below 64 KiB", { name: "a", chunkBytes: KIB64 - 1 }, 400, "BAD_CHUNK_SIZE"],
    ["chunks that are no multiple of 64 KiB", { name: "a", chunkBytes: KIB64 + 1 }, 400, "BAD_CHUNK_SIZE"],
    ["chunks above 64 MiB", { name: "a", chunkBytes: CHUNK_BYTES_MAX + KIB64 }, 400, "BAD_CHUNK_SIZE"],
    ["chunks of 2^63", { name: "a", chunkBytes: 2 ** 63 }, 400, "BAD_CHUNK_SIZE"],
    ["more than a million chunks", { name: "a", size: KIB64 * CHUNK_COUNT_MAX + 1, chunkBytes: KIB64 }, 400, "BAD_CHUNK_SIZE"],
    ["no name", { size: 1 }, 400, "BAD_NAME"],
    ["an empty name", { name: "" }, 400, "BAD_NAME"],
    ["a name that leads upwards", { name: "a/../../b" }, 400, "BAD_NAME"],
    ["a name from the root", { name: "/etc/passwd" }, 400, "BAD_NAME"],
    ["I11: a name with a line break", { name: "a\r\nset-cookie: x=y" }, 400, "BAD_NAME"],
    ["a name with NUL", { name: "a\0b" }, 400, "BAD_NAME"],
    ["half a surrogate", { name: "\ud800" }, 400, "BAD_NAME"],
    ["I11: a name of 256 bytes", { name: "é".repeat(128) }, 400, "BAD_NAME"],
    ["I11: a name of 10 KB", { name: "x".repeat(10_240) }, 400, "BAD_NAME"],
    ["a name that is a list", { name: ["a"] }, 400, "BAD_NAME"],
    ["a digest of an unknown algorithm", { name: "a", digest: { algorithm: "crc32", value: "00" } }, 400, "BAD_DIGEST"],
    ["a digest of another length", { name: "a", digest: { algorithm: "md5", value: "00" } }, 400, "BAD_DIGEST"],
    ["a digest that is a word", { name: "a", digest: "md5" }, 400, "BAD_DIGEST"],
    ["a content type with a line break", { name: "a", contentType: "a/b\r\nx: y" }, 400, "BAD_REQUEST"],
    ["a user of 257 bytes", { name: "a", user: "u".repeat(257) }, 400, "BAD_REQUEST"],
    ["an app with a line break", { name: "a", app: "a\nb" }, 400, "BAD_REQUEST"],
    ["an idempotency key of 129 characters", { name: "a", idempotencyKey: "k".repeat(129) }, 400, "BAD_REQUEST"],
    ["an idempotency key with a space", { name: "a", idempotencyKey: "a b" }, 400, "BAD_REQUEST"],
    ["a list", [{ name: "a" }], 400, "BAD_REQUEST"],
    ["nothing", null, 400, "BAD_REQUEST"],
    ["a number", 7, 400, "BAD_REQUEST"],
  ];
  for (const [what, wish, status, code] of wishes) {
    it(`${what}: ${status} ${code}`, async () => {
      expect(codeOf(await gateway.post(UPLOADS, wish))).toEqual([status, code]);
    });
  }

  const bodies: readonly [string, string | Uint8Array, Record<string, string>, number, string][] = [
    ["no body", "", {}, 400, "BAD_REQUEST"],
    ["what is no JSON", "{name:1}", {}, 400, "BAD_REQUEST"],
    ["what is no UTF-8", Buffer.from([0x22, 0xff, 0x22]), {}, 400, "BAD_REQUEST"],
    ["a body of another type", "name=a", { "content-type": "application/x-www-form-urlencoded" }, 415, "UNSUPPORTED_TYPE"],
    ["a huge body", `{"name":"${"x".repeat(JSON_BODY_BYTES_MAX)}"}`, {}, 413, "TOO_LARGE"],
    ["I1: a body that says it has 2^63 bytes", "{}", { "content-length": String(2n ** 63n) }, 413, "TOO_LARGE"],
    ["levels without end", "[".repeat(JSON_BODY_BYTES_MAX - 1), {}, 400, "BAD_REQUEST"],
    ["an idempotency key in the header with a line break", '{"name":"a"}', { "idempotency-key": "a b" }, 400, "BAD_REQUEST"],
  ];
  for (const [what, body, headers, status, code] of bodies) {
    it(`${what}: ${status} ${code}`, async () => {
      const answer = await gateway.ask("POST", UPLOADS, { body, headers: { "content-type": "application/json", ...headers } });
      expect(codeOf(answer)).toEqual([status, code]);
    });
  }

  it("and leaves nothing behind", async () => {
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
    expect((await troupe.catalog.uploads({}, AS_LOCAL)).uploads).toEqual([]);
    expect((await troupe.storage.status({})).reservedBytes).toBe(0);
  });
});

describe("a creation takes", () => {
  it("the last of two keys of one name, and no key that is not asked for", async () => {
    const body = '{"name":"first","__proto__":{"size":-1},"constructor":1,"deep":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],"name":"second"}';
    const answer = await gateway.ask("POST", UPLOADS, { body, headers: { "content-type": "application/json" } });
    expect(answer.status).toBe(201);
    const path = `${UPLOADS}/${String(answer.json["uploadId"])}`;
    expect((await gateway.ask("GET", path)).json).toMatchObject({ name: "second", state: "receiving" });
    await cancelled(path);
  });

  it("a size of nothing: there is no chunk, and a file after the merge", async () => {
    const answer = await gateway.post(UPLOADS, { name: "empty", size: 0 });
    expect([answer.json["chunkCount"], answer.json["missing"]]).toEqual([0, []]);
    const path = `${UPLOADS}/${String(answer.json["uploadId"])}`;
    expect(codeOf(await put(path, 0, Buffer.alloc(0)))).toEqual([416, "CHUNK_OUT_OF_RANGE"]);
    expect(codeOf(await put(path, 0, Buffer.alloc(1)))).toEqual([416, "CHUNK_OUT_OF_RANGE"]);
    const merged = await gateway.ask("POST", `${path}/merge`);
    expect([merged.status, merged.json["size"]]).toEqual([200, 0]);
  });

  it("a million chunks, and tells what is missing in a few words", async () => {
    const before = ownBytes();
    const path = await created({ size: KIB64 * CHUNK_COUNT_MAX });
    expect((await put(path, 500_000, someBytes(KIB64))).status).toBe(200);
    const missing = [
      [0, 499_999],
      [500_001, 999_999],
    ];
    const status = await gateway.ask("GET", path);
    expect(status.json).toMatchObject({ chunkCount: CHUNK_COUNT_MAX, receivedCount: 1, missing });
    const merge = await gateway.ask("POST", `${path}/merge`);
    expect([...codeOf(merge), merge.json["missing"]]).toEqual([409, "UPLOAD_INCOMPLETE", missing]);
    expect(ownBytes() - before).toBeLessThan(128 * 1024 * 1024);
    await cancelled(path);
  });

  it("gaps without number, of which the first are told", async () => {
    const path = await created({ size: KIB64 * 4 * MISSING_RANGES_MAX });
    // A sync of a thousand bodies is not what is tried here.
    disk.intercept = () => {};
    const indexes = Array.from({ length: MISSING_RANGES_MAX + 1 }, (_, index) => 2 * index + 1);
    const bytes = someBytes(KIB64);
    while (indexes.length > 0) await Promise.all(indexes.splice(0, 50).map((index) => put(path, index, bytes)));
    const { json, text } = await gateway.ask("GET", path);
    const { missing, missingTruncated } = json as { missing: number[][]; missingTruncated: boolean };
    expect([missing.length, missing[0], missing.at(-1), missingTruncated]).toEqual([MISSING_RANGES_MAX, [0, 0], [1998, 1998], true]);
    expect(text.length).toBeLessThan(64 * 1024);
    const merge = await gateway.ask("POST", `${path}/merge`);
    expect([...codeOf(merge), merge.json["missingTruncated"]]).toEqual([409, "UPLOAD_INCOMPLETE", true]);
    await cancelled(path);
  });
});

describe("a chunk is refused", () => {
  const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("base64");
  const whole = someBytes(KIB64);
  const rest = someBytes(10);
  const chunked = (bytes: Uint8Array): AsyncIterable<Uint8Array> => piecesOf(bytes, 1_000);

  const refusals: readonly [string, number | string, Uint8Array | AsyncIterable<Uint8Array>, Record<string, string>, number, string][] = [
    ["of an index past the last", 2, rest, {}, 416, "CHUNK_OUT_OF_RANGE"],
    ["of an index no upload has", CHUNK_COUNT_MAX, rest, {}, 416, "CHUNK_OUT_OF_RANGE"],
    ["I20: of index 2^53", String(2n ** 53n), rest, {}, 416, "CHUNK_OUT_OF_RANGE"],
    ["I20: of index 2^63", String(2n ** 63n), rest, {}, 416, "CHUNK_OUT_OF_RANGE"],
    ["of an index of a thousand digits", "9".repeat(1_000), rest, {}, 416, "CHUNK_OUT_OF_RANGE"],
    ["of a negative index", "-1", rest, {}, 400, "BAD_REQUEST"],
    ["of an index in words", "first", rest, {}, 400, "BAD_REQUEST"],
    ["of index 01", "01", rest, {}, 400, "BAD_REQUEST"],
    ["of index 1e0", "1e0", rest, {}, 400, "BAD_REQUEST"],
    ["of index 0x1", "0x1", rest, {}, 400, "BAD_REQUEST"],
    ["that is shorter, and says so", 0, whole.subarray(1), {}, 400, "CHUNK_LENGTH"],
    ["that is longer, and says so", 1, someBytes(11), {}, 400, "CHUNK_LENGTH"],
    ["that is longer than any, and says so", 0, someBytes(KIB64 + 1), {}, 400, "CHUNK_LENGTH"],
    ["F18: that turns out to be shorter", 0, chunked(whole.subarray(1)), {}, 400, "CHUNK_LENGTH"],
    ["that turns out to be longer", 1, chunked(someBytes(11)), {}, 400, "CHUNK_LENGTH"],
    ["that is empty", 0, Buffer.alloc(0), {}, 400, "CHUNK_LENGTH"],
    ["I1: that says it has 2^63 bytes", 0, rest, { "content-length": String(2n ** 63n) }, 413, "TOO_LARGE"],
    ["F23: whose digest is another", 1, rest, { "content-digest": `md5=:${md5(whole)}:` }, 422, "DIGEST_MISMATCH"],
    [
      "one of whose digests is another",
      1,
      rest,
      { "content-digest": `md5=:${md5(rest)}:, sha-256=:${"A".repeat(43)}=:` },
      422,
      "DIGEST_MISMATCH",
    ],
    ["whose digest is no digest", 1, rest, { "content-digest": "md5" }, 400, "BAD_DIGEST"],
    ["whose digest is too short", 1, rest, { "content-digest": "md5=:AAAA:" }, 400, "BAD_DIGEST"],
    ["whose digest is in hex", 1, rest, { "content-digest": `md5=${"0".repeat(32)}` }, 400, "BAD_DIGEST"],
    ["that is compressed", 1, rest, { "content-encoding": "gzip" }, 415, "UNSUPPORTED_TYPE"],
  ];
  for (const [what, index, body, headers, status, code] of refusals) {
    it(`${what}: ${status} ${code}, and nothing of it counts`, async () => {
      const path = await created();
      expect(codeOf(await put(path, index, body, headers))).toEqual([status, code]);
      expect((await gateway.ask("GET", path)).json).toMatchObject({
        state: "receiving",
        receivedCount: 0,
        inFlightCount: 0,
        missing: [[0, 1]],
      });
      // Nor is it in the way of the right one.
      expect((await put(path, 1, rest, { "content-digest": `crc-9=:AAAA:, md5=:${md5(rest)}:` })).status).toBe(200);
      await cancelled(path);
    });
  }

  it("F19, F21: other than what was there or is arriving; the same is taken again", async () => {
    const path = await created();
    const first = heldBody(whole);
    const writing = put(path, 0, first.body);
    await first.begun;
    const same = put(path, 0, whole);
    const other = put(path, 0, someBytes(KIB64, 2));
    first.release();
    expect((await writing).status).toBe(200);
    expect((await same).status).toBe(200);
    expect(codeOf(await other)).toEqual([409, "CHUNK_CONFLICT"]);
    expect((await put(path, 0, whole)).json).toMatchObject({ index: 0, receivedCount: 1 });
    expect(codeOf(await put(path, 0, someBytes(KIB64, 3)))).toEqual([409, "CHUNK_CONFLICT"]);
    await cancelled(path);
  });
});

describe("a file of another size than was declared", () => {
  it("is not merged while it is shorter, and takes no more than was declared", async () => {
    const path = await created({ size: KIB64 + 10 });
    expect((await put(path, 0, someBytes(KIB64))).status).toBe(200);
    const early = await gateway.ask("POST", `${path}/merge`);
    expect([...codeOf(early), early.json["missing"]]).toEqual([409, "UPLOAD_INCOMPLETE", [[1, 1]]]);
    expect(codeOf(await put(path, 1, someBytes(9)))).toEqual([400, "CHUNK_LENGTH"]);
    expect(codeOf(await put(path, 2, someBytes(1)))).toEqual([416, "CHUNK_OUT_OF_RANGE"]);
    expect((await put(path, 1, someBytes(10))).status).toBe(200);
    expect((await gateway.ask("POST", `${path}/merge`)).json["size"]).toBe(KIB64 + 10);
  });
});

describe("an upload that has ended", () => {
  /** Made once: how each end answers each request is the table. */
  const ended: Record<string, string> = {};

  const statesOfUploads = async (): Promise<string[]> => (await troupe.catalog.uploads({}, AS_LOCAL)).uploads.map(({ state }) => state);
  const noneReceiving = (states: string[]): boolean => !states.includes("receiving");

  beforeAll(async () => {
    const one = { size: 10 };
    ended["expired"] = await created(one);
    // The session looks at its idle time between two writes to a real disk: perhaps a second later.
    await until(async () => {
      await clock.advance(EXPIRY_MS);
      return await statesOfUploads();
    }, noneReceiving);
    ended["merged"] = await created(one);
    await put(ended["merged"], 0, someBytes(10));
    await gateway.ask("POST", `${ended["merged"]}/merge`);
    ended["failed"] = await created({ ...one, digest: { algorithm: "md5", value: "00".repeat(16) } });
    await put(ended["failed"], 0, someBytes(10));
    await gateway.ask("POST", `${ended["failed"]}/merge`);
    ended["cancelled"] = await created(one);
    await cancelled(ended["cancelled"]);
    ended["unknown"] = `${UPLOADS}/AAAAAAAAAAAAAAAAAAAAAA`;
    ended["no identity"] = `${UPLOADS}/..%2Fx`;
    await until(statesOfUploads, noneReceiving);
  });

  type Outcome = readonly [number, string | undefined];
  const table: Readonly<Record<string, Readonly<Record<"chunk" | "merge" | "cancel" | "proof" | "status" | "events", Outcome>>>> = {
    expired: {
      chunk: [410, "UPLOAD_EXPIRED"],
      merge: [410, "UPLOAD_EXPIRED"],
      cancel: [410, "UPLOAD_EXPIRED"],
      proof: [410, "UPLOAD_EXPIRED"],
      status: [200, "expired"],
      events: [200, undefined],
    },
    merged: {
      chunk: [409, "UPLOAD_MERGED"],
      merge: [200, undefined],
      cancel: [409, "UPLOAD_MERGED"],
      proof: [200, undefined],
      status: [200, "merged"],
      events: [200, undefined],
    },
    failed: {
      chunk: [410, "UPLOAD_FAILED"],
      merge: [422, "DIGEST_MISMATCH"],
      cancel: [410, "UPLOAD_FAILED"],
      proof: [410, "UPLOAD_FAILED"],
      status: [200, "failed"],
      events: [200, undefined],
    },
    cancelled: {
      chunk: [410, "UPLOAD_CANCELLED"],
      merge: [410, "UPLOAD_CANCELLED"],
      cancel: [204, undefined],
      proof: [410, "UPLOAD_CANCELLED"],
      status: [200, "cancelled"],
      events: [200, undefined],
    },
    unknown: {
      chunk: [404, "UPLOAD_NOT_FOUND"],
      merge: [404, "UPLOAD_NOT_FOUND"],
      cancel: [404, "UPLOAD_NOT_FOUND"],
      proof: [404, "UPLOAD_NOT_FOUND"],
      status: [404, "UPLOAD_NOT_FOUND"],
      events: [404, "UPLOAD_NOT_FOUND"],
    },
  };

  const requests = {
    chunk: (path: string) => put(path, 0, someBytes(10)),
    merge: (path: string) => gateway.ask("POST", `${path}/merge`),
    cancel: (path: string) => gateway.ask("DELETE", path),
    status: (path: string) => gateway.ask("GET", path),
    events: (path: string) => gateway.ask("GET", `${path}/events`),
    proof: (path: string) => gateway.post(`${path}/proof`, { hmac: "00".repeat(32) }),
  };

  for (const [state, outcomes] of Object.entries(table)) {
    for (const [name, [status, code]] of Object.entries(outcomes)) {
      it(`${state}: ${name} is answered ${status} ${code ?? ""}`, async () => {
        const answer = await requests[name as keyof typeof requests](ended[state] as string);
        expect([answer.status, answer.json["code"] ?? answer.json["state"]]).toEqual([status, code]);
        if (name === "events" && status === 200) expect(answer.text).toContain(`"state":"${state}"`);
        if (status === 410) expect(answer.headers).not.toHaveProperty("retry-after");
      });
    }
  }

  it("I16: what cannot be an identity is no upload, whatever is asked of it", async () => {
    for (const id of ["..", "a.b", "*", "%3E", "a%20b", "x".repeat(65), "x".repeat(4_096), "%00", "..%2F..%2Fx"]) {
      for (const [name, ask] of Object.entries(requests)) {
        // Of which nobody may make so many.
        if (name === "proof") continue;
        const { status } = await ask(`${UPLOADS}/${id}`);
        expect([id.slice(0, 70), [400, 404, 405].includes(status)]).toEqual([id.slice(0, 70), true]);
      }
    }
  });

  it("F22: answers the same to whoever repeats a request, at another gateway and after a restart", async () => {
    const other = gatewayOf(troupe);
    const before = await Promise.all(
      Object.values(ended).flatMap((path) => [requests.merge(path), requests.cancel(path)].map(async (asked) => codeOf(await asked))),
    );
    await gateway.stop();
    gateway = other;
    const elsewhere = await Promise.all(
      Object.values(ended).flatMap((path) => [requests.merge(path), requests.cancel(path)].map(async (asked) => codeOf(await asked))),
    );
    expect(elsewhere).toEqual(before);
    await gateway.stop();
    await troupe.stop();
    troupe = await startTroupe({ root: directory.path, clock, disk, idleExpiryMs: EXPIRY_MS });
    gateway = gatewayOf(troupe);
    const restarted = await Promise.all(
      Object.values(ended).flatMap((path) => [requests.merge(path), requests.cancel(path)].map(async (asked) => codeOf(await asked))),
    );
    expect(restarted).toEqual(before);
  });
});
