import { describe, expect, it, test } from "vitest";
import { blobPath } from "../../src/core/blob-path.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { READ_TOKEN_MS } from "../../src/core/limits.ts";
import { type Log, SILENT_LOG } from "../../src/core/log.ts";
import type { HttpResponse } from "../../src/core/ports/http-exchange.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { currentTrace, REQUEST_ID_FIELD } from "../../src/core/trace.ts";
import type { ByteService } from "../../src/data-plane/byte-service.ts";
import { createDataServer } from "../../src/data-plane/data-server.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { StallingClock } from "../support/stalling-clock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, piecesOf, readFile, someBytes, startTroupe, type Troupe, uploadFile } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

async function ask(
  troupe: Troupe,
  method: string,
  target: string,
  options: { token?: string; headers?: Record<string, string>; body?: Uint8Array } = {},
): Promise<{ status: number; headers: HttpResponse["headers"]; body: Buffer }> {
  const response = await createDataServer(troupe.node, troupe.tokens, { log: SILENT_LOG })({
    method,
    target,
    headers: { ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }), ...options.headers },
    body: piecesOf(options.body ?? new Uint8Array(), 10_000),
    remoteAddress: "127.0.0.1",
    secure: false,
    signal: new AbortController().signal,
  });
  const pieces: Uint8Array[] = [];
  if (typeof response.body === "string") pieces.push(Buffer.from(response.body));
  else if (response.body instanceof Uint8Array) pieces.push(response.body);
  else if (response.body !== undefined) for await (const piece of response.body) pieces.push(piece);
  return { status: response.status, headers: response.headers, body: Buffer.concat(pieces) };
}

