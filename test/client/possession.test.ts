/** Uploads of content the server has: asked before, or meanwhile; and what is not there is sent all the same. */
import { createHmac } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { Slots } from "../../src/client/slots.ts";
import { uploadFile } from "../../src/client/uploader.ts";
import { CLIENT_DIGEST_FIRST_BYTES_MAX, CLIENT_INSTANT_BYTES_MIN } from "../../src/core/limits.ts";
import type { HttpClientRequest, HttpClientResponse } from "../../src/core/ports/http-exchange.ts";
import { streamHash } from "../../src/store/stream-hash.ts";
import { randomBlocks } from "../support/random-file.ts";
import { fileIdNumber, json, type MemoryGateway, problem } from "./memory-gateway.ts";
import { clientRig, failureOf } from "./rig.ts";

const MIB = 1024 * 1024;
const LARGE = CLIENT_INSTANT_BYTES_MIN + 4 * MIB;
const NONCE = "00ff17";
const RANGES = [
  [65_536, 65_536],
  [0, 10],
] as const;
const CREATE = "POST /api/v1/uploads";

const bodyOf = (request: HttpClientRequest): Record<string, unknown> => JSON.parse(String(request.body));
const blake3 = (bytes: Buffer): string => {
  const hash = streamHash("blake3");
  hash.update(bytes);
  return hash.digestHex();
};
const stored = (bytes: Buffer) => ({
  fileId: fileIdNumber(9),
  name: "a",
  size: bytes.length,
  digest: { blake3: blake3(bytes) },
  url: "http://x/",
  instant: true,
});

/** Creations with a digest are answered by `answer`, and chunks wait until one has been. */
function knowing(gateway: MemoryGateway, answer: (request: HttpClientRequest) => HttpClientResponse | undefined) {
  let asked = (): void => {};
  const wasAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  gateway.before = async (seen, request) => {
    if (seen.startsWith("PUT")) await wasAsked;
    if (seen === CREATE && bodyOf(request)["digest"] !== undefined) {
      const given = answer(request);
      asked();
      return given;
    }
    if (seen.endsWith("/proof")) return answer(request);
    return undefined;
  };
}

async function largeFile({ path: pathOf }: Awaited<ReturnType<typeof clientRig>>, sizeBytes = LARGE) {
  const bytes = Buffer.concat([...randomBlocks(1, 0, sizeBytes)]);
  const path = pathOf("a");
  await writeFile(path, bytes);
  return { path, bytes };
}

const challenged = (uploadId: string, ranges: readonly (readonly [number, number])[] = RANGES): HttpClientResponse =>
  json(202, { uploadId, chunkBytes: 8 * MIB, state: "receiving", missing: [], challenge: { nonce: NONCE, ranges } });

describe("a small file", () => {
  it("is asked for by its digest, and not sent when it is there", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await rig.file("a", 100_000);
    knowing(rig.gateway, (request) => {
      expect(bodyOf(request)["digest"]).toEqual({ algorithm: "blake3", value: blake3(bytes) });
      return json(200, stored(bytes));
    });
    expect(await uploadFile(rig.client, rig.ports, { path, name: "a" })).toMatchObject({ fileId: fileIdNumber(9) });
    expect(rig.gateway.seen).toEqual([CREATE]);
  });

  it("is sent sooner than proven, and in the upload that was offered", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a", 100_000);
    await rig.client.create({ name: "a", size: 100_000, idempotencyKey: "k" });
    rig.gateway.seen.length = 0;
    rig.gateway.before = (seen) =>
      seen === CREATE
        ? json(202, {
            uploadId: "u1",
            chunkBytes: 8 * MIB,
            state: "receiving",
            missing: [[0, 0]],
            challenge: { nonce: NONCE, ranges: RANGES },
          })
        : undefined;
    await uploadFile(rig.client, rig.ports, { path, name: "a" });
    expect(rig.gateway.count(/proof/)).toBe(0);
    expect(rig.gateway.uploads.get("u1")?.state).toBe("merged");
  });

  it("without bytes has no digest to be asked for", async () => {
    await using rig = await clientRig();
    const { path } = await rig.file("a", 0);
    await uploadFile(rig.client, rig.ports, { path, name: "a" });
    expect(bodyOf(rig.gateway.requests[0] as HttpClientRequest)["digest"]).toBeUndefined();
  });
});

