/**
 * `npm run bench`: Troupe beside its peers, in one run and interleaved, so that a machine whose speed drifts is unfair to nobody. Prints
 * ratios pair by pair and writes everything to bench/results/. What is not measured stands in bench/BENCHMARKS.md.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startNatsServer } from "../src/bin/engines/nats-server.ts";
import type { BusResult, BusTask } from "./bus-peer.ts";
import type { BodyRequest, LoadResult, RangeTask, UploadTask } from "./load.ts";
import { findNginx, type Peer, startNginx, startNginxProxy } from "./peers/nginx.ts";

const MIB = 1024 * 1024;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    connections: { type: "string", default: "8" },
    "upload-mib": { type: "string", default: "256" },
    only: { type: "string", default: "" },
    help: { type: "boolean", short: "h", default: false },
  },
});

interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly peer: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly ratioMedian: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
}

/** Starts a program and gives its first line. */
async function startProgram(args: readonly string[]): Promise<Peer & { readonly line: string }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const line = await Promise.race([
    once(createInterface(child.stdout), "line").then(([text]) => text as string),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`${args[0]} ended with ${code}`))),
  ]);
  const stop = async (): Promise<void> => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  return { line, url: /https?:\S+/.exec(line)?.[0] ?? "", stop };
}

async function load(task: RangeTask | UploadTask): Promise<LoadResult> {
  const child = spawn(process.execPath, [here("load.ts"), JSON.stringify(task)], { stdio: ["ignore", "pipe", "inherit"] });
  const [[line], [code]] = await Promise.all([once(createInterface(child.stdout), "line"), once(child, "exit")]);
  if (code !== 0) throw new Error(`the client ended with ${code}`);
  return JSON.parse(line as string) as LoadResult;
}

/** One warm-up each, then A B A B …; `measure` gives a figure of which more is better. */
async function compare(
  name: string,
  unit: string,
  peer: string,
  ours: () => Promise<number>,
  theirs: () => Promise<number>,
): Promise<Comparison> {
  const rounds = Number(options.rounds);
  await ours();
  await theirs();
  const figures = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    figures.ours.push(await ours());
    figures.theirs.push(await theirs());
  }
  const ratios = figures.ours.map((figure, round) => figure / (figures.theirs[round] as number)).sort((a, b) => a - b);
  const comparison = {
    name,
    unit,
    peer,
    ...figures,
    ratioMedian: median(ratios),
    ratioMin: ratios[0] as number,
    ratioMax: ratios.at(-1) as number,
  };
  const show = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
  process.stdout.write(
    `${name.padEnd(34)} ${show(median(figures.ours)).padStart(8)} ${peer.padStart(12)} ${show(median(figures.theirs)).padStart(8)} ${unit.padEnd(6)} ratio ${comparison.ratioMedian.toFixed(2)} (${comparison.ratioMin.toFixed(2)} to ${comparison.ratioMax.toFixed(2)})\n`,
  );
  return comparison;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

async function json<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function benchRanges(url: string, folder: string, nginxProgram: string): Promise<Comparison[]> {
  const nginx = await startNginx(nginxProgram, folder);
  try {
    return await compareRanges("range GET", url, "nginx", nginx.url, folder);
  } finally {
    await nginx.stop();
  }
}

