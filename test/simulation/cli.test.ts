import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PROGRAM = fileURLToPath(new URL("cli.ts", import.meta.url));

async function sim(...argv: string[]) {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", PROGRAM, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { stdout, stderr, code: code as number };
}

describe("npm run sim", () => {
  test.each([
    [[], "one of --seeds, --seed and --plan"],
    [["--seeds", "3", "--seed", "4"], "one of --seeds, --seed and --plan"],
    [["--seeds", "0"], "It is a whole number from 1."],
    [["--seed", "x"], "It is a whole number from 1."],
    [["--seed", "1", "--minutes", "-2"], "It is a number above 0."],
    [["--seed", "1", "--minutes", "999999"], "It is at most 1000"],
    [["--seeds", "1", "--workers", "999999999"], "It is at most 256."],
    [["--seeds", "3", "--trace"], "--trace is for one seed"],
    [["--sed", "3"], "unknown option '--sed'"],
    [["--plan", "nowhere.json"], "nowhere.json cannot be read as a plan"],
  ])("%j is refused in words", async (argv, words) => {
    const { stderr, code } = await sim(...argv);
    expect(stderr).toContain(words);
    expect(code).toBe(2);
  });

  test("a plan file's run ends with a line that sums it up", async () => {
    await using folder = await temporaryDirectory();
    const path = join(folder.path, "quiet.json");
    const nodes = { trackers: 1, allocators: 1, catalogs: 1, storages: 1, gateways: 1, clients: 1 };
    writeFileSync(path, JSON.stringify({ format: 1, seed: 1, minutes: 0.1, nodes, operations: [], faults: [] }));
    const { stdout, code } = await sim("--plan", path, "--trace");
    expect(stdout).toMatch(/^0\.000 tracker1 begins its life 1$/m);
    expect(stdout.trim().split("\n").at(-1)).toMatch(/^sim: trace [0-9a-f]{16}; .* 0 operations; 0 faults; .* failures: 0$/);
    expect(code).toBe(0);
  });

  test("a reader that has seen enough of a trace ends it in silence", async () => {
    const argv = ["--disable-warning=ExperimentalWarning", PROGRAM, "--seed", "1", "--minutes", "0.05", "--trace"];
    const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.once("data", () => child.stdout.destroy());
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect([stderr, code]).toEqual(["", 141]);
  });
});
