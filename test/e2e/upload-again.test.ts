/** `troupe upload` against a real server: killed in the middle and run again, and a folder run twice; by the bytes that crossed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { startCountingProxy } from "../support/counting-proxy.ts";
import { endOf, TROUPE } from "../support/program.ts";
import { expectRandomFile, randomBlocks } from "../support/random-file.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const MIB = 1024 * 1024;
const SIZE = 40 * MIB;
const CHUNK = MIB;

let directory: TemporaryDirectory;
let server: ServerProcess;
const at = (name: string): string => join(directory.path, name);

beforeAll(async () => {
  directory = await temporaryDirectory();
  server = await startServer(at("data"));
  return async () => {
    await server.kill();
    await directory[Symbol.asyncDispose]();
  };
});

/** `troupe` with a state directory of the test's own, before the gateway at `url`. */
const troupe = (url: string, ...argv: string[]) =>
  endOf(process.execPath, [TROUPE, "--gateway", url, ...argv], {
    workingDirectory: directory.path,
    environment: { TROUPE_STATE_DIR: at("state") },
  });

async function underWay(): Promise<{ readonly uploadId: string; readonly receivedBytes: number } | undefined> {
  const list = (await (await fetch(`${server.url}/api/v1/uploads?state=receiving`)).json()) as { uploads: { uploadId: string }[] };
  for (const { uploadId } of list.uploads) {
    const status = (await (await fetch(`${server.url}/api/v1/uploads/${uploadId}`)).json()) as { receivedBytes: number };
    if (status.receivedBytes > 0) return { uploadId, receivedBytes: status.receivedBytes };
  }
  return undefined;
}

describe("troupe upload", () => {
  it("F18: killed with -9 in the middle and run again, sends only what is missing, and the file is equal", async () => {
    await writeFile(at("film.bin"), Buffer.concat([...randomBlocks(7, 0, SIZE)]));
    await using proxy = await startCountingProxy(server.url);
    const argv = ["--gateway", proxy.url, "upload", "film.bin", "--chunk", "1MiB", "--bwlimit", "16MiB"];
    const first = spawn(process.execPath, [TROUPE, ...argv], {
      cwd: directory.path,
      env: { ...process.env, TROUPE_STATE_DIR: at("state") },
      stdio: "ignore",
    });
    const ended = once(first, "exit");
    let begun = await underWay();
    for (let attempt = 0; attempt < 3_000 && (begun?.receivedBytes ?? 0) < 6 * CHUNK; attempt += 1) {
      await sleep(10);
      begun = await underWay();
    }
    first.kill("SIGKILL");
    await ended;
    expect(begun?.receivedBytes).toBeGreaterThanOrEqual(6 * CHUNK);
    expect(await readdir(at("state"))).toHaveLength(1);
    const received = (await underWay())?.receivedBytes ?? 0;
    expect(received).toBeLessThan(SIZE - 16 * CHUNK);
    const before = proxy.sentBytes;
    const again = await troupe(proxy.url, "upload", "film.bin");
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining(`continues upload ${begun?.uploadId}`) });
    // Besides what was missing: two chunks that are compared, and heads of requests.
    expect(proxy.sentBytes - before).toBeLessThan(SIZE - received + 2 * CHUNK + CHUNK);
    const { body } = await fetch(again.stdout.toString().trim());
    await expectRandomFile(body as unknown as AsyncIterable<Uint8Array>, 7, SIZE);
    expect(await readdir(at("state"))).toEqual([]);
  });

  it("content that is there crosses no second time, whatever the file is called", async () => {
    await using proxy = await startCountingProxy(server.url);
    const { code, stdout } = await troupe(proxy.url, "upload", "film.bin", "--name", "other.bin", "--checksum");
    expect(code).toBe(0);
    expect(proxy.sentBytes).toBeLessThan(64 * 1024);
    const { body } = await fetch(stdout.toString().trim());
    await expectRandomFile(body as unknown as AsyncIterable<Uint8Array>, 7, SIZE);
  });

  it("a folder run twice is sent once", async () => {
    for (let index = 0; index < 100; index += 1) {
      await mkdir(at(`photos/${index % 10}`), { recursive: true });
      await writeFile(at(`photos/${index % 10}/${index}.jpg`), Buffer.alloc(5_000, `bytes of ${index} `));
    }
    await using proxy = await startCountingProxy(server.url);
    const first = await troupe(proxy.url, "upload", "photos/");
    expect(first).toMatchObject({ code: 0, stderr: expect.stringContaining("100 files uploaded") });
    const urls = first.stdout.toString().trim().split("\n");
    expect(await (await fetch(urls.find((url) => url.endsWith("photos/3/33.jpg")) ?? "")).text()).toBe(
      Buffer.alloc(5_000, "bytes of 33 ").toString(),
    );
    const before = proxy.sentBytes;
    const second = await troupe(proxy.url, "upload", "photos");
    expect(second).toMatchObject({ code: 0, stderr: expect.stringContaining("0 files uploaded, 0 B sent in") });
    expect(second.stdout.toString()).toBe(first.stdout.toString());
    expect(proxy.sentBytes - before).toBeLessThan(4 * 1024);
  });
});
