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
const SIZE = 12 * CHUNK_BYTES + 4321;
/** Of each way; TROUPE_TEST_KILLS sets it. */
const KILLS = Number(process.env["TROUPE_TEST_KILLS"] ?? "5");
const TUS_BODY_BYTES = 2_500_011;
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

/** One way to send a file: begun once, and gone on with until it is a file. */
interface Way {
  /** @returns the upload's ID */
  begin(url: string, name: string): Promise<string>;
  /** Ends early when the server goes. @returns the file's ID */
  goOn(url: string, uploadId: string, bytes: Buffer, acknowledged: Acknowledged): Promise<string>;
}

/** What was answered for: it must be there after every restart. */
interface Acknowledged {
  readonly chunks: Set<number>;
  offset: number;
}

const statusOf = async (url: string, uploadId: string): Promise<Status> =>
  await asJson<Status>(await fetch(`${url}/api/v1/uploads/${uploadId}`));

/** Sends what is missing, four chunks at a time, then merges. */
const inChunks: Way = {
  async begin(url, name) {
    const body = JSON.stringify({ name, size: SIZE, chunkBytes: CHUNK_BYTES, idempotencyKey: name });
    const headers = { "content-type": "application/json" };
    return (await asJson<{ uploadId: string }>(await fetch(`${url}/api/v1/uploads`, { method: "POST", headers, body }))).uploadId;
  },
  async goOn(url, uploadId, bytes, acknowledged) {
    const at = `${url}/api/v1/uploads/${uploadId}`;
    const status = await statusOf(url, uploadId);
    if (status.state === "merged") return status.fileId as string;
    const missing = status.missing.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, offset) => first + offset));
    for (const index of acknowledged.chunks) expect(missing, "a chunk that was answered for is there").not.toContain(index);
    const send = async (): Promise<void> => {
      for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
        const body = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
        await asJson(await fetch(`${at}/chunks/${index}`, { method: "PUT", body }));
        acknowledged.chunks.add(index);
      }
    };
    await Promise.all([send(), send(), send(), send()]);
    return (await asJson<{ fileId: string }>(await fetch(`${at}/merge`, { method: "POST" }))).fileId;
  },
};

const TUS = { "tus-resumable": "1.0.0" };

/** Asks how far the server is, and sends the rest in bodies that keep to no border. */
const byTus: Way = {
  async begin(url, name) {
    const headers = { ...TUS, "upload-length": String(SIZE), "upload-metadata": `filename ${Buffer.from(name).toString("base64")}` };
    const created = await fetch(`${url}/tus/`, { method: "POST", headers });
    expect(created.status).toBe(201);
    return (created.headers.get("location") as string).split("/").at(-1) as string;
  },
  async goOn(url, uploadId, bytes, acknowledged) {
    const at = `${url}/tus/${uploadId}`;
    const head = await fetch(at, { method: "HEAD", headers: TUS });
    if (!head.ok) throw new Error(`HEAD answered ${head.status}`);
    let offset = Number(head.headers.get("upload-offset"));
    expect(offset, "what was answered for is there").toBeGreaterThanOrEqual(acknowledged.offset);
    while (offset < SIZE) {
      const headers = { ...TUS, "upload-offset": String(offset), "content-type": "application/offset+octet-stream" };
      const body = bytes.subarray(offset, offset + TUS_BODY_BYTES);
      const patched = await fetch(at, { method: "PATCH", headers, body });
      if (patched.status !== 204) throw new Error(`PATCH answered ${patched.status} ${await patched.text()}`);
      offset = Number(patched.headers.get("upload-offset"));
      acknowledged.offset = offset;
    }
    // It merges by itself when its last byte is there; the same merge again waits for that, and gives the file.
    const merged = await asJson<{ fileId: string }>(await fetch(`${url}/api/v1/uploads/${uploadId}/merge`, { method: "POST" }));
    return merged.fileId;
  },
};

it.each([
  { title: "in chunks", way: inChunks },
  { title: "by tus", way: byTus },
])(
  `F1, F18: killed with -9 at ${KILLS} random moments, an upload $title is finished after each restart and equal`,
  async ({ way }) => {
    await using directory = await temporaryDirectory();
    const bytes = someBytes(SIZE);
    const digest = await blake3(bytes);
    let server: ServerProcess = await startServer(directory.path, FLAGS);
    const random = new SeededRandom(SEED);
    let wholeMs = 300;
    try {
      for (let round = 0; round < KILLS; round += 1) {
        const uploadId = await way.begin(server.url, `round-${round}`);
        const acknowledged: Acknowledged = { chunks: new Set(), offset: 0 };
        // Spread over the time an upload takes, its merge included.
        const killMs = (random.integer(1000) / 1000) * wholeMs;
        const killer = setTimeout(() => void server.kill(), killMs);
        const beganMs = performance.now();
        let fileId = await way.goOn(server.url, uploadId, bytes, acknowledged).catch(() => undefined);
        if (fileId !== undefined) wholeMs = performance.now() - beganMs;
        clearTimeout(killer);
        await server.kill();
        server = await startServer(directory.path, FLAGS);
        fileId = await way.goOn(server.url, uploadId, bytes, acknowledged);
        const stored = Buffer.from(await (await fetch(`${server.url}/files/${fileId}`)).arrayBuffer());
        expect(stored.equals(bytes), `killed after ${killMs.toFixed()} ms in round ${round} of seed ${SEED}`).toBe(true);
        expect((await asJson<{ digest: { blake3: string } }>(await fetch(`${server.url}/api/v1/files/${fileId}`))).digest.blake3).toBe(
          digest,
        );
        await fetch(`${server.url}/api/v1/files/${fileId}`, { method: "DELETE" });
      }
      await expect.poll(() => readdir(join(directory.path, "uploads"))).toEqual([]);
      await expect.poll(() => blobFileCount(directory.path)).toBe(0);
    } finally {
      await server.kill();
    }
  },
  300_000 + KILLS * 36_000,
);

async function blobFileCount(directory: string): Promise<number> {
  const entries = await readdir(join(directory, "blobs"), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).length;
}

it("F1: serves again soon after kill -9, and SIGTERM ends it with 0", async () => {
  await using directory = await temporaryDirectory();
  const first = await startServer(directory.path);
  await first.kill();
  const second = await startServer(directory.path);
  await expect.poll(async () => (await fetch(`${second.url}/readyz`)).status).toBe(200);
  expect(await second.terminate()).toBe(0);
  expect(second.stdout).toMatch(/^troupe ready http:\/\/127\.0\.0\.1:\d+ roles=all node=node-\S+\n$/);
});

it("one Ctrl-C that arrives twice, as a terminal and npm send it, is one clean stop", async () => {
  await using directory = await temporaryDirectory();
  const server = await startServer(directory.path);
  process.kill(server.pid, "SIGINT");
  expect(await server.terminate()).toBe(0);
});
