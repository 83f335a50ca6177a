/** Two storage processes with one name: by mistake, or on a copy of a data directory. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startTestNats } from "../support/nats-server.ts";
import { spawnServer, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";

const CHUNK_BYTES = 65_536;
const BEATS = ["--heartbeat", "300ms", "--offline-after", "2s"];

async function put(gateway: string, uploadId: string, index: number): Promise<number> {
  const answer = await fetch(`${gateway}/api/v1/uploads/${uploadId}/chunks/${index}`, {
    method: "PUT",
    body: someBytes(CHUNK_BYTES, index),
  });
  return answer.status;
}

async function begin(gateway: string): Promise<string> {
  const created = await fetch(`${gateway}/api/v1/uploads`, {
    method: "POST",
    body: JSON.stringify({ name: "two.bin", size: 2 * CHUNK_BYTES, chunkBytes: CHUNK_BYTES }),
    headers: { "content-type": "application/json" },
  });
  return ((await created.json()) as { uploadId: string }).uploadId;
}

it("F20, I17: a second node of a live one's name does not start, and does the live one's uploads no harm", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  await using server = await startServer(join(folder.path, "a"), ["--nats", nats.url, ...BEATS]);
  const uploadId = await begin(server.url);
  expect(await put(server.url, uploadId, 0)).toBe(200);
  const flags = ["--role", "storage", "--nats", nats.url, "--node-id", server.nodeId, "--data", join(folder.path, "empty"), ...BEATS];
  const second = spawnServer(flags);
  expect(await second.exited).toBe(1);
  expect(second.output.err).toContain(server.nodeId);
  expect(await put(server.url, uploadId, 1)).toBe(200);
  const merged = await fetch(`${server.url}/api/v1/uploads/${uploadId}/merge`, { method: "POST" });
  expect(merged.status, await merged.clone().text()).toBe(200);
});

it("F20: of two nodes on copies of one directory, the one that started first gives the name up and ends, with a sentence", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  const flags = ["--nats", nats.url, ...BEATS];
  const first = spawnServer([...flags, "--port", "0", "--data", join(folder.path, "a")]);
  const { nodeId } = await first.ready;
  await cp(join(folder.path, "a"), join(folder.path, "copy"), { recursive: true });
  // On the bus of the first, whose tracker both ask.
  const copy = spawnServer(["--role", "storage", ...flags, "--data", join(folder.path, "copy")]);
  expect(await first.exited).toBe(1);
  expect(first.output.err).toMatch(new RegExp(`troupe: .*${nodeId}`));
  copy.child.kill("SIGKILL");
  await copy.exited;
});
