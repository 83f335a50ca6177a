/** Forms with a file, cut anywhere, and everything that is not one. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BODY_BUFFER_BYTES_MAX,
  JSON_BODY_BYTES_MAX,
  MULTIPART_HEADER_BYTES_MAX,
  MULTIPART_OVERHEAD_BYTES_MAX,
  WRITE_BLOCK_BYTES,
} from "../../src/core/limits.ts";
import type { HttpRequest } from "../../src/core/ports/http-exchange.ts";
import { readMultipart } from "../../src/gateway/multipart-body.ts";
import { digestsOf, once, Rig } from "./rig.ts";

const BOUNDARY = "----a-boundary";
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
const BYTES = Uint8Array.from({ length: 200_000 }, (_, index) => (index * 7) & 0xff);

interface Part {
  readonly head: string;
  readonly body: Uint8Array | string;
}

const field = (name: string, body: string): Part => ({ head: `Content-Disposition: form-data; name="${name}"`, body });
const metadata = (value: unknown): Part => field("metadata", JSON.stringify(value));
const file = (
  body: Uint8Array | string = BYTES,
  name = 'filename="film.mp4"',
  type = "\r\nContent-Type: application/octet-stream",
): Part => ({
  head: `Content-Disposition: form-data; name="file"${name === "" ? "" : `; ${name}`}${type}`,
  body,
});

function form(parts: readonly Part[], end = `--${BOUNDARY}--\r\n`): Buffer {
  const encoded = parts.map(({ head, body }) => [
    Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`),
    typeof body === "string" ? Buffer.from(body) : body,
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([...encoded.flat(), Buffer.from(end)]);
}

async function* inBlocks(body: Uint8Array, blockBytes: number): AsyncGenerator<Uint8Array, void, void> {
  for (let offset = 0; offset < body.length; offset += blockBytes) yield body.subarray(offset, offset + blockBytes);
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const post = (rig: Rig, body: Uint8Array | AsyncIterable<Uint8Array>, headers: Record<string, string> = {}, query = "") =>
  rig.ask("POST", `/api/v1/files${query}`, { body, headers: { "content-type": TYPE, ...headers } });

const asked = (body: AsyncIterable<Uint8Array>): HttpRequest => ({
  method: "POST",
  target: "/api/v1/files",
  headers: { "content-type": TYPE },
  body,
  remoteAddress: "127.0.0.1",
  secure: false,
  signal: new AbortController().signal,
});

describe("a form with a file", () => {
  test("is that file, called and kept as its metadata says", async () => {
    await using rig = await Rig.start();
    const answer = await post(
      rig,
      form([metadata({ name: "films/ä b.mp4", app: "a1", user: "ann", contentType: "video/x-thing" }), file()]),
    );
    expect(answer.status).toBe(201);
    const { fileId } = answer.json as { fileId: string };
    expect(answer.json).toMatchObject({ name: "films/ä b.mp4", size: BYTES.length, copies: 1, digest: digestsOf(BYTES) });
    expect(answer.fields["location"]).toBe(`/files/${fileId}/films/%C3%A4%20b.mp4`);
    expect(rig.files.get(fileId)).toMatchObject({ app: "a1", user: "ann", contentType: "video/x-thing" });
    expect((await rig.ask("GET", `/files/${fileId}`)).bytes.equals(BYTES)).toBe(true);
  });

  test.each([
    [[file()], "", "film.mp4", "video/mp4"],
    [[file(BYTES, 'filename="C:\\\\My Films\\\\film.mkv"')], "", "film.mkv", "video/x-matroska"],
    [[file(BYTES, 'filename="/etc/../film.mp4"')], "", "film.mp4", "video/mp4"],
    [[file(BYTES, 'filename="ä 日本.txt"', "")], "", "ä 日本.txt", "text/plain; charset=utf-8"],
    [[file(BYTES, 'filename="x.png"', "\r\nContent-Type: image/webp")], "", "x.png", "image/webp"],
    [[file()], "?name=from/query.webm&user=ann", "from/query.webm", "video/webm"],
    [[metadata({ name: "m.webm" }), file()], "?name=q.mp4", "m.webm", "video/webm"],
    [[metadata({}), file()], "", "film.mp4", "video/mp4"],
    [[metadata({ name: "no-name-of-its-own" }), file(BYTES, "", "")], "", "no-name-of-its-own", "text/plain"],
    // A browser sends JSON as a Blob, with a file name of its own.
    [
      [
        {
          head: 'Content-Disposition: form-data; name="metadata"; filename="blob"\r\nContent-Type: application/json',
          body: '{"name":"b.mp4"}',
        },
        file(),
      ],
      "",
      "b.mp4",
      "video/mp4",
    ],
  ] as const)("takes name and type from where they are said best (%#)", async (parts, query, name, type) => {
    await using rig = await Rig.start();
    const answer = await post(rig, form(parts), {}, query);
    expect([answer.status, answer.json["name"]]).toEqual([201, name]);
    expect(rig.files.get(String(answer.json["fileId"]))?.contentType).toBe(type);
  });

  test("of no bytes is an empty file", async () => {
    await using rig = await Rig.start();
    const answer = await post(rig, form([file(new Uint8Array(0))]));
    expect([answer.status, answer.json["size"]]).toEqual([201, 0]);
  });

  test("is read the same wherever the network cuts it, also when its bytes look like its boundary", async () => {
    const almost = fc.constantFrom("\r\n", "--", "\r\n--", `\r\n--${BOUNDARY.slice(0, -1)}`, `--${BOUNDARY}`, "\r", "\n", "-", "x");
    const content = fc.array(fc.oneof(almost, fc.string({ maxLength: 5 })), { maxLength: 20 }).map((parts) => parts.join(""));
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 1, max: 40 }), fc.boolean(), async (text, blockBytes, hasEpilogue) => {
        fc.pre(!`\r\n${text}`.includes(`\r\n--${BOUNDARY}`));
        const body = form([metadata({ name: "x" }), file(text)], `--${BOUNDARY}--${hasEpilogue ? "\r\nand more" : ""}`);
        const read = await readMultipart(asked(inBlocks(body, blockBytes)));
        const blocks: Uint8Array[] = [];
        for await (const block of read.bytes) blocks.push(block);
        expect(read.metadata).toEqual({ name: "x" });
        expect(Buffer.concat(blocks).toString()).toBe(text);
      }),
      { numRuns: 60 },
    );
  });

  test("the same again with its idempotency key is the same file; another with that key is refused", async () => {
    await using rig = await Rig.start();
    const key = { "idempotency-key": "k1" };
    const first = await post(rig, form([file()]), key);
    const again = await post(rig, form([file()]), key);
    expect([first.status, again.status, again.json["fileId"]]).toEqual([201, 201, first.json["fileId"]]);
    expect((await post(rig, form([metadata({ name: "other" }), file()]), key)).json["code"]).toBe("IDEMPOTENCY_CONFLICT");
  });

  test("waits in memory for no more than a few blocks while nobody takes its bytes", async () => {
    const block = Buffer.alloc(64 * 1024, "x");
    let givenBytes = 0;
    async function* long(): AsyncGenerator<Uint8Array, void, void> {
      yield Buffer.from(`--${BOUNDARY}\r\n${file().head}\r\n\r\n`);
      for (let count = 0; count < 1_000; count += 1) {
        givenBytes += block.length;
        yield block;
      }
      yield Buffer.from(`\r\n--${BOUNDARY}--`);
    }
    const read = await readMultipart(asked(long()));
    let takenBytes = 0;
    let aheadBytes = 0;
    for await (const taken of read.bytes) {
      takenBytes += taken.length;
      await nextTurn();
      aheadBytes = Math.max(aheadBytes, givenBytes - takenBytes);
    }
    expect(takenBytes).toBe(1_000 * block.length);
    expect(aheadBytes).toBeLessThanOrEqual(2 * (WRITE_BLOCK_BYTES + BODY_BUFFER_BYTES_MAX));
  });
});

describe("what is no form with one file", () => {
  const twice = form([file(), file("two")]);
  test.each([
    ["no file", form([metadata({ name: "x" })]), "BAD_REQUEST"],
    ["no part at all", Buffer.from(`--${BOUNDARY}--\r\n`), "BAD_REQUEST"],
    ["an empty body", Buffer.alloc(0), "BAD_REQUEST"],
    ["no boundary in the body", BYTES, "BAD_REQUEST"],
    ["two files", twice, "BAD_REQUEST"],
    ["metadata behind the file", form([file(), metadata({ name: "x" })]), "BAD_REQUEST"],
    ["metadata twice", form([metadata({}), metadata({}), file()]), "BAD_REQUEST"],
    ["metadata that is no JSON", form([field("metadata", "name=x"), file()]), "BAD_REQUEST"],
    ["metadata that is no object", form([metadata("x"), file()]), "BAD_REQUEST"],
    ["metadata that is too long", form([metadata({ name: "x", more: "y".repeat(JSON_BODY_BYTES_MAX) }), file()]), "BAD_REQUEST"],
    ["a name that climbs", form([metadata({ name: "../x" }), file()]), "BAD_NAME"],
    ["a name of 256 bytes", form([file(BYTES, `filename="${"x".repeat(256)}"`)]), "BAD_NAME"],
    ["no name anywhere", form([file(BYTES, "", "")]), "BAD_NAME"],
    ["a digest that is none", form([metadata({ digest: { algorithm: "md5", value: "0" } }), file()]), "BAD_DIGEST"],
    ["a label that is none", form([metadata({ app: "x".repeat(17) }), file()]), "BAD_REQUEST"],
    ["an unknown part", form([field("submit", "Send"), file()]), "BAD_REQUEST"],
    ["an unknown part behind the file", form([file(), field("submit", "Send")]), "BAD_REQUEST"],
    ["a part without a name", form([{ head: "Content-Disposition: form-data", body: "x" }, file()]), "BAD_REQUEST"],
    ["very many parts", form(Array.from({ length: 10_000 }, () => ({ head: "X: y", body: "z" }))), "BAD_REQUEST"],
    [
      "a part whose head never ends",
      form([{ head: `X: ${"y".repeat(MULTIPART_HEADER_BYTES_MAX * 4)}\r\n${file().head}`, body: "x" }]),
      "BAD_REQUEST",
    ],
    ["a body cut in its file", twice.subarray(0, 100_000), "BAD_REQUEST"],
    ["a body cut in its last boundary", form([file()]).subarray(0, -5), "BAD_REQUEST"],
    ["a body cut in a part's head", form([metadata({}), file()]).subarray(0, 100), "BAD_REQUEST"],
    [
      "a preamble longer than any form",
      Buffer.concat([Buffer.alloc(MULTIPART_OVERHEAD_BYTES_MAX + 600_000, "p"), Buffer.from("\r\n"), form([file()])]),
      "BAD_REQUEST",
    ],
  ] as const)("F18: %s: a typed error, and nothing is stored", async (_, body, code) => {
    for (const blockBytes of [1_000, 65_536]) {
      await using rig = await Rig.start();
      const answer = await post(rig, inBlocks(body, blockBytes));
      expect([answer.status, answer.json["code"]]).toEqual([400, code]);
      expect(rig.files.size).toBe(0);
      expect([...rig.uploads.values()].filter(({ record }) => record.state !== "cancelled")).toEqual([]);
    }
  });

  test.each(["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=other"])(
    "%s does not say how it is to be read",
    async (type) => {
      await using rig = await Rig.start();
      expect((await post(rig, form([file()]), { "content-type": type })).json["code"]).toBe("BAD_REQUEST");
    },
  );

  test("a digest of the form as a whole is refused, for it would be taken for its file's", async () => {
    await using rig = await Rig.start();
    const answer = await post(rig, form([file()]), { "content-digest": `md5=:${"A".repeat(22)}==:` });
    expect([answer.json["code"], rig.uploads.size]).toEqual(["BAD_DIGEST", 0]);
  });

  test("I1: a length above any file is refused before a byte is read", async () => {
    await using rig = await Rig.start({ fileBytesMax: 1_000_000 });
    let isRead = false;
    async function* body(): AsyncGenerator<Uint8Array, void, void> {
      isRead = true;
      yield form([file()]);
    }
    expect((await post(rig, body(), { "content-length": String(2n ** 63n) })).status).toBe(413);
    expect(isRead).toBe(false);
  });

  test("a file longer than any may be ends the form with 413 wherever it stands", async () => {
    await using rig = await Rig.start({ fileBytesMax: 100_000 });
    const answer = await post(rig, inBlocks(form([file()]), 10_000));
    expect([answer.status, rig.files.size]).toEqual([413, 0]);
  });

  test("what is wrong long behind the file's last byte is an error of the file's bytes", async () => {
    async function* slow(): AsyncGenerator<Uint8Array, void, void> {
      yield form([file("all of it")], `--${BOUNDARY}\r\n`);
      for (let turn = 0; turn < 20; turn += 1) await nextTurn();
      yield Buffer.from(`${field("submit", "").head}\r\n\r\nSend\r\n--${BOUNDARY}--\r\n`);
    }
    const read = await readMultipart(asked(slow()));
    const blocks: Uint8Array[] = [];
    await expect(
      (async () => {
        for await (const block of read.bytes) blocks.push(block);
      })(),
    ).rejects.toMatchObject({ code: "BAD_REQUEST" });
    expect(Buffer.concat(blocks).toString()).toBe("all of it");
  });

  test("a form whose file is there already is not waited for", async () => {
    await using rig = await Rig.start();
    const key = { "idempotency-key": "k1" };
    expect((await post(rig, form([file()]), key)).status).toBe(201);
    let isOver = false;
    async function* long(): AsyncGenerator<Uint8Array, void, void> {
      try {
        yield form([file()], "");
        for (;;) {
          await nextTurn();
          yield Buffer.alloc(64 * 1024);
        }
      } finally {
        isOver = true;
      }
    }
    expect((await post(rig, long(), key)).status).toBe(201);
    for (let turn = 0; turn < 100 && !isOver; turn += 1) await nextTurn();
    expect(isOver).toBe(true);
  });

  test("F18: a client that goes away in the middle leaves nothing", async () => {
    await using rig = await Rig.start();
    async function* broken(): AsyncGenerator<Uint8Array, void, void> {
      yield* once(form([file()]).subarray(0, 100_000));
      throw new Error("the connection was reset");
    }
    const answer = await post(rig, broken());
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect([...rig.uploads.values()].map(({ record }) => record.state)).toEqual(["cancelled"]);
  });
});
