/**
 * The README's first steps as a person takes them: `npm start`, a file with curl, a file with `npx troupe upload`, ranges compared byte
 * by byte, and a clean end upon SIGTERM. Everything lies in a temporary directory; the port is a free one.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { requireNode } from "./node-version.js";

const READY_MS_MAX = 60_000;
const STEP_MS_MAX = 120_000;
const STOP_MS_MAX = 15_000;
const FILE_BYTES = 21 * 1024 * 1024 + 5;

requireNode("npm run smoke");
const root = fileURLToPath(new URL("..", import.meta.url));
const place = await mkdtemp(join(tmpdir(), "troupe-smoke-"));
try {
  await smoke();
  process.stdout.write("smoke: passed\n");
} catch (error) {
  process.stderr.write(`smoke: failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(place, { recursive: true, force: true });
}

async function smoke() {
  const bytes = randomBytes(FILE_BYTES);
  const path = join(place, "film.mp4");
  await writeFile(path, bytes);
  const server = spawn("npm", ["start", "--silent", "--", "--port", "0", "--data", join(place, "data")], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const ended = once(server, "close");
  try {
    const gateway = await readyUrl(server);
    say(`the server is ready at ${gateway}`);
    const curled = (await run("curl", ["--fail", "--silent", "--show-error", "-T", path, `${gateway}/put/`])).trim();
    say(`curl stored ${curled}`);
    const uploaded = (await run("npx", ["troupe", "upload", path, "--gateway", gateway])).trim();
    say(`troupe upload stored ${uploaded}`);
    for (const url of [curled, uploaded]) await compareRanges(url, bytes);
    say("whole files and ranges are the bytes that were sent");
    server.kill("SIGTERM");
    const [code, signal] = await within(ended, STOP_MS_MAX, "the server did not end upon SIGTERM");
    assert.equal(code, 0, `the server ended with ${code ?? signal} upon SIGTERM`);
    say("the server ended with 0 upon SIGTERM");
  } finally {
    endGroup(server.pid);
  }
}

/**
 * @param {string} url
 * @param {Buffer} bytes
 */
async function compareRanges(url, bytes) {
  const last = bytes.length - 1;
  const ranges = [
    [0, last],
    [0, 0],
    [65_535, 65_536],
    [8 * 1024 * 1024 - 1, 8 * 1024 * 1024],
    [last, last],
  ];
  for (const [from = 0, to = 0] of ranges) {
    const got = join(place, "got");
    await run("curl", ["--fail", "--silent", "--show-error", "-r", `${from}-${to}`, "-o", got, url]);
    assert.ok((await readFile(got)).equals(bytes.subarray(from, to + 1)), `${url} bytes ${from}-${to} are not what was sent`);
  }
}

/** @param {import("node:child_process").ChildProcess} server @returns {Promise<string>} */
async function readyUrl(server) {
  const { stdout } = server;
  assert.ok(stdout);
  const lines = createInterface({ input: stdout });
  const ready = new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      const match = /^troupe ready (http:\/\/\S+) roles=\S+ node=\S+$/.exec(line);
      if (match !== null) resolve(match[1]?.replace(/\/$/, ""));
    });
    lines.on("close", () => reject(new Error("the server ended before it was ready")));
  });
  return within(/** @type {Promise<string>} */ (ready), READY_MS_MAX, "the server printed no ready line");
}

/**
 * @param {string} program
 * @param {string[]} argv
 * @returns {Promise<string>} what it printed
 */
async function run(program, argv) {
  const child = spawn(program, argv, { cwd: root, stdio: ["ignore", "pipe", "inherit"], detached: true });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  try {
    const [code] = await within(once(child, "close"), STEP_MS_MAX, `'${program} ${argv.join(" ")}' takes too long`);
    assert.equal(code, 0, `'${program} ${argv.join(" ")}' ended with ${code}`);
    return printed;
  } finally {
    endGroup(child.pid);
  }
}

/**
 * Whatever the process left running: it leads a group of its own, so nothing else is met.
 * @param {number | undefined} pid
 */
function endGroup(pid) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // Everybody has gone already, as it should be.
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH") throw error;
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} timeMs
 * @param {string} otherwise
 * @returns {Promise<T>}
 */
async function within(promise, timeMs, otherwise) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), timeMs);
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} sentence */
function say(sentence) {
  process.stdout.write(`smoke: ${sentence}\n`);
}
