/**
 * The server's memory does not depend on the size of a file. TROUPE_TEST_FILE_GIB sets that size (default 0.5; a fraction will do);
 * what was seen is printed.
 */
import { once } from "node:events";
import { get, request } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { expect, it } from "vitest";
import { BLOCK_BYTES, expectRandomFile, randomBlocks } from "../support/random-file.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const SIZE = Math.floor(Number(process.env["TROUPE_TEST_FILE_GIB"] ?? "0.5") * 1024) * BLOCK_BYTES + 12_345;
const CHUNK_BYTES = 8 * BLOCK_BYTES;
const CHUNKS_AT_A_TIME = 4;
const RESIDENT_BYTES_MAX = 300_000_000;
/** A gigabyte at 10 MB/s, and the start of the server. */
const TIMEOUT_MS = 300_000 + SIZE / 10_000;

async function asJson<T>(response: Response): Promise<T> {
  const said = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${said}`);
  return JSON.parse(said) as T;
}

/** @returns the file's URL */
async function uploadInChunks(server: ServerProcess, seed: number): Promise<string> {
  const created = await asJson<{ uploadId: string; chunkCount: number }>(
    await fetch(`${server.url}/api/v1/uploads`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "chunks.bin", size: SIZE, chunkBytes: CHUNK_BYTES }),
    }),
  );
  const at = `${server.url}/api/v1/uploads/${created.uploadId}`;
  let next = 0;
  const send = async (): Promise<void> => {
    for (let index = next++; index < created.chunkCount; index = next++) {
      const offset = index * CHUNK_BYTES;
      const body = Buffer.concat([...randomBlocks(seed, offset, Math.min(CHUNK_BYTES, SIZE - offset))]);
      await asJson(await fetch(`${at}/chunks/${index}`, { method: "PUT", body }));
    }
  };
  await Promise.all(Array.from({ length: CHUNKS_AT_A_TIME }, send));
  return (await asJson<{ url: string }>(await fetch(`${at}/merge`, { method: "POST" }))).url;
}

/** @returns the file's URL */
async function uploadAsOneBody(server: ServerProcess, seed: number): Promise<string> {
  const outgoing = request(`${server.url}/put/body.bin`, { method: "PUT", headers: { "content-length": SIZE } });
  const answered = once(outgoing, "response");
  await pipeline(Readable.from(randomBlocks(seed, 0, SIZE), { objectMode: false }), outgoing);
  const [response] = (await answered) as [Readable & { statusCode: number }];
  const said = await text(response);
  if (response.statusCode !== 201) throw new Error(`${response.statusCode} ${said}`);
  return said.trim();
}

async function download(url: string, seed: number): Promise<void> {
  const [response] = (await once(get(url), "response")) as [Readable];
  await expectRandomFile(response, seed, SIZE);
}

/** Does it, and tells the rate and the peak of the server's memory. */
async function measured<T>(what: string, server: ServerProcess, work: () => Promise<T>): Promise<T> {
  const restingBytes = await server.residentBytes();
  const beganMs = performance.now();
  const result = await work();
  const seconds = (performance.now() - beganMs) / 1000;
  const peakBytes = await server.residentPeakBytes();
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
  console.log(
    `${what}: ${SIZE} bytes in ${seconds.toFixed(1)} s (${mb(SIZE / seconds)} MB/s), resident ${mb(restingBytes)} MB before, ${mb(peakBytes)} MB at most`,
  );
  expect(peakBytes, what).toBeLessThan(RESIDENT_BYTES_MAX);
  return result;
}

it.each([
  { way: "in chunks, four at a time", upload: uploadInChunks, seed: 1 },
  { way: "as one body", upload: uploadAsOneBody, seed: 2 },
])("F28: memory stays below 300 MB while a large file is sent $way, and while it is read", { timeout: TIMEOUT_MS }, async (row) => {
  const { way, upload, seed } = row;
  await using directory = await temporaryDirectory();
  await using first = await startServer(directory.path);
  const { pathname } = new URL(await measured(`sent ${way}`, first, () => upload(first, seed)));
  expect(await first.terminate()).toBe(0);
  // Another process, whose peak is that of reading alone.
  await using second = await startServer(directory.path);
  await measured(`sent ${way}, read`, second, () => download(`${second.url}${pathname}`, seed));
});
