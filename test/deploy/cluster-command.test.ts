/** `npm run cluster` as a person meets it: started, killed, started again, stopped. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ProcessRecord } from "../../src/bin/cluster/process-record.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const COMMAND = fileURLToPath(new URL("../../src/bin/cluster.js", import.meta.url));
const READY = /^troupe cluster ready (http:\/\/127\.0\.0\.1:\d+) nats=(nats:\/\/observer:\w+@127\.0\.0\.1:\d+)\n$/;
const STARTED_WITHIN_MS = 120_000;
const PROCESSES = 13;

class ClusterCommand implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #data: string | undefined;
  readonly ended: Promise<number | string | null>;
  stdout = "";
  stderr = "";

  constructor(argv: readonly string[], environment: Record<string, string> = {}) {
    this.#child = spawn(process.execPath, [COMMAND, ...argv], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    const at = argv.indexOf("--data");
    this.#data = at < 0 ? undefined : argv[at + 1] || undefined;
    this.#child.stdout?.on("data", (data: Buffer) => {
      this.stdout += data.toString();
    });
    this.#child.stderr?.on("data", (data: Buffer) => {
      this.stderr += data.toString();
    });
    this.ended = new Promise((resolve) => this.#child.once("close", (code, signal) => resolve(signal ?? code)));
  }

  send(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** As a terminal that is closed. */
  hangUp(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  /** Resolves when `isThere`, and fails when the command ends before. */
  async until(isThere: () => boolean): Promise<void> {
    const untilMs = performance.now() + STARTED_WITHIN_MS;
    let how: number | string | null | undefined;
    void this.ended.then((end) => {
      how = end;
    });
    while (!isThere()) {
      if (how !== undefined || performance.now() > untilMs) throw new Error(`ended: ${how}\n${this.stdout}\n${this.stderr}`);
      await pause(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.ended;
    // Of a test that failed.
    if (this.#data !== undefined) new ProcessRecord(this.#data).killAll();
  }
}

/** The processes and servers of a cluster in this folder, by command line: each has the folder in it, or works there. */
async function processesIn(directory: string): Promise<string[]> {
  const lines: string[] = [];
  if (process.platform === "linux") {
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const line = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
      const folder = await readlink(`/proc/${pid}/cwd`).catch(() => "");
      if (line.includes(directory) || folder.startsWith(directory)) lines.push(line);
    }
  } else {
    const { stdout } = spawnSync("ps", ["-axo", "args="], { encoding: "utf8" });
    lines.push(...stdout.split("\n").filter((line) => line.includes(directory)));
  }
  return lines.filter((line) => !line.includes("cluster.js"));
}

async function everyFile(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** I24: files that hold a password are their owner's alone, and no command line has one. */
async function checkSecrets(data: string): Promise<void> {
  const state = JSON.parse(await readFile(join(data, "cluster.json"), "utf8")) as { passwords: Record<string, string> };
  const passwords = Object.values(state.passwords);
  expect(passwords.length).toBeGreaterThan(10);
  const holdsOne = (text: string): boolean => passwords.some((password) => text.includes(password));
  const holders: string[] = [];
  for (const path of await everyFile(data)) {
    // Servers remove files of theirs at any moment.
    if (!holdsOne(await readFile(path, "latin1").catch(() => ""))) continue;
    holders.push(path.slice(data.length + 1));
    expect({ path, mode: (await stat(path)).mode & 0o077 }).toEqual({ path, mode: 0 });
  }
  expect(holders).toEqual(expect.arrayContaining(["cluster.json", "nats/nats.conf", "storage-1/troupe.config.json"]));
  expect(holders.filter((path) => path.startsWith("logs/"))).toEqual([]);
  expect((await processesIn(data)).filter(holdsOne)).toEqual([]);
}

/** What the cluster says of one that was killed, when done: run by a shell in the folder where it was said, until it serves. */
async function killAndStartByHand(command: ClusterCommand, data: string, name: string, ready: RegExp): Promise<ChildProcess> {
  const noted = JSON.parse(await readFile(join(data, "processes.json"), "utf8")) as { name: string; pid: number }[];
  const { pid } = noted.find((each) => each.name === name) as { pid: number };
  process.kill(pid, "SIGKILL");
  const said = new RegExp(`${name} \\(process ${pid}\\) has ended: SIGKILL\\. Start it again: (.*)\n`);
  await command.until(() => said.test(command.stderr));
  const child = spawn("sh", ["-c", said.exec(command.stderr)?.[1] as string], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes: Buffer) => void (output += bytes.toString()));
  const untilMs = performance.now() + STARTED_WITHIN_MS;
  while (!ready.test(output)) {
    if (child.exitCode !== null || performance.now() > untilMs) throw new Error(`${name}: ${output}`);
    await pause(20);
  }
  return child;
}

async function hasEnded(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

describe("npm run cluster", () => {
  it(
    "I24: starts every part, keeps its secrets, is found running, ends what a killed one left, and stops all of it on a signal",
    async () => {
      await using directory = await temporaryDirectory();
      const data = join(directory.path, "cluster");
      // Settings of the environment are for one process: they must not reach all of them.
      await using first = new ClusterCommand(["--port", "0", "--data", data], { TROUPE_PORT: "1", TROUPE_ROLE: "storage" });
      await first.until(() => first.stdout.includes("\n"));
      const [, url, observer] = READY.exec(first.stdout) ?? [];
      expect(url).toBeDefined();
      await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(200);
      // macOS does not show Redis's folder.
      expect((await processesIn(data)).length).toBeGreaterThanOrEqual(PROCESSES - 1);

      await checkSecrets(data);

      await using second = new ClusterCommand(["--port", "0", "--data", data]);
      expect(await second.ended).toBe(1);
      expect(second.stderr).toMatch(/A cluster runs in .* already \(process \d+\)/);

      expect(first.stderr).toContain(`Which process is which: ${join(data, "processes.json")}`);
      const byHand = [
        await killAndStartByHand(first, data, "nats", /Server is ready/),
        await killAndStartByHand(first, data, "mariadb", /ready for connections/),
        await killAndStartByHand(first, data, "redis", /eady to accept connections/),
        await killAndStartByHand(first, data, "storage-3", /^troupe ready/m),
      ];
      first.send("SIGKILL");
      expect(await first.ended).toBe("SIGKILL");
      await using third = new ClusterCommand(["--port", "0", "--data", data]);
      await third.until(() => third.stdout.includes("\n"));
      expect(third.stderr.match(/\S+ \(process \d+\) was started by hand and is still there/g)).toHaveLength(byHand.length);
      expect(third.stderr.match(/\(process \d+\) is left of a cluster that was killed/g)).toHaveLength(PROCESSES - byHand.length);
      await Promise.all(byHand.map(hasEnded));
      expect(READY.exec(third.stdout)?.[2]).toBe(observer);

      const again = [
        await killAndStartByHand(third, data, "redis", /eady to accept connections/),
        await killAndStartByHand(third, data, "storage-3", /^troupe ready/m),
      ];

      // Also when nobody reads any more what it says.
      third.hangUp();
      third.send("SIGINT");
      // As a terminal and npm do: what comes right behind the first is no second wish.
      third.send("SIGTERM");
      expect(await third.ended).toBe(0);
      await Promise.all(again.map(hasEnded));
      expect(await processesIn(data)).toEqual([]);
    },
    300_000 + 3 * STARTED_WITHIN_MS,
  );

  it("leaves nothing behind when it is stopped while it starts", async () => {
    await using directory = await temporaryDirectory();
    const data = join(directory.path, "cluster");
    await using command = new ClusterCommand(["--port", "0", "--data", data]);
    await command.until(() => command.stderr.includes("tracker-1"));
    command.send("SIGTERM");
    expect(await command.ended).toBe(0);
    expect(await processesIn(data)).toEqual([]);
  });

  it("says in one line what is wrong with what it was given", async () => {
    const refusals: [string[], Record<string, string>, RegExp][] = [
      [["--port", "http"], {}, /a port is a number/],
      [["--data", ""], {}, /it is empty/],
      [["--replicas", "3"], {}, /unknown option '--replicas'/],
      [["9000"], { npm_lifecycle_event: "cluster", npm_config_port: "true" }, /npm run cluster -- --port 9000/],
    ];
    for (const [argv, environment, words] of refusals) {
      await using command = new ClusterCommand(argv, environment);
      expect(await command.ended).toBe(2);
      expect(command.stderr).toMatch(words);
      expect(command.stdout).toBe("");
    }
  });
});
