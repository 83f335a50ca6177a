/**
 * `npm run bench:watching`: what it costs that one can look into uploads, as processor seconds of the server for each GiB uploaded. Two
 * servers that are warm take turns, pair by pair:
 *
 * - nobody looks, beside a checkout without it (`--baseline DIRECTORY`, where there is one);
 * - /inspect is open in Chromium at the upload under way, beside nobody. That the page is loaded is part of it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launchChromium } from "../test/support/chromium.ts";
import type { BodyRequest, UploadTask } from "./load.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const STREAMS = 4;
const WARM_PAIRS = 2;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    pairs: { type: "string", default: "10" },
    mib: { type: "string", default: "1024" },
    "chunk-mib": { type: "string", default: "8" },
    baseline: { type: "string", default: "" },
    page: { type: "boolean", default: true },
    folder: { type: "string", default: tmpdir() },
  },
});

/** A server that stays for all pairs. */
interface Server {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

async function startServer(checkout: string): Promise<Server> {
  const data = await mkdtemp(join(options.folder, "troupe-watching-"));
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
      await rm(data, { recursive: true, force: true });
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

let uploads = 0;

/**
 * Uploads a file that is like none before.
 * @param look is called once the upload is there
 * @returns processor seconds of the server a GiB, from the creation to the end of the merge
 */
async function upload(server: Server, look: (uploadId: string) => Promise<void> = async () => undefined): Promise<number> {
  uploads += 1;
  const sizeBytes = Number(options.mib) * MIB + uploads;
  const before = await processorSeconds(server.pid);
  const body = JSON.stringify({ name: "bench.bin", size: sizeBytes, chunkBytes: Number(options["chunk-mib"]) * MIB });
  const created = await json<{ uploadId: string; chunkBytes: number; chunkCount: number }>(
    await fetch(`${server.url}/api/v1/uploads`, { method: "POST", headers: { "content-type": "application/json" }, body }),
  );
  await look(created.uploadId);
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
  const seconds = ((await processorSeconds(server.pid)) - before) * (GIB / sizeBytes);
  await fetch(`${server.url}/api/v1/files/${fileId}`, { method: "DELETE" });
  return seconds;
}

type Side = "ours" | "theirs";

/** Two servers, both warm, take turns; who comes first changes from pair to pair. */
async function compare(
  name: string,
  checkouts: Readonly<Record<Side, string>>,
  measure: (server: Server, side: Side) => Promise<number>,
): Promise<void> {
  const servers = { ours: await startServer(checkouts.ours), theirs: await startServer(checkouts.theirs) };
  const pairs: { readonly ours: number; readonly theirs: number }[] = [];
  try {
    for (let index = -WARM_PAIRS; index < Number(options.pairs); index += 1) {
      const pair = { ours: 0, theirs: 0 };
      for (const side of index % 2 === 0 ? (["ours", "theirs"] as const) : (["theirs", "ours"] as const))
        pair[side] = await measure(servers[side], side);
      process.stderr.write(`  ${name}: ${pair.ours.toFixed(3)} and ${pair.theirs.toFixed(3)} s a GiB${index < 0 ? ", not counted" : ""}\n`);
      if (index >= 0) pairs.push(pair);
    }
  } finally {
    await Promise.all([servers.ours.stop(), servers.theirs.stop()]);
  }
  const ratios = pairs.map((pair) => pair.ours / pair.theirs).sort((a, b) => a - b);
  const total = (side: Side): number => pairs.reduce((sum, pair) => sum + pair[side], 0);
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

const ours = here("..");
const { baseline } = options;
if (baseline !== "") await compare("nobody looks, beside a checkout without it", { ours, theirs: baseline }, (server) => upload(server));
if (options.page) {
  const browser = await launchChromium();
  try {
    await compare("one page looks, beside nobody", { ours, theirs: ours }, async (server, side) => {
      if (side === "theirs") return await upload(server);
      const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
      try {
        return await upload(server, async (uploadId) => {
          await page.goto(`${server.url}/inspect#/uploads/${uploadId}`);
          await page.locator(".chart .state.live").first().waitFor();
        });
      } finally {
        await page.close();
      }
    });
  } finally {
    await browser.close();
  }
}