describe("a large file", () => {
  it("begins at once; when the content is ours, what was begun is cancelled and the rest not sent", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await largeFile(rig);
    knowing(rig.gateway, () => json(200, stored(bytes)));
    const file = await uploadFile(rig.client, rig.ports, { path, name: "a", slots: new Slots(1) });
    expect(file.fileId).toBe(fileIdNumber(9));
    expect(rig.gateway.uploads.get("u1")).toMatchObject({ state: "cancelled" });
    expect(rig.gateway.count(/^PUT/)).toBeLessThanOrEqual(2);
    expect(rig.gateway.count(/merge/)).toBe(0);
  });

  it("proves that it has the content of somebody else, by the HMAC over the ranges in their order", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await largeFile(rig);
    const hmac = createHmac("sha256", Buffer.from(NONCE, "hex"));
    for (const [offset, length] of RANGES) hmac.update(bytes.subarray(offset, offset + length));
    const expected = hmac.digest("hex");
    knowing(rig.gateway, (request) => {
      if (!request.url.endsWith("/proof")) return challenged("p1");
      expect(request.url).toContain("/uploads/p1/proof");
      expect(bodyOf(request)).toEqual({ hmac: expected });
      return json(200, stored(bytes));
    });
    expect(await uploadFile(rig.client, rig.ports, { path, name: "a" })).toMatchObject({ fileId: fileIdNumber(9) });
    expect(rig.gateway.uploads.get("u1")?.state).toBe("cancelled");
  });

  it.each([
    ["the proof is not taken", () => json(201, { uploadId: "p1", chunkBytes: 8 * MIB, state: "receiving", missing: [] })],
    ["the proof is refused", () => problem(409, "UPLOAD_BUSY")],
    ["too many ask", () => problem(429, "TOO_MANY", {}, { "retry-after": "1" })],
  ])("is sent in the upload that was begun when %s, and the one that asked is cancelled", async (_, answer) => {
    await using rig = await clientRig();
    const { path, bytes } = await largeFile(rig);
    knowing(rig.gateway, (request) => (request.url.endsWith("/proof") ? answer() : challenged("p1")));
    await uploadFile(rig.client, rig.ports, { path, name: "a" });
    expect(rig.gateway.uploads.get("u1")?.state).toBe("merged");
    expect([...rig.gateway.files.values()].map((file) => file.bytes.equals(bytes))).toEqual([true]);
    expect(rig.gateway.count(/^DELETE .*\/p1$/)).toBe(1);
  });

  it.each([
    ["past its end", [[LARGE - 5, 10]] as const],
    ["for all of it", [[0, LARGE]] as const],
  ])("does not answer a server that asks %s", async (_, ranges) => {
    await using rig = await clientRig();
    const { path } = await largeFile(rig);
    knowing(rig.gateway, () => challenged("p1", ranges));
    await uploadFile(rig.client, rig.ports, { path, name: "a" });
    expect(rig.gateway.count(/proof/)).toBe(0);
    expect(rig.gateway.uploads.get("u1")?.state).toBe("merged");
  });

  it("never becomes two files: the merge waits for the answer to the question", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await largeFile(rig);
    let answered = false;
    rig.gateway.before = async (seen, request) => {
      if (seen === CREATE && bodyOf(request)["digest"] !== undefined) {
        while (rig.gateway.uploads.get("u1")?.chunks.size !== Math.ceil(LARGE / (8 * MIB)))
          await new Promise((resolve) => setImmediate(resolve));
        answered = true;
        return json(200, stored(bytes));
      }
      // The question is asked before the chunks are through.
      if (seen.startsWith("PUT")) while (rig.gateway.count(/^POST .*uploads$/) < 2) await new Promise((resolve) => setImmediate(resolve));
      if (seen.endsWith("/merge")) expect(answered).toBe(true);
      return undefined;
    };
    expect(await uploadFile(rig.client, rig.ports, { path, name: "a" })).toMatchObject({ fileId: fileIdNumber(9) });
    expect(rig.gateway.files.size).toBe(0);
    expect(rig.gateway.uploads.get("u1")?.state).toBe("cancelled");
  });

  it("knows its digest before anything is sent when that is wanted", async () => {
    await using rig = await clientRig();
    const { path, bytes } = await largeFile(rig, CLIENT_DIGEST_FIRST_BYTES_MAX + 1);
    const states: string[] = [];
    rig.gateway.before = (seen) => (seen === CREATE ? json(200, stored(bytes)) : undefined);
    await uploadFile(rig.client, rig.ports, { path, name: "a", isDigestFirst: true, onProgress: ({ state }) => states.push(state) });
    expect(rig.gateway.seen).toEqual([CREATE]);
    expect(states).toContain("reading");
  });

  it("that stops in the middle leaves no question behind", async () => {
    await using rig = await clientRig();
    const { path } = await largeFile(rig);
    rig.gateway.before = async (seen, request) => {
      if (seen === CREATE && bodyOf(request)["digest"] !== undefined)
        return await new Promise((_, reject) =>
          request.signal?.addEventListener("abort", () => reject(request.signal?.reason), { once: true }),
        );
      return seen.endsWith("chunks/1") ? problem(401, "UNAUTHORIZED") : undefined;
    };
    expect((await failureOf(uploadFile(rig.client, rig.ports, { path, name: "a" }))).code).toBe("UNAUTHORIZED");
  });
});