describe("a node's data server", () => {
  it("stores chunks and serves ranges to whoever holds a token", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const bytes = someBytes(200_000);
    const created = await createUpload(troupe, { sizeBytes: bytes.length, chunkBytes: 131_072 });
    const token = created.access?.token as string;
    for (const index of [0, 1]) {
      const body = bytes.subarray(index * 131_072, (index + 1) * 131_072);
      const { status, body: answer } = await ask(troupe, "PUT", `/chunks/${created.uploadId}/${index}`, {
        token,
        body,
        headers: { "content-length": String(body.length) },
      });
      expect(status).toBe(200);
      expect(JSON.parse(answer.toString())).toMatchObject({ index, receivedCount: index + 1, copies: 1, isNew: true });
    }
    const { file } = await troupe.upload(created.uploadId).merge({ epoch: created.epoch }, AS_LOCAL);
    const { blob } = await troupe.catalog.file({ fileId: file?.fileId as string }, AS_LOCAL);
    const grant = await troupe.storage.grantRead({ blobId: blob.blobId, path: blob.path, sizeBytes: bytes.length });
    const whole = await ask(troupe, "GET", `/blobs/${blob.blobId}?token=${encodeURIComponent(grant.token)}`);
    expect(whole.status).toBe(200);
    expect(whole.body.equals(bytes)).toBe(true);
    const range = await ask(troupe, "GET", `/blobs/${blob.blobId}`, { token: grant.token, headers: { range: "bytes=100-299" } });
    expect(range).toMatchObject({ status: 206, headers: { "content-range": "bytes 100-299/200000", "content-length": "200" } });
    expect(range.body.equals(bytes.subarray(100, 300))).toBe(true);
    expect(await ask(troupe, "HEAD", `/blobs/${blob.blobId}`, { token: grant.token })).toMatchObject({
      status: 200,
      headers: { "content-length": "200000" },
    });
    expect(await ask(troupe, "GET", `/blobs/${blob.blobId}`, { token: grant.token, headers: { range: "bytes=200000-" } })).toMatchObject({
      status: 416,
    });
  });

  it("I23: refuses a token of another kind, of another upload or blob, of another node, cut, changed or expired", async () => {
    await using directory = await temporaryDirectory();
    const clock = new StallingClock();
    await using troupe = await startTroupe({ root: directory.path, clock });
    const { fileId } = await uploadFile(troupe, someBytes(10));
    const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
    const read = (await troupe.storage.grantRead({ blobId: blob.blobId, path: blob.path, sizeBytes: 10 })).token;
    const created = await createUpload(troupe, { sizeBytes: 1 });
    const write = created.access?.token as string;
    const foreign = new TokenMint(clock, new SeededRandom(5)).mint({ kind: "read", blobId: blob.blobId, path: blob.path, sizeBytes: 10 });
    const target = `/blobs/${blob.blobId}`;
    for (const token of [
      write,
      foreign,
      read.slice(0, -1),
      `${read}a`,
      `A${read}`,
      "",
      ".",
      "a.b.c",
      "x".repeat(5000),
      `${read.split(".")[0]}.`,
    ]) {
      expect((await ask(troupe, "GET", target, { token })).status, token.slice(0, 20)).toBeGreaterThanOrEqual(401);
      expect((await ask(troupe, "GET", target, { token })).status).toBeLessThanOrEqual(403);
    }
    expect((await ask(troupe, "GET", target)).status).toBe(401);
    expect((await ask(troupe, "GET", "/blobs/99", { token: read })).status).toBe(403);
    expect((await ask(troupe, "PUT", "/chunks/other/0", { token: write, body: someBytes(1) })).status).toBe(403);
    expect((await ask(troupe, "GET", target, { token: read })).status).toBe(200);
    clock.stall(READ_TOKEN_MS);
    expect((await ask(troupe, "GET", target, { token: read })).status).toBe(403);
  });

  it("I23: no token is given for a blob that is not here, or not of that size, and one that is open is known by its own", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const { fileId } = await uploadFile(troupe, someBytes(10));
    const { blob } = await troupe.catalog.file({ fileId }, AS_LOCAL);
    const here = { blobId: blob.blobId, path: blob.path, sizeBytes: 10 };
    const grant = (asked: typeof here) =>
      troupe.storage.grantRead(asked).then(
        () => "granted",
        (error: TroupeError) => error.code,
      );
    const asks = [here, { ...here, sizeBytes: 11 }, { ...here, blobId: blob.blobId + 1, path: blobPath(blob.blobId + 1, 1) }];
    const answers = async () => Promise.all(asks.map(grant));
    expect(await answers()).toEqual(["granted", "BLOB_DAMAGED", "BLOB_NOT_FOUND"]);
    await readFile(troupe, fileId);
    expect(await answers()).toEqual(["granted", "BLOB_DAMAGED", "BLOB_NOT_FOUND"]);
  });

  it("answers errors of the session with their code, and closes after a refused body", async () => {
    await using directory = await temporaryDirectory();
    await using troupe = await startTroupe({ root: directory.path });
    const created = await createUpload(troupe, { sizeBytes: 100 });
    const token = created.access?.token as string;
    const { status, body } = await ask(troupe, "PUT", `/chunks/${created.uploadId}/1`, { token, body: someBytes(1) });
    expect(status).toBe(416);
    expect(JSON.parse(body.toString())).toMatchObject({ code: "CHUNK_OUT_OF_RANGE" });
    const digest = await ask(troupe, "PUT", `/chunks/${created.uploadId}/0`, {
      token,
      body: someBytes(100),
      headers: { "content-digest": `md5=:${Buffer.alloc(16).toString("base64")}:` },
    });
    expect(digest.status).toBe(422);
    expect(await troupe.upload(created.uploadId).status({}, AS_LOCAL)).toMatchObject({ receivedCount: 0 });
    for (const target of ["/", "/chunks/a/b", "/chunks/../0", "/blobs/-1", "/blobs/1/2"])
      expect((await ask(troupe, "GET", target, { token })).status).toBe(404);
    expect((await ask(troupe, "POST", "/blobs/1", { token })).status).toBe(405);
  });
});

test("what a node's disk could not do is in its log under the request's ID; what somebody asked wrongly is not at that level", async () => {
  const lines: { level: string; facts: Readonly<Record<string, unknown>> }[] = [];
  const write = (level: string) => (facts: Readonly<Record<string, unknown>>) =>
    void lines.push({ level, facts: { ...facts, ...currentTrace() } });
  const log: Log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error"), child: () => log };
  const clock = new VirtualClock();
  const tokens = new TokenMint(clock, new SeededRandom(1));
  const broken = { storeChunk: () => Promise.reject(new TroupeError("DISK_FAILED")) } as unknown as ByteService;
  const answer = createDataServer(broken, tokens, { log, spans: new SpanBook(clock, "node1") });
  const request = (token: string) => ({
    method: "PUT",
    target: "/chunks/u1/0",
    headers: {
      authorization: `Bearer ${token}`,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      [REQUEST_ID_FIELD]: "request-1",
    },
    body: piecesOf(new Uint8Array(), 1),
    remoteAddress: "127.0.0.1",
    secure: false,
    signal: new AbortController().signal,
  });
  expect((await answer(request(tokens.mint({ kind: "write", uploadId: "u1" })))).status).toBe(500);
  expect((await answer(request("nobodys"))).status).toBe(403);
  expect(lines).toEqual([
    { level: "info", facts: expect.objectContaining({ code: "DISK_FAILED", path: "/chunks/u1/0", requestId: "request-1" }) },
    { level: "debug", facts: expect.objectContaining({ code: "FORBIDDEN", requestId: "request-1" }) },
  ]);
});
