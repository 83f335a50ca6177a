import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { type ErrorCode, TroupeError } from "../../src/core/errors.ts";
import { EVENT_HEARTBEAT_MS, EVENT_STREAMS_MAX, JSON_BODY_BYTES_MAX, WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX } from "../../src/core/limits.ts";
import type { UploadState } from "../../src/core/shapes.ts";
import { type Ask, digestsOf, once, Rig } from "./rig.ts";

const KIB64 = 64 * 1024;
const BYTES = Uint8Array.from({ length: 2 * KIB64 + 100 }, (_, index) => (index * 13 + (index >> 16)) & 0xff);
const chunkOf = (index: number): Uint8Array => BYTES.subarray(index * KIB64, (index + 1) * KIB64);

async function created(rig: Rig, extra: Record<string, unknown> = {}): Promise<string> {
  const answer = await rig.createJson({ name: "film.mp4", size: BYTES.length, chunkBytes: KIB64, ...extra });
  expect(answer.status).toBe(201);
  return String(answer.json["uploadId"]);
}

async function sendAll(rig: Rig, id: string): Promise<void> {
  for (const index of [2, 0, 1])
    expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/${index}`, { body: chunkOf(index) })).status).toBe(200);
}

describe("a resumable upload", () => {
  test("goes from create over chunks in any order to a file whose address plays", async () => {
    await using rig = await Rig.start();
    const answer = await rig.createJson({ name: "a film/teil 1.mp4", size: BYTES.length, chunkBytes: KIB64 });
    const { uploadId } = answer.json;
    expect(answer.json).toEqual({ uploadId, chunkBytes: KIB64, chunkCount: 3, state: "receiving", missing: [[0, 2]] });
    expect(answer.fields["location"]).toBe(`/api/v1/uploads/${String(uploadId)}`);

    const first = await rig.ask("PUT", `/api/v1/uploads/${String(uploadId)}/chunks/1`, { body: chunkOf(1) });
    expect([first.status, first.json]).toEqual([200, { index: 1, durable: true, copies: 1, receivedCount: 1 }]);
    const early = await rig.ask("POST", `/api/v1/uploads/${String(uploadId)}/merge`);
    expect([early.status, early.json["code"], early.json["missing"]]).toEqual([
      409,
      "UPLOAD_INCOMPLETE",
      [
        [0, 0],
        [2, 2],
      ],
    ]);
    const status = await rig.ask("GET", `/api/v1/uploads/${String(uploadId)}`);
    expect(status.json).toMatchObject({
      state: "receiving",
      since: "2026-01-01T00:00:00.000Z",
      size: BYTES.length,
      chunkBytes: KIB64,
      chunkCount: 3,
      receivedCount: 1,
      missing: [
        [0, 0],
        [2, 2],
      ],
    });
    expect(status.json).not.toHaveProperty("fileId");

    await sendAll(rig, String(uploadId));
    const merged = await rig.ask("POST", `/api/v1/uploads/${String(uploadId)}/merge`);
    expect(merged.status).toBe(200);
    expect(merged.json).toMatchObject({
      name: "a film/teil 1.mp4",
      size: BYTES.length,
      digest: digestsOf(BYTES),
      copies: 1,
      url: `http://localhost:8080/files/${String(merged.json["fileId"])}/a%20film/teil%201.mp4`,
    });
    const played = await rig.ask("GET", new URL(String(merged.json["url"])).pathname);
    expect(played.bytes.equals(BYTES)).toBe(true);
    expect(played.fields["content-type"]).toBe("video/mp4");
    // The session is gone by and by; the same merge gives the same file.
    await rig.loseSession(String(uploadId));
    expect((await rig.ask("POST", `/api/v1/uploads/${String(uploadId)}/merge`)).json).toEqual(merged.json);
    expect((await rig.ask("GET", `/api/v1/uploads/${String(uploadId)}`)).json).toMatchObject({
      state: "merged",
      fileId: merged.json["fileId"],
      receivedCount: 3,
      missing: [],
    });
    expect((await rig.ask("DELETE", `/api/v1/uploads/${String(uploadId)}`)).json["code"]).toBe("UPLOAD_MERGED");
  });

  test("F22: a merge repeated after the file was deleted gives its facts, with no copies; without facts it is 404 with a sentence", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    await sendAll(rig, id);
    const merged = await rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    const fileId = String(merged.json["fileId"]);
    await rig.loseSession(id);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`)).status).toBe(204);
    const bare = await rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    expect([bare.status, bare.json["code"]]).toEqual([404, "FILE_NOT_FOUND"]);
    expect(bare.json["detail"]).toBe(`The upload became the file ${fileId}, which was deleted since.`);
    const held = rig.uploads.get(id);
    if (held !== undefined) held.record = { ...held.record, digests: digestsOf(BYTES) };
    const again = await rig.ask("POST", `/api/v1/uploads/${id}/merge`);
    expect([again.status, again.json]).toEqual([200, { ...merged.json, copies: 0 }]);
  });

  test("a merge that need not be waited for is answered 202 with the way to its status", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    await sendAll(rig, id);
    const answer = await rig.ask("POST", `/api/v1/uploads/${id}/merge`, { headers: { prefer: "handling=lenient, respond-async" } });
    expect([answer.status, answer.fields["location"], answer.fields["preference-applied"]]).toEqual([
      202,
      `/api/v1/uploads/${id}`,
      "respond-async",
    ]);
  });

  test("a cancelled upload answers 204 again and takes no chunk", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    expect((await rig.ask("DELETE", `/api/v1/uploads/${id}`)).status).toBe(204);
    await rig.loseSession(id);
    expect((await rig.ask("DELETE", `/api/v1/uploads/${id}`)).status).toBe(204);
    const late = await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(0) });
    expect([late.status, late.json["code"]]).toEqual([410, "UPLOAD_CANCELLED"]);
  });

  test("an upload whose node is away is not lost: 503 and a Retry-After", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    await rig.loseSession(id);
    const answer = await rig.ask("GET", `/api/v1/uploads/${id}`);
    expect([answer.status, answer.json["code"], answer.fields["retry-after"]]).toEqual([503, "HOST_UNAVAILABLE", "1"]);
  });

  test("a token refused before the body was touched is asked for again; afterwards it is the client's turn", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    rig.plane.writeToken = "write-2";
    expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(0) })).status).toBe(200);
    expect(rig.calls.filter((call) => call.startsWith("access"))).toHaveLength(1);
    rig.plane.storeChunk = async (_access, chunk) => {
      for await (const _ of chunk.bytes) break;
      throw new TroupeError("HOST_UNAVAILABLE");
    };
    expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/1`, { body: chunkOf(1) })).json["code"]).toBe("HOST_UNAVAILABLE");
  });

  test.each<[UploadState, number, ErrorCode]>([
    ["cancelled", 410, "UPLOAD_CANCELLED"],
    ["merged", 409, "UPLOAD_MERGED"],
    ["receiving", 503, "HOST_UNAVAILABLE"],
  ])("a body on its way to a session that has gone is told that the upload is %s, and not that there is none", async (state, ...told) => {
    await using rig = await Rig.start();
    const id = await created(rig);
    rig.plane.storeChunk = async (_access, { bytes, uploadId }) => {
      for await (const _ of bytes) break;
      const held = rig.uploads.get(uploadId);
      if (held !== undefined) held.record = { ...held.record, state };
      await rig.loseSession(uploadId);
      throw new TroupeError("UPLOAD_NOT_FOUND");
    };
    const chunk = await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/1`, { body: chunkOf(1) });
    expect([chunk.status, chunk.json["code"]]).toEqual(told);
    const whole = await rig.ask("PUT", "/put/film.mp4", { body: BYTES });
    expect([whole.status, whole.json["code"]]).toEqual(told);
  });

  test("F21: the same chunk twice is fine, other bytes for an index are refused and the first stay", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    for (let time = 0; time < 2; time += 1)
      expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(0) })).json["receivedCount"]).toBe(1);
    expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(1) })).json["code"]).toBe("CHUNK_CONFLICT");
    expect(rig.uploads.get(id)?.chunks.get(0)).toEqual(Buffer.from(chunkOf(0)));
  });

  test("a Content-Digest reaches the node; a malformed one never does", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const digest = (bytes: Uint8Array) => `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;
    const put = (field: string) =>
      rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(0), headers: { "content-digest": field } });
    expect((await put(digest(chunkOf(0)))).status).toBe(200);
    expect((await put(digest(chunkOf(1)))).json["code"]).toBe("DIGEST_MISMATCH");
    expect((await put("sha-256=:AAAA:")).json["code"]).toBe("BAD_DIGEST");
  });

  test.each([
    ["1000000", 416],
    ["-1", 400],
    ["1.5", 400],
    ["0x1", 400],
    ["01", 400],
    ["9".repeat(30), 416],
  ])("chunk index %s is %i", async (index, statusCode) => {
    await using rig = await Rig.start();
    const id = await created(rig);
    expect((await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/${index}`, { body: chunkOf(0) })).status).toBe(statusCode);
  });

  test("a chunk longer than a chunk of this upload is refused by its declared length, before the body", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    let isPulled = false;
    const body = (async function* () {
      isPulled = true;
      yield chunkOf(0);
    })();
    const answer = await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body, headers: { "content-length": String(KIB64 + 1) } });
    expect([answer.json["code"], isPulled]).toEqual(["CHUNK_LENGTH", false]);
  });

  test("a node that cannot take the upload yields to the next; the last one's reason is the answer", async () => {
    await using rig = await Rig.start();
    rig.createFaults.set("node1", "DISK_FULL");
    await created(rig);
    expect(rig.calls).toEqual(["createUpload node1", "createUpload node2"]);
    rig.createFaults.set("node2", "DISK_FULL");
    expect((await rig.createJson({ name: "a", size: 1 })).status).toBe(507);
  });

  test("an idempotency key gives the same upload again, and is refused for another request", async () => {
    await using rig = await Rig.start();
    const first = await rig.createJson({ name: "a", size: 5, idempotencyKey: "k1" });
    const again = await rig.createJson({ name: "a", size: 5 }, { "idempotency-key": '"k1"' });
    expect(again.json).toEqual(first.json);
    expect((await rig.createJson({ name: "b", size: 5, idempotencyKey: "k1" })).json["code"]).toBe("IDEMPOTENCY_CONFLICT");
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["no name", { size: 1 }, "BAD_NAME"],
    ["a name of 10 KB", { name: "x".repeat(10_000) }, "BAD_NAME"],
    ["a line break in the name", { name: "a\r\nb" }, "BAD_NAME"],
    ["a parent in the name", { name: "../x" }, "BAD_NAME"],
    ["a size that is no number", { name: "a", size: "5" }, "BAD_REQUEST"],
    ["a negative size", { name: "a", size: -1 }, "BAD_REQUEST"],
    ["half a digest", { name: "a", digest: { algorithm: "md5", value: "00" } }, "BAD_DIGEST"],
    ["a huge size", { name: "a", size: 2 ** 53 - 1 }, "TOO_LARGE"],
  ])("I11: %s is refused", async (_, body, code) => {
    await using rig = await Rig.start();
    expect((await rig.createJson(body)).json["code"]).toBe(code);
    expect(rig.calls).toEqual([]);
  });

  test("a body that is not JSON, not declared so, or too large is refused with a sentence", async () => {
    await using rig = await Rig.start();
    const post = (body: string, type = "application/json") =>
      rig.ask("POST", "/api/v1/uploads", { body, headers: { "content-type": type } });
    expect((await post("{")).json["code"]).toBe("BAD_REQUEST");
    expect((await post('{"name":"a"}', "application/x-www-form-urlencoded")).status).toBe(415);
    expect((await post(`{"name":"${"a".repeat(JSON_BODY_BYTES_MAX)}"}`)).status).toBe(413);
    expect((await post('{"name":"a"}', "application/json; charset=utf-8")).status).toBe(201);
  });

  test("uploads are listed by state; another owner's are not there at all", async () => {
    const tokens = [
      { owner: "ann", secret: "s1" },
      { owner: "bob", secret: "s2" },
    ];
    await using rig = await Rig.start({ tokens });
    const as = (secret: string) => ({ headers: { authorization: `Bearer ${secret}` } });
    const mine = await rig.createJson({ name: "a", size: 5 }, as("s1").headers);
    const id = String(mine.json["uploadId"]);
    const listed = await rig.ask("GET", "/api/v1/uploads?state=receiving", as("s1"));
    expect(listed.json["uploads"]).toMatchObject([{ uploadId: id, name: "a", state: "receiving", size: 5, chunkCount: 1 }]);
    expect((await rig.ask("GET", "/api/v1/uploads", as("s2"))).json["uploads"]).toEqual([]);
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["PUT", "/chunks/0"],
      ["POST", "/merge"],
      ["GET", "/events"],
    ] as const) {
      const answer = await rig.ask(method, `/api/v1/uploads/${id}${path}`, as("s2"));
      expect([method, path, answer.json["code"]]).toEqual([method, path, "UPLOAD_NOT_FOUND"]);
    }
    const found = async (search: string, secret: string): Promise<unknown> =>
      (await rig.ask("GET", `/api/v1/uploads?${new URLSearchParams({ search })}`, as(secret))).json["uploads"];
    for (const search of ["a", id]) {
      expect(await found(search, "s1")).toMatchObject([{ uploadId: id }]);
      expect(await found(search, "s2")).toEqual([]);
    }
    expect(await found("b", "s1")).toEqual([]);
    expect((await rig.ask("GET", "/api/v1/uploads?search=", as("s1"))).status).toBe(400);
    expect((await rig.ask("GET", `/api/v1/uploads?search=${"a".repeat(256)}`, as("s1"))).status).toBe(400);
    expect((await rig.ask("GET", "/api/v1/uploads?state=gone", as("s1"))).status).toBe(400);
    expect((await rig.ask("GET", "/api/v1/uploads?limit=0", as("s1"))).status).toBe(400);
  });

  test.each(["*", "%3E", "a.b", "%20", "a".repeat(4096)])("I16: upload %s reaches no subject", async (id) => {
    await using rig = await Rig.start();
    expect([400, 404]).toContain((await rig.ask("GET", `/api/v1/uploads/${id}`)).status);
    expect([400, 404]).toContain((await rig.ask("GET", `/api/v1/uploads/${id}/events`)).status);
    expect(rig.calls).toEqual([]);
  });
});

describe("an upload's events", () => {
  const text = async (stream: AsyncIterator<Uint8Array>) => {
    const result = await stream.next();
    return result.done === true ? undefined : Buffer.from(result.value).toString();
  };
  const opened = async (rig: Rig, id: string) => {
    const answer = await rig.send("GET", `/api/v1/uploads/${id}/events`);
    expect(answer.headers["content-type"]).toBe("text/event-stream");
    return (answer.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  };

  test("begin with the status, pass facts on, and end with the upload", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const stream = await opened(rig, id);
    expect(await text(stream)).toMatch(/^event: state\ndata: \{.*"state":"receiving".*\}\nid: 1-receiving\nretry: 1000\n\n$/);
    rig.publishFact(id, "progress", { receivedBytes: 5 });
    expect(await text(stream)).toBe('event: progress\ndata: {"receivedBytes":5}\n\n');
    rig.end(id, "merged");
    rig.publishFact(id, "state", rig.statusOf(id));
    const last = await text(stream);
    expect(last).toContain('"state":"merged"');
    expect(last).toContain('"size":');
    expect(last).not.toContain("sizeBytes");
    expect(await text(stream)).toBeUndefined();
    expect(rig.gateway.status().eventStreamCount).toBe(0);
  });

  test("progress that was lost is made up for at the next heartbeat, once", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const stream = await opened(rig, id);
    await text(stream);
    await rig.ask("PUT", `/api/v1/uploads/${id}/chunks/0`, { body: chunkOf(0) });
    await rig.clock.advance(EVENT_HEARTBEAT_MS);
    expect(await text(stream)).toMatch(/^:/);
    expect(await text(stream)).toMatch(/^event: progress\ndata: .*"receivedCount":1[,}]/);
    await rig.clock.advance(2 * EVENT_HEARTBEAT_MS);
    for (let beat = 0; beat < 2; beat += 1) expect(await text(stream)).toMatch(/^:/);
    rig.publishFact(id, "progress", { own: "fact" });
    expect(await text(stream)).toContain("own");
    await stream.return?.();
  });

  test("a status asked for before a newer fact came is not sent after it", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const stream = await opened(rig, id);
    await text(stream);
    const gate = Promise.withResolvers<void>();
    rig.statusGate = gate.promise;
    rig.uploads.get(id)?.chunks.set(0, chunkOf(0));
    await rig.clock.advance(EVENT_HEARTBEAT_MS);
    expect(await text(stream)).toMatch(/^:/);
    // The heartbeat's answer, with one chunk received and still receiving, is under way while the upload goes on.
    rig.uploads.get(id)?.chunks.set(1, chunkOf(1));
    rig.publishFact(id, "state", { ...rig.statusOf(id), state: "verifying" });
    expect(await text(stream)).toContain('"state":"verifying"');
    rig.statusGate = undefined;
    gate.resolve();
    await rig.clock.advance(0);
    rig.end(id, "cancelled");
    rig.publishFact(id, "state", rig.statusOf(id));
    expect(await text(stream)).toContain('"state":"cancelled"');
    expect(await text(stream)).toBeUndefined();
  });

  test("a fact that comes before the first status is the status", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const gate = Promise.withResolvers<void>();
    rig.statusGate = gate.promise;
    const opening = opened(rig, id);
    await rig.clock.advance(0);
    rig.uploads.get(id)?.chunks.set(0, chunkOf(0));
    rig.publishFact(id, "progress", rig.statusOf(id));
    await rig.clock.advance(0);
    gate.resolve();
    const stream = await opening;
    expect(await text(stream)).toMatch(/^event: state\ndata: .*"receivedCount":1[,}]/);
    rig.publishFact(id, "mark", {});
    expect(await text(stream)).toContain("event: mark");
    await stream.return?.();
  });

  test("F28: one owner's streams past the bound are answered 429, another's are not; one that ends makes room", async () => {
    const as = (owner: string): Ask => ({ headers: { authorization: `Bearer ${owner}s` } });
    const [ann, bob] = [as("ann"), as("bob")];
    const tokens = ["ann", "bob"].map((owner) => ({ owner, secret: `${owner}s` }));
    await using rig = await Rig.start({ tokens });
    const eventsOf = async (ask: Ask): Promise<string> => {
      const body = JSON.stringify({ name: "film.mp4", size: 1 });
      const headers = { ...ask.headers, "content-type": "application/json" };
      return `/api/v1/uploads/${(await rig.ask("POST", "/api/v1/uploads", { headers, body })).json["uploadId"]}/events`;
    };
    const anns = await eventsOf(ann);
    const first = await rig.send("GET", anns, ann);
    const streams = [first];
    for (let last = first; last.status === 200; streams.push(last)) last = await rig.send("GET", anns, ann);
    expect(streams.at(-1)?.status).toBe(429);
    expect(streams.length).toBeGreaterThan(EVENT_STREAMS_MAX / 2);
    expect(streams.length).toBeLessThan(EVENT_STREAMS_MAX);
    expect((await rig.send("GET", await eventsOf(bob), bob)).status).toBe(200);
    await (first.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]().return?.();
    expect((await rig.send("GET", anns, ann)).status).toBe(200);
  });

  test("a lost last fact ends the stream at the next heartbeat", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const stream = await opened(rig, id);
    await text(stream);
    await rig.clock.advance(EVENT_HEARTBEAT_MS);
    expect(await text(stream)).toMatch(/^:/);
    rig.end(id, "cancelled");
    await rig.clock.advance(EVENT_HEARTBEAT_MS);
    expect(await text(stream)).toMatch(/^:/);
    expect(await text(stream)).toContain('"state":"cancelled"');
    expect(await text(stream)).toBeUndefined();
  });

  test("a reader that leaves, and a gateway that stops, leave no subscription and no timer", async () => {
    await using rig = await Rig.start();
    const id = await created(rig);
    const timers = rig.clock.timerCount;
    const left = await opened(rig, id);
    await left.return?.();
    const stopped = await opened(rig, id);
    await text(stopped);
    await rig.gateway.stop();
    expect(await text(stopped)).toBeUndefined();
    expect(rig.gateway.status().eventStreamCount).toBe(0);
    expect(rig.clock.timerCount).toBeLessThanOrEqual(timers);
  });
});

describe("a whole file as one body", () => {
  async function* drip(bytes: Uint8Array, step: number): AsyncGenerator<Uint8Array, void, void> {
    for (let offset = 0; offset < bytes.length; offset += step) yield bytes.subarray(offset, offset + step);
  }

  test("curl -T gets the address as a line of text, with and without a length", async () => {
    await using rig = await Rig.start();
    for (const headers of [{ "content-length": String(BYTES.length) }, {}] as Record<string, string>[]) {
      const answer = await rig.ask("PUT", "/put/shows/one%20%c3%a9.mkv", { body: drip(BYTES, 10_007), headers });
      expect(answer.status).toBe(201);
      expect(answer.bytes.toString()).toMatch(/^http:\/\/localhost:8080\/files\/[0-9a-f]{36}\/shows\/one%20%C3%A9\.mkv\n$/);
      expect(answer.fields["location"]).toBe(new URL(answer.bytes.toString().trim()).pathname);
      const got = await rig.ask("GET", answer.fields["location"] ?? "");
      expect(got.bytes.equals(BYTES)).toBe(true);
    }
  });

  test("POST answers like merge; the type is guessed from the name unless the client says something", async () => {
    await using rig = await Rig.start();
    const post = (type?: string) =>
      rig.ask("POST", "/api/v1/files?name=notes.txt&user=ann", {
        body: BYTES,
        headers: type === undefined ? {} : { "content-type": type },
      });
    for (const [type, stored] of [
      [undefined, "text/plain; charset=utf-8"],
      ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"],
      ["text/markdown", "text/markdown"],
    ] as const) {
      const answer = await post(type);
      expect(answer.status).toBe(201);
      expect(answer.json).toMatchObject({ name: "notes.txt", size: BYTES.length, copies: 1 });
      const metadata = await rig.ask("GET", `/api/v1/files/${String(answer.json["fileId"])}`);
      expect(metadata.json).toMatchObject({ contentType: stored, user: "ann", app: "default", digest: digestsOf(BYTES) });
    }
    expect((await post("multipart/mixed; boundary=x")).status).toBe(415);
  });

  test("an empty body is an empty file", async () => {
    await using rig = await Rig.start();
    const answer = await rig.ask("PUT", "/put/empty", { body: once(), headers: { "content-length": "0" } });
    expect(answer.status).toBe(201);
    expect((await rig.ask("GET", answer.fields["location"] ?? "")).fields["content-length"]).toBe("0");
  });

  test("F18: a client gone midway leaves a cancelled upload and no file", async () => {
    await using rig = await Rig.start();
    const body = (async function* () {
      yield BYTES.subarray(0, KIB64 + 5);
      throw new TroupeError("CANCELLED");
    })();
    await rig.ask("PUT", "/put/broken", { body });
    expect(rig.calls.filter((call) => call.startsWith("cancel"))).toHaveLength(1);
    expect([...rig.uploads.values()].map(({ record }) => record.state)).toEqual(["cancelled"]);
    expect(rig.files.size).toBe(0);
  });

  test("a body without a length is stopped at the limit, and nothing stays", async () => {
    await using rig = await Rig.start({ fileBytesMax: KIB64 + 10 });
    const answer = await rig.ask("PUT", "/put/long", { body: drip(BYTES, 5_000) });
    expect([answer.status, answer.json["code"]]).toEqual([413, "TOO_LARGE"]);
    expect([...rig.uploads.values()].map(({ record }) => record.state)).toEqual(["cancelled"]);
  });

  test("a whole file of which the disk lost a part is to be sent again: its client knows of no chunks", async () => {
    await using rig = await Rig.start();
    rig.mergeFault = "UPLOAD_INCOMPLETE";
    const lost = await rig.ask("PUT", "/put/a", { body: "x" });
    expect([lost.status, lost.json["code"], lost.json["missing"]]).toEqual([500, "DISK_FAILED", undefined]);
    rig.mergeFault = undefined;
    expect((await rig.ask("PUT", "/put/a", { body: "x" })).status).toBe(201);
  });

  test.each<[ErrorCode, boolean]>([
    ["DEADLINE_EXCEEDED", false],
    ["INTERNAL", false],
    ["DATABASE_UNAVAILABLE", false],
    ["DIGEST_MISMATCH", true],
    ["DISK_FULL", true],
  ])("a merge that ends in %s: the upload is cancelled: %s", async (code, isCancelled) => {
    await using rig = await Rig.start();
    rig.mergeFault = code;
    const answer = await rig.ask("PUT", "/put/film.mp4", { body: drip(BYTES, 10_007) });
    expect(answer.json["code"]).toBe(code);
    expect([...rig.uploads.values()].map(({ record }) => record.state)).toEqual([isCancelled ? "cancelled" : "receiving"]);
  });

  test("no promise that outlives a chunk gathers reactions, however many chunks a body has", async () => {
    await using rig = await Rig.start();
    const races = new Map<unknown, number>();
    const race = Promise.race.bind(Promise);
    const spy = vi.spyOn(Promise, "race").mockImplementation((promises) => {
      const all = [...promises];
      for (const promise of all) races.set(promise, (races.get(promise) ?? 0) + 1);
      return race(all);
    });
    // The first chunk is being synced until the last but two has arrived.
    const slow = Promise.withResolvers<void>();
    const store = rig.plane.storeChunk.bind(rig.plane);
    rig.plane.storeChunk = async (access, chunk) => {
      const stored = await store(access, chunk);
      if (chunk.index === 40) slow.resolve();
      if (chunk.index === 0) await slow.promise;
      return stored;
    };
    try {
      const answer = await rig.ask("PUT", "/put/long", { body: drip(new Uint8Array(42 * KIB64), KIB64) });
      expect(answer.status).toBe(201);
    } finally {
      spy.mockRestore();
    }
    expect(Math.max(0, ...races.values())).toBeLessThanOrEqual(WHOLE_FILE_CHUNKS_IN_FLIGHT_MAX);
  });

  test("a key whose file was deleted since is no success: the bytes are not there", async () => {
    await using rig = await Rig.start();
    const put = () => rig.ask("PUT", "/put/film.mp4", { body: drip(BYTES, 4_099), headers: { "idempotency-key": "once" } });
    expect((await put()).status).toBe(201);
    const [held] = rig.uploads.values();
    if (held === undefined) throw new Error("no upload");
    held.record = { ...held.record, sizeBytes: BYTES.length, digests: digestsOf(BYTES) };
    await rig.loseSession(held.record.uploadId);
    expect((await rig.ask("DELETE", `/api/v1/files/${held.record.fileId}`)).status).toBe(204);
    const again = await put();
    expect([again.status, again.json["code"]]).toEqual([404, "FILE_NOT_FOUND"]);
    expect(again.json["detail"]).toContain("take a new key");
  });

  test("a retry with the same key goes on with the same upload", async () => {
    await using rig = await Rig.start();
    const put = (body: AsyncIterable<Uint8Array>) => rig.ask("PUT", "/put/film.mp4", { body, headers: { "idempotency-key": "once" } });
    const broken = (async function* () {
      yield BYTES.subarray(0, KIB64 + 5);
      throw new TroupeError("CANCELLED");
    })();
    await put(broken);
    const answer = await put(drip(BYTES, 4_099));
    expect(answer.status).toBe(201);
    expect([...rig.uploads.values()].map(({ record }) => record.state)).toEqual(["merged"]);
    expect((await put(drip(BYTES, 4_099))).bytes.equals(answer.bytes)).toBe(true);
  });

  test("a declared length above the limit, a part, a coded body and a bad name are refused before anything is begun", async () => {
    await using rig = await Rig.start({ fileBytesMax: 1000 });
    expect((await rig.ask("PUT", "/put/a", { body: BYTES })).status).toBe(413);
    expect((await rig.ask("PUT", "/put/a", { body: "x", headers: { "content-range": "bytes 0-0/1" } })).status).toBe(400);
    expect((await rig.ask("PUT", "/put/a", { body: "x", headers: { "content-encoding": "gzip" } })).status).toBe(415);
    expect((await rig.ask("PUT", `/put/${"n".repeat(256)}`, { body: "x" })).json["code"]).toBe("BAD_NAME");
    expect((await rig.ask("PUT", "/put/", { body: "x" })).json["code"]).toBe("BAD_NAME");
    expect((await rig.ask("POST", "/api/v1/files", { body: "x" })).json["code"]).toBe("BAD_NAME");
    expect(rig.calls).toEqual([]);
  });

  test("a failing chunk ends the upload with its own error", async () => {
    await using rig = await Rig.start();
    const store = rig.plane.storeChunk.bind(rig.plane);
    rig.plane.storeChunk = async (access, chunk) => {
      if (chunk.index === 1) throw new TroupeError("DISK_FULL");
      return await store(access, chunk);
    };
    const answer = await rig.ask("PUT", "/put/full", { body: drip(BYTES, 4_099) });
    expect([answer.status, answer.json["code"]]).toEqual([507, "DISK_FULL"]);
  });
});
