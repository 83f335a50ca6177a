import { expect, it } from "vitest";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { ByteStream } from "../../src/core/ports/byte-stream.ts";
import type { HttpResponse } from "../../src/core/ports/http-exchange.ts";
import { createDataServer } from "../../src/data-plane/data-server.ts";
import { TestLoad } from "../support/load.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, createUpload, piecesOf, someBytes, startTroupe, uploadFile } from "../support/troupe.ts";

it("F28: a node with too much to do begins no upload and no read; what was begun goes on to its end", async () => {
  await using directory = await temporaryDirectory();
  const load = new TestLoad();
  await using troupe = await startTroupe({ root: directory.path, load: load.watch });
  const server = createDataServer(troupe.node, troupe.tokens, { log: SILENT_LOG, load: load.watch });
  const ask = (method: string, target: string, token: string, body: Uint8Array = new Uint8Array()): Promise<HttpResponse> =>
    server({
      method,
      target,
      headers: { authorization: `Bearer ${token}`, ...(method === "PUT" ? { "content-length": String(body.length) } : {}) },
      body: piecesOf(body, 10_000),
      remoteAddress: "127.0.0.1",
      secure: false,
      signal: new AbortController().signal,
    });
  const bytes = someBytes(300_000);
  const file = await uploadFile(troupe, bytes);
  const { blob } = await troupe.catalog.file({ fileId: file.fileId }, AS_LOCAL);
  const grant = await troupe.storage.grantRead({ blobId: blob.blobId, path: blob.path, sizeBytes: bytes.length });
  const begun = await createUpload(troupe, { sizeBytes: 1_000 });
  const read = await ask("GET", `/blobs/${blob.blobId}`, grant.token);

  await load.begin();
  await expect(createUpload(troupe, { sizeBytes: 1_000 })).rejects.toMatchObject({ code: "OVERLOADED" });
  expect(await ask("GET", `/blobs/${blob.blobId}`, grant.token)).toMatchObject({
    status: 503,
    close: true,
    headers: { "retry-after": "3" },
  });
  const body = someBytes(1_000);
  expect((await ask("PUT", `/chunks/${begun.uploadId}/0`, begun.access?.token ?? "", body)).status).toBe(200);
  expect(await troupe.upload(begun.uploadId).merge({ epoch: begun.epoch }, AS_LOCAL)).toMatchObject({ state: "merged" });
  const pieces: Uint8Array[] = [];
  for await (const piece of read.body as ByteStream) pieces.push(Buffer.from(piece));
  expect(Buffer.concat(pieces).equals(bytes)).toBe(true);

  await load.end();
  expect((await ask("HEAD", `/blobs/${blob.blobId}`, grant.token)).status).toBe(200);
  expect((await createUpload(troupe, { sizeBytes: 1_000 })).isNew).toBe(true);
});
