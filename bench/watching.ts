/**
 * `npm run bench:watching`: what it costs that one can look into uploads, as processor seconds of the server for each GiB uploaded. Pairs are
 * interleaved, each with a server of its own that has taken one upload before:
 *
 * - nobody looks, beside a checkout without it (`--baseline`, where there is one);
 * - one page looks at the upload under way (its events, and the list of uploads every two seconds), beside nobody.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { BodyRequest, UploadTask } from "./load.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const STREAMS = 4;
const LIST_EVERY_MS = 2_000;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const { values: options } = parseArgs({
  options: {
    pairs: { type: "string", default: "10" },
    mib: { type: "string", default: "1024" },
    "chunk-mib": { type: "string", default: "8" },
    baseline: { type: "string", default: "" },
    folder: { type: "string", default: tmpdir() },
  },
});

interface Server {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

async function startServer(checkout: string, data: string): Promise<Server> {
  const argv = [join(checkout, "src/bin/start.js"), "--port", "0", "--data", data, "--log-level", "warn"];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    pid: child.pid as number,
    url: /https?:\S+/.exec(line)?.[0] as string,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Of all threads, in seconds. */
async function processorSeconds(pid: number): Promise<number> {
  let nanoseconds = 0;
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
    nanoseconds += Number(text.split(" ")[0]);
  }
  return nanoseconds / 1e9;
}

async function json<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** What a page asks that shows one upload. @returns goes away */
function look(url: string, uploadId: string): () => void {
  const request = get(`${url}/api/v1/inspect/uploads/${uploadId}/events`, (response) => response.resume());
  request.on("error", () => undefined);
  const timer = setInterval(() => {
    void fetch(`${url}/api/v1/uploads?limit=50`).then((response) => response.arrayBuffer());
  }, LIST_EVERY_MS);
  return () => {
    clearInterval(timer);
    request.destroy();
  };
}

/** @returns processor seconds of the server a GiB, from the creation to the end of the merge */
async function upload(server: Server, sizeBytes: number, isWatched: boolean): Promise<number> {
  const before = await processorSeconds(server.pid);
  const body = JSON.stringify({ name: "bench.bin", size: sizeBytes, chunkBytes: Number(options["chunk-mib"]) * MIB });
  const created = await json<{ uploadId: string; chunkBytes: number; chunkCount: number }>(
    await fetch(`${server.url}/api/v1/uploads`, { method: "POST", headers: { "content-type": "application/json" }, body }),
  );
  const goAway = isWatched ? look(server.url, created.uploadId) : () => undefined;
  const at = `${server.url}/api/v1/uploads/${created.uploadId}`;
  const streams: BodyRequest[][] = Array.from({ length: STREAMS }, () => []);
  for (let index = 0; index < created.chunkCount; index += 1) {
    const bodyBytes = Math.min(created.chunkBytes, sizeBytes - index * created.chunkBytes);
    streams[index % STREAMS]?.push({ method: "PUT", url: `${at}/chunks/${index}`, headers: {}, bodyBytes });
  }
  const task: UploadTask = { kind: "uploads", streams };
  const client = spawn(process.execPath, [here("load.ts"), JSON.stringify(task)], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(client, "exit");
  if (code !== 0) throw new Error(`the client ended with ${code}`);
  const { fileId } = await json<{ fileId: string }>(await fetch(`${at}/merge`, { method: "POST" }));
  goAway();
  const seconds = ((await processorSeconds(server.pid)) - before) * (GIB / sizeBytes);
  await fetch(`${server.url}/api/v1/files/${fileId}`, { method: "DELETE" });
  return seconds;
}

async function measure(checkout: string, isWatched: boolean): Promise<number> {
  const folder = await mkdtemp(join(options.folder, "troupe-watching-"));
  const server = await startServer(checkout, folder);
  try {
    await upload(server, 128 * MIB, false);
    return await upload(server, Number(options.mib) * MIB, isWatched);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(name: string, ours: () => Promise<number>, theirs: () => Promise<number>): Promise<void> {
  const pairs: { readonly ours: number; readonly theirs: number }[] = [];
  for (let index = 0; index < Number(options.pairs); index += 1) {
    // Who comes first changes from pair to pair.
    const pair = { ours: 0, theirs: 0 };
    for (const side of index % 2 === 0 ? (["ours", "theirs"] as const) : (["theirs", "ours"] as const))
      pair[side] = await (side === "ours" ? ours() : theirs());
    pairs.push(pair);
    process.stderr.write(`  ${name}: ${pair.ours.toFixed(3)} and ${pair.theirs.toFixed(3)} s a GiB\n`);
  }
  const ratios = pairs.map((pair) => pair.ours / pair.theirs).sort((a, b) => a - b);
  const total = (side: "ours" | "theirs"): number => pairs.reduce((sum, pair) => sum + pair[side], 0);
  const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(1)} %`;
  process.stdout.write(
    `${name}: ${(total("ours") / pairs.length).toFixed(3)} s a GiB, the other ${(total("theirs") / pairs.length).toFixed(3)}; ` +
      `more by ${percent(median(ratios))} (${percent(ratios[0] as number)} to ${percent(ratios.at(-1) as number)}); all together by ${percent(total("ours") / total("theirs"))}\n`,
  );
}

function median(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

const checkout = here("..");
const { baseline } = options;
if (baseline !== "")
  await compare(
    "nobody looks, beside a checkout without it",
    () => measure(checkout, false),
    () => measure(baseline, false),
  );
await compare(
  "one page looks, beside nobody",
  () => measure(checkout, true),
  () => measure(checkout, false),
);
