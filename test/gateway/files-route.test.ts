import { describe, expect, test } from "vitest";
import { LOOKUP_KEPT_MS } from "../../src/core/limits.ts";
import { Rig } from "./rig.ts";

const BYTES = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) & 0xff);

describe("a file's address", () => {
  test("gives the whole file with all a player needs", async () => {
    await using rig = await Rig.start();
    const file = rig.addFile(BYTES);
    const answer = await rig.ask("GET", `/files/${file.fileId}/film.mp4`);
    expect(answer.status).toBe(200);
    expect(answer.bytes.equals(BYTES)).toBe(true);
    expect(answer.fields).toMatchObject({
      "content-type": "video/mp4",
      "content-length": "100000",
      "accept-ranges": "bytes",
      etag: `"b3-${file.digests.blake3.slice(0, 32)}"`,
      "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT",
      "content-disposition": 'inline; filename="film.mp4"',
      "x-content-type-options": "nosniff",
    });
    expect(answer.fields["x-request-id"]).toMatch(/^[\w-]{16}$/);
    expect(answer.fields).not.toHaveProperty("content-security-policy");
  });

  test("HEAD says the same and reads nothing", async () => {
    await using rig = await Rig.start();
    const file = rig.addFile(BYTES);
    const got = await rig.ask("GET", `/files/${file.fileId}`);
    const headed = await rig.ask("HEAD", `/files/${file.fileId}`, { headers: { range: "bytes=0-1" } });
    expect(headed.status).toBe(200);
    expect(headed.body).toBeUndefined();
    expect({ ...headed.fields, "x-request-id": "" }).toEqual({ ...got.fields, "x-request-id": "" });
    expect(rig.plane.reads).toHaveLength(1);
  });

  test.each([
    ["bytes=0-0", 0, 0],
    ["bytes=99999-", 99_999, 99_999],
    ["bytes=-500", 99_500, 99_999],
    ["bytes=50000-60000", 50_000, 60_000],
    [`bytes=5-${2n ** 63n}`, 5, 99_999],
  ])("%s is those bytes, with 206", async (range, first, last) => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    const answer = await rig.ask("GET", `/files/${fileId}`, { headers: { range } });
    expect(answer.status).toBe(206);
    expect(answer.fields["content-range"]).toBe(`bytes ${first}-${last}/100000`);
    expect(answer.fields["content-length"]).toBe(String(last - first + 1));
    expect(answer.bytes.equals(BYTES.subarray(first, last + 1))).toBe(true);
  });

  test("several ranges come as parts, in the order asked, with the length announced", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    const answer = await rig.ask("GET", `/files/${fileId}`, { headers: { range: "bytes=90000-90009,0-4" } });
    expect(answer.status).toBe(206);
    const boundary = /^multipart\/byteranges; boundary=([\w-]+)$/.exec(answer.fields["content-type"] ?? "")?.[1];
    const part = (first: number, last: number) =>
      Buffer.concat([
        Buffer.from(`--${boundary}\r\ncontent-type: video/mp4\r\ncontent-range: bytes ${first}-${last}/100000\r\n\r\n`),
        BYTES.subarray(first, last + 1),
        Buffer.from("\r\n"),
      ]);
    expect(answer.bytes.equals(Buffer.concat([part(90_000, 90_009), part(0, 4), Buffer.from(`--${boundary}--\r\n`)]))).toBe(true);
    expect(answer.fields["content-length"]).toBe(String(answer.bytes.length));
  });

  test("I7: a range past the end, and any of an empty file, is 416 with the size", async () => {
    await using rig = await Rig.start();
    const full = rig.addFile(BYTES);
    const empty = rig.addFile(new Uint8Array(0));
    for (const [file, range, size] of [
      [full, "bytes=100000-", 100_000],
      [full, "bytes=-0", 100_000],
      [empty, "bytes=0-", 0],
    ] as const) {
      const answer = await rig.ask("GET", `/files/${file.fileId}`, { headers: { range } });
      expect([answer.status, answer.fields["content-range"], answer.json["code"]]).toEqual([
        416,
        `bytes */${size}`,
        "RANGE_NOT_SATISFIABLE",
      ]);
    }
    const whole = await rig.ask("GET", `/files/${empty.fileId}`);
    expect([whole.status, whole.fields["content-length"], whole.bytes.length]).toEqual([200, "0", 0]);
  });

  test("I4, I5: too many ranges and malformed ones are answered with the whole file", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    for (const range of [`bytes=${"0-0,".repeat(17)}`, "bytes=0-,0-,0-", "bytes=5-2", "bytes=-"]) {
      const answer = await rig.ask("GET", `/files/${fileId}`, { headers: { range } });
      expect([answer.status, answer.bytes.length]).toEqual([200, BYTES.length]);
    }
  });

  test("I8: a stale If-Range makes a range the whole, a fresh one keeps it", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    const { etag = "", "last-modified": modified = "" } = (await rig.ask("HEAD", `/files/${fileId}`)).fields;
    for (const ifRange of [etag, modified])
      expect((await rig.ask("GET", `/files/${fileId}`, { headers: { range: "bytes=0-9", "if-range": ifRange } })).status).toBe(206);
    for (const ifRange of ['"other"', `W/${etag}`, "Thu, 01 Jan 2015 00:00:00 GMT"]) {
      const answer = await rig.ask("GET", `/files/${fileId}`, { headers: { range: "bytes=0-9", "if-range": ifRange } });
      expect([answer.status, answer.bytes.length]).toEqual([200, BYTES.length]);
    }
  });

  test("what the client has already is not sent again", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    const { etag = "" } = (await rig.ask("HEAD", `/files/${fileId}`)).fields;
    const fresh = await rig.ask("GET", `/files/${fileId}`, { headers: { "if-none-match": etag, range: "bytes=0-1" } });
    expect([fresh.status, fresh.body, fresh.fields["etag"]]).toEqual([304, undefined, etag]);
    expect((await rig.ask("GET", `/files/${fileId}`, { headers: { "if-match": '"other"' } })).json["code"]).toBe("PRECONDITION_FAILED");
  });

  test("I10: what could run is stored as it is, never sniffed, and shown in a sandbox", async () => {
    await using rig = await Rig.start();
    for (const contentType of [
      "text/html",
      "image/svg+xml",
      "application/xhtml+xml",
      "application/octet-stream",
      "text/xml; charset=utf-8",
    ]) {
      const { fileId } = rig.addFile(BYTES, { contentType, name: "page" });
      const { fields } = await rig.ask("GET", `/files/${fileId}`);
      expect(fields["content-type"]).toBe(contentType);
      expect(fields["x-content-type-options"]).toBe("nosniff");
      expect(fields["content-security-policy"]).toMatch(/^sandbox; default-src 'none'/);
    }
  });

  test("I11: no name breaks out of the field it stands in", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES, { name: 'folder/a"b\\;\u202e\u00e9' });
    const { fields } = await rig.ask("GET", `/files/${fileId}?download`);
    expect(fields["content-disposition"]).toBe(`attachment; filename="a_b___e"; filename*=UTF-8''a%22b%5C%3B%E2%80%AE%C3%A9`);
  });

  test("F25: a deleted file is gone at once here, within the time a lookup is kept elsewhere, and an open read ends exactly", async () => {
    await using rig = await Rig.start();
    const { fileId, owner } = rig.addFile(BYTES);
    const open = await rig.send("GET", `/files/${fileId}`);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`)).status).toBe(204);
    expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(404);
    expect((await rig.ask("DELETE", `/api/v1/files/${fileId}`)).json["code"]).toBe("FILE_NOT_FOUND");
    let received = 0;
    for await (const block of open.body as AsyncIterable<Uint8Array>) received += block.length;
    expect(received).toBe(BYTES.length);
    // Deleted through another gateway.
    const other = rig.addFile(BYTES, { owner });
    expect((await rig.ask("GET", `/files/${other.fileId}`)).status).toBe(200);
    rig.files.delete(other.fileId);
    await rig.clock.advance(LOOKUP_KEPT_MS + 1);
    expect((await rig.ask("GET", `/files/${other.fileId}`)).status).toBe(404);
  });

  test("a lookup that began before a delete does not bring the file back", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    const [, raced] = await Promise.all([rig.ask("DELETE", `/api/v1/files/${fileId}`), rig.ask("GET", `/files/${fileId}`)]);
    expect([200, 404]).toContain(raced.status);
    expect((await rig.ask("GET", `/files/${fileId}`)).status).toBe(404);
  });

  test("a lookup and a read grant are asked for once", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    for (let time = 0; time < 3; time += 1) await rig.ask("GET", `/files/${fileId}`, { headers: { range: "bytes=0-9" } });
    expect(rig.calls.filter((call) => call.startsWith("catalog.file"))).toHaveLength(1);
    expect(rig.calls.filter((call) => call.startsWith("grantRead"))).toHaveLength(1);
  });

  test("a node that does not answer yields to the next holder; a refused grant is renewed once", async () => {
    await using rig = await Rig.start();
    const { fileId } = rig.addFile(BYTES);
    rig.plane.readFaults.set("node1", "HOST_UNAVAILABLE");
    expect((await rig.ask("GET", `/files/${fileId}`)).bytes.equals(BYTES)).toBe(true);
    rig.plane.readToken = "read-2";
    expect((await rig.ask("GET", `/files/${fileId}`)).bytes.equals(BYTES)).toBe(true);
    rig.plane.readFaults.set("node2", "HOST_UNAVAILABLE");
    const none = await rig.ask("GET", `/files/${fileId}`);
    expect([none.status, none.json["code"], none.fields["retry-after"]]).toEqual([503, "HOST_UNAVAILABLE", "1"]);
  });

  test.each(["x", "..", "%2e%2e", "0".repeat(37), "*", "a.b"])("I3: an ID is never a path: %s is not found or not a path", async (id) => {
    await using rig = await Rig.start();
    expect([400, 404]).toContain((await rig.ask("GET", `/files/${id}`)).status);
    expect(rig.calls).toEqual([]);
  });
});