/** A gateway in front of a storage node, each a process of its own, beside nginx in front of nginx. */
async function benchHop(folder: string, nginxProgram: string): Promise<Comparison[]> {
  const stops: (() => Promise<void>)[] = [];
  const started = <Part extends { stop(): Promise<void> }>(part: Part): Part => {
    stops.push(() => part.stop());
    return part;
  };
  try {
    const [natsFolder, proxyFolder] = [join(folder, "nats"), join(folder, "proxy")];
    await mkdir(natsFolder);
    await mkdir(proxyFolder);
    const nats = started(await startNatsServer({ directory: natsFolder }));
    const server = (role: string) => {
      const argv = ["--role", role, "--nats", nats.url, "--port", "0", "--data", join(folder, `hop-${role}`), "--log-level", "warn"];
      return startProgram([here("../src/bin/start.js"), ...argv]);
    };
    started(await server("all"));
    const gateway = started(await server("gateway"));
    const nginx = started(await startNginx(nginxProgram, folder));
    const proxy = started(await startNginxProxy(nginxProgram, proxyFolder, nginx.url));
    return await compareRanges("range GET over a hop", gateway.url, "nginx, nginx", proxy.url, folder);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

/** @param peerUrl serves what lies in `folder` */
async function compareRanges(name: string, url: string, peer: string, peerUrl: string, folder: string): Promise<Comparison[]> {
  const sizeBytes = 512 * MIB;
  const path = join(folder, "film.bin");
  await fill(path, sizeBytes);
  const stored = await json<{ url: string; fileId: string }>(await putFile(`${url}/api/v1/files?name=film.bin`, path, sizeBytes));
  try {
    const measure = (target: string, rangeBytes: number) => async (): Promise<number> => {
      const { count, seconds } = await load({
        kind: "ranges",
        url: target,
        sizeBytes,
        rangeBytes,
        connections: Number(options.connections),
        seconds: Number(options.seconds),
      });
      return count / seconds;
    };
    const comparisons: Comparison[] = [];
    for (const [label, rangeBytes] of [
      ["1 MiB", MIB],
      ["64 KiB", MIB / 16],
    ] as const) {
      comparisons.push(
        await compare(`${name}, ${label}`, "1/s", peer, measure(stored.url, rangeBytes), measure(`${peerUrl}/film.bin`, rangeBytes)),
      );
    }
    return comparisons;
  } finally {
    await fetch(`${url}/api/v1/files/${stored.fileId}`, { method: "DELETE" });
    await rm(path);
  }
}

/** Small requests, many at a time: the way actors speak, beside the NATS client alone. Each end is a process of its own. */
async function benchBus(folder: string): Promise<Comparison[]> {
  const directory = join(folder, "bus");
  await mkdir(directory);
  const nats = await startNatsServer({ directory });
  const task = (way: BusTask["way"], end: BusTask["end"]): string =>
    JSON.stringify({ end, way, server: nats.url, inFlight: 64, seconds: Number(options.seconds) } satisfies BusTask);
  const measure = (way: BusTask["way"]) => async (): Promise<number> => {
    const answering = await startProgram([here("bus-peer.ts"), task(way, "answer")]);
    try {
      const asking = await startProgram([here("bus-peer.ts"), task(way, "ask")]);
      const { count, seconds } = JSON.parse(asking.line) as BusResult;
      return count / seconds;
    } finally {
      await answering.stop();
    }
  };
  try {
    return [await compare("requests over NATS, 64 in flight", "1/s", "nats.js alone", measure("contract"), measure("raw"))];
  } finally {
    await nats.stop();
  }
}

async function benchUploads(url: string, folder: string): Promise<Comparison[]> {
  const sizeBytes = Number(options["upload-mib"]) * MIB;
  const directory = join(folder, "tus");
  await mkdir(directory);
  const tus = await startProgram([here("peers/tus-server.ts"), directory]);
  try {
    const comparisons: Comparison[] = [];
    for (const streams of [1, 4]) {
      const ours = (): Promise<number> => uploadToTroupe(url, sizeBytes, streams);
      const oursByTus = (): Promise<number> => uploadToTus(`${url}/tus/`, sizeBytes, streams);
      const theirs = async (): Promise<number> => {
        const rate = await uploadToTus(tus.url, sizeBytes, streams);
        await rm(directory, { recursive: true });
        await mkdir(directory);
        return rate;
      };
      const what = `${streams} stream${streams === 1 ? "" : "s"}, hashed and synced`;
      comparisons.push(await compare(`upload, ${what}`, "MB/s", "@tus/server", ours, theirs));
      comparisons.push(await compare(`upload by tus, ${what}`, "MB/s", "@tus/server", oursByTus, theirs));
    }
    return comparisons;
  } finally {
    await tus.stop();
  }
}

/** One file in 8 MiB chunks over `streams` connections; until it is merged: verified, synced and committed. */
async function uploadToTroupe(url: string, sizeBytes: number, streams: number): Promise<number> {
  const body = JSON.stringify({ name: "bench.bin", size: sizeBytes });
  const beganMs = performance.now();
  const created = await json<{ uploadId: string; chunkBytes: number; chunkCount: number }>(
    await fetch(`${url}/api/v1/uploads`, { method: "POST", headers: { "content-type": "application/json" }, body }),
  );
  const at = `${url}/api/v1/uploads/${created.uploadId}`;
  const lanes: BodyRequest[][] = Array.from({ length: streams }, () => []);
  for (let index = 0; index < created.chunkCount; index += 1) {
    const bodyBytes = Math.min(created.chunkBytes, sizeBytes - index * created.chunkBytes);
    lanes[index % streams]?.push({ method: "PUT", url: `${at}/chunks/${index}`, headers: {}, bodyBytes });
  }
  const setUpMs = performance.now() - beganMs;
  const sent = await load({ kind: "uploads", streams: lanes });
  const mergeBeganMs = performance.now();
  const merged = await json<{ fileId: string }>(await fetch(`${at}/merge`, { method: "POST" }));
  const seconds = sent.seconds + (setUpMs + performance.now() - mergeBeganMs) / 1000;
  await fetch(`${url}/api/v1/files/${merged.fileId}`, { method: "DELETE" });
  return sizeBytes / 1e6 / seconds;
}

/** As many uploads as streams, each in one PATCH: what that server is fastest at. */
async function uploadToTus(url: string, sizeBytes: number, streams: number): Promise<number> {
  const partBytes = sizeBytes / streams;
  const beganMs = performance.now();
  const lanes: BodyRequest[][] = [];
  for (let stream = 0; stream < streams; stream += 1) {
    const created = await fetch(url, { method: "POST", headers: { "tus-resumable": "1.0.0", "upload-length": String(partBytes) } });
    const location = created.headers.get("location");
    if (location === null) throw new Error(`no upload: ${created.status}`);
    lanes.push([
      {
        method: "PATCH",
        url: new URL(location, url).href,
        headers: { "tus-resumable": "1.0.0", "upload-offset": "0", "content-type": "application/offset+octet-stream" },
        bodyBytes: partBytes,
      },
    ]);
  }
  const setUpMs = performance.now() - beganMs;
  const sent = await load({ kind: "uploads", streams: lanes });
  for (const [patch] of lanes) if (patch !== undefined) await fetch(patch.url, { method: "DELETE", headers: { "tus-resumable": "1.0.0" } });
  return sizeBytes / 1e6 / (sent.seconds + setUpMs / 1000);
}

async function fill(path: string, sizeBytes: number): Promise<void> {
  const block = Buffer.alloc(MIB);
  const file = await open(path, "w");
  for (let offset = 0; offset < sizeBytes; offset += MIB) {
    for (let index = 0; index < MIB; index += 4)
      block.writeUInt32LE((Math.imul(offset / MIB + 1, 2_654_435_761) ^ Math.imul(index, 40_503)) >>> 0, index);
    await file.write(block);
  }
  await file.close();
}

async function putFile(url: string, path: string, sizeBytes: number): Promise<Response> {
  const file = await open(path);
  try {
    return await fetch(url, {
      method: "POST",
      headers: { "content-length": String(sizeBytes), "content-type": "video/mp4" },
      body: file.readableWebStream(),
      duplex: "half",
    } as RequestInit);
  } finally {
    await file.close();
  }
}

async function main(): Promise<void> {
  if (options.help) {
    process.stdout.write(
      "npm run bench -- [--rounds 5] [--seconds 2] [--connections 8] [--upload-mib 256] [--only ranges|hop|bus|uploads]\n",
    );
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), "troupe-bench-"));
  const server = await startProgram([
    here("../src/bin/start.js"),
    "--port",
    "0",
    "--data",
    join(folder, "data"),
    "--log-level",
    "warn",
    "--delete-grace",
    "10ms",
  ]);
  try {
    const comparisons: Comparison[] = [];
    const isWanted = (part: string): boolean => options.only === "" || options.only === part;
    if (isWanted("ranges") || isWanted("hop")) {
      const nginx = await findNginx();
      if (nginx === undefined)
        process.stdout.write("nginx is not installed: ranges are not compared (npm run setup -- --bench installs it).\n");
      else {
        if (isWanted("ranges")) comparisons.push(...(await benchRanges(server.url, folder, nginx)));
        if (isWanted("hop")) comparisons.push(...(await benchHop(folder, nginx)));
      }
    }
    if (isWanted("bus")) comparisons.push(...(await benchBus(folder)));
    if (isWanted("uploads")) comparisons.push(...(await benchUploads(server.url, folder)));
    const results = here("results/");
    await mkdir(results, { recursive: true });
    const report = {
      at: new Date().toISOString(),
      node: process.version,
      processors: cpus().length,
      processor: cpus()[0]?.model,
      options,
      comparisons,
    };
    await writeFile(join(results, "latest.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
