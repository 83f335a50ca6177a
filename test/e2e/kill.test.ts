/** The process is killed with -9 at random moments of an upload; each time it is finished after the restart, and equal. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { expect, it } from "vitest";
import { SeededRandom } from "../support/seeded-random.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";

const CHUNK_BYTES = 1024 * 1024;
const SIZE = 24 * CHUNK_BYTES + 4321;
const KILLS = 30;
/** What was deleted is gone soon: what is left among the blobs at the end is an orphan. */
const FLAGS = ["--delete-grace", "100ms"];
/** Give a failed run's number to see its moments again; how far the server has come by then is its own affair. */
const SEED = Number(process.env["TROUPE_TEST_SEED"] ?? process.pid);

interface Status {
  readonly state: string;
  readonly missing: [number, number][];
  readonly fileId?: string;
}

async function asJson<T>(response: Response): Promise<T> {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** Sends what is missing, four chunks at a time, then merges; ends early when the server goes. Tells what was answered for. */
async function work(url: string, uploadId: string, bytes: Buffer, acknowledged: Set<number>): Promise<string> {
  const at = `${url}/api/v1/uploads/${uploadId}`;
  const status = await asJson<Status>(await fetch(at));
  if (status.state === "merged") return status.fileId as string;
  const missing = status.missing.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, offset) => first + offset));
  for (const index of acknowledged) expect(missing, "a chunk that was answered for is there").not.toContain(index);
  const send = async (): Promise<void> => {
    for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
      await asJson(
        await fetch(`${at}/chunks/${index}`, { method: "PUT", body: bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES) }),
      );
      acknowledged.add(index);
    }
  };
  await Promise.all([send(), send(), send(), send()]);
  return (await asJson<{ fileId: string }>(await fetch(`${at}/merge`, { method: "POST" }))).fileId;
}

it(`F1: killed with -9 at ${KILLS} random moments, an upload is finished after each restart and equal`, async () => {
  await using directory = await temporaryDirectory();
  const bytes = someBytes(SIZE);
  const digest = await blake3(bytes);
  let server: ServerProcess = await startServer(directory.path, FLAGS);
  const random = new SeededRandom(SEED);
  let wholeMs = 600;
  try {
    for (let round = 0; round < KILLS; round += 1) {
      const body = JSON.stringify({ name: `round-${round}`, size: SIZE, chunkBytes: CHUNK_BYTES, idempotencyKey: `round-${round}` });
      const created = await asJson<{ uploadId: string }>(
        await fetch(`${server.url}/api/v1/uploads`, { method: "POST", headers: { "content-type": "application/json" }, body }),
      );
      const acknowledged = new Set<number>();
      // Spread over the time an upload takes, its merge included.
      const killMs = (random.integer(1000) / 1000) * wholeMs;
      const killer = setTimeout(() => void server.kill(), killMs);
      const beganMs = performance.now();
      let fileId = await work(server.url, created.uploadId, bytes, acknowledged).catch(() => undefined);
      if (fileId !== undefined) wholeMs = performance.now() - beganMs;
      clearTimeout(killer);
      await server.kill();
      server = await startServer(directory.path, FLAGS);
      fileId = await work(server.url, created.uploadId, bytes, acknowledged);
      const stored = Buffer.from(await (await fetch(`${server.url}/files/${fileId}`)).arrayBuffer());
      expect(stored.equals(bytes), `killed after ${killMs.toFixed()} ms in round ${round} of seed ${SEED}`).toBe(true);
      expect((await asJson<{ digest: { blake3: string } }>(await fetch(`${server.url}/api/v1/files/${fileId}`))).digest.blake3).toBe(
        digest,
      );
      await fetch(`${server.url}/api/v1/files/${fileId}`, { method: "DELETE" });
    }
    expect(await readdir(join(directory.path, "uploads"))).toEqual([]);
    await expect
      .poll(
        async () =>
          (await readdir(join(directory.path, "blobs"), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length,
        {
          timeout: 20_000,
        },
      )
      .toBe(0);
  } finally {
    await server.kill();
  }
}, 240_000);

it("F1: serves again soon after kill -9, and SIGTERM ends it with 0", async () => {
  await using directory = await temporaryDirectory();
  const first = await startServer(directory.path);
  await first.kill();
  const second = await startServer(directory.path);
  expect((await fetch(`${second.url}/readyz`)).status).toBe(200);
  expect(await second.terminate()).toBe(0);
  expect(second.stdout).toMatch(/^troupe ready http:\/\/127\.0\.0\.1:\d+ roles=all node=node-\S+\n$/);
});

it("one Ctrl-C that arrives twice, as a terminal and npm send it, is one clean stop", async () => {
  await using directory = await temporaryDirectory();
  const server = await startServer(directory.path);
  process.kill(server.pid, "SIGINT");
  expect(await server.terminate()).toBe(0);
});
