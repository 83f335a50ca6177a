import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const PROGRAM = fileURLToPath(new URL("cli.ts", import.meta.url));

type Sim = ChildProcessByStdio<null, Readable, Readable>;

function begun(argv: readonly string[]): Sim {
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", PROGRAM, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
}

async function ended(child: Sim) {
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { stdout, stderr, code: code as number, lastLine: stdout.trim().split("\n").at(-1) };
}

const sim = (...argv: string[]) => ended(begun(argv));

/** Ctrl-C, once it has said this. */
async function interrupted(words: string, ...argv: string[]) {
  const child = begun(argv);
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => {
    const had = said.includes(words);
    said += bytes.toString();
    if (!had && said.includes(words)) child.kill("SIGINT");
  });
  return await ended(child);
}

const nodes = { trackers: 1, allocators: 1, catalogs: 1, storages: 1, gateways: 1, clients: 1 };
const quiet = { format: 1, seed: 1, minutes: 0.1, nodes, operations: [], faults: [] };
const usual = { gateway: 0, roams: false, patienceMs: 1_000, draws: 0 };
const list = { ...usual, prefix: "", user: "ben", isOfAll: false, limit: 1_000_000, isUploads: false };
/** More at once than a gateway lists: a client that asks so is refused, which no fault explains. */
const failing = { ...quiet, minutes: 5, operations: [{ id: 3, client: "client1", atMs: 9_000, kind: "list", with: list }] };
const KEPT = "unexplained-answer-1.json";

function planIn(folder: string, plan: unknown): string {
  const path = join(folder, "plan.json");
  writeFileSync(path, JSON.stringify(plan));
  return path;
}

describe("npm run sim", () => {
  test.each([
    [[], "one of --seeds, --seed and --plan"],
    [["--seeds", "3", "--seed", "4"], "one of --seeds, --seed and --plan"],
    [["--seeds", "0"], "It is a whole number from 1 to 999999999."],
    [["--seeds", "99999999999999999999"], "It is a whole number from 1 to 999999999."],
    [["--seed", "x"], "It is a whole number from 1 to 999999999."],
    [["--seed", "1", "--minutes", "-2"], "It is a number from 0.001 to 1000 with at most three decimals"],
    [["--seed", "1", "--minutes", "0.00001"], "It is a number from 0.001 to 1000 with at most three decimals"],
    [["--seed", "1", "--minutes", "1e9"], "It is a number from 0.001 to 1000 with at most three decimals"],
    [["--seeds", "1", "--workers", "999999999"], "It is a whole number from 1 to 256."],
    [["--seeds", "3", "--trace"], "--trace is for one seed"],
    [["--seed", "3", "--from", "2"], "--from is for many seeds"],
    [["--seed", "3", "--keep-going"], "--keep-going is for many seeds"],
    [["--plan", "p.json", "--minutes", "2"], "--minutes is for seeds"],
    [["--seed", "3", "--runs", "5"], "--runs is for making a plan small"],
    [["--seeds", "3", "--keep-in", "here"], "--keep-in is for making a plan small"],
    [["--seed", "3", "--workers", "1"], "--workers is for many seeds"],
    [["--sed", "3"], "unknown option '--sed'"],
    [["--plan", "nowhere.json"], "nowhere.json cannot be read: there is no such file"],
    [["--plan", ""], "the name of the file with the plan is empty"],
  ])("%j is refused in words", async (argv, words) => {
    const { stderr, code } = await sim(...argv);
    expect(stderr).toContain(words);
    expect(code).toBe(2);
  });

  test("--help says which failure is made small, and what goes with what", async () => {
    const { stdout, code } = await sim("--help");
    const words = stdout.replaceAll(/\s+/g, " ");
    expect(words).toContain("of several (--keep-going) only that of the first seed");
    expect(words).toContain("--runs <count> with --shrink:");
    expect(code).toBe(0);
  });

  test("a plan file's run ends with a line that sums it up", async () => {
    await using folder = await temporaryDirectory();
    const fault = { kind: "bus.away", atMs: 4_000, forMs: 100, with: { standsStill: true } };
    const { stdout, code, lastLine } = await sim("--plan", planIn(folder.path, { ...quiet, faults: [fault] }), "--trace");
    expect(stdout).toMatch(/^0\.000 tracker1 begins its life 1$/m);
    expect(stdout).toContain("warning: no operation was done");
    expect(lastLine).toMatch(
      /^sim: trace [0-9a-f]{16}; .* 0 operations; 1 fault, which took effect \d+ times?; [\d,]+ events; failures: 0$/,
    );
    expect(code).toBe(0);
  });

  test("a plan that breaks nothing is not made small, and that is said", async () => {
    await using folder = await temporaryDirectory();
    const { code, lastLine } = await sim("--plan", planIn(folder.path, quiet), "--shrink", "--keep-in", folder.path);
    expect(lastLine).toBe("sim: it broke nothing, so there is nothing to make small");
    expect(code).toBe(0);
  });

  test("a plan made small is kept, with what it shows and what to do next; one as small stays in its place", async () => {
    await using folder = await temporaryDirectory();
    const argv = ["--plan", planIn(folder.path, failing), "--shrink", "--runs", "1", "--keep-in", folder.path];
    const first = await sim(...argv);
    // As long as the plan says, whatever --minutes would be.
    expect(first.stdout).toContain("at most 1 run of at most 300 s");
    expect(first.stdout).toMatch(/^sim: 1 run made it 0 faults, 1 operation, 5 minutes$/m);
    expect(first.stdout).toMatch(/^sim: it breaks unexplained-answer with: .*limit/m);
    expect(first.stdout).toMatch(new RegExp(`npm run sim -- --plan \\S*${KEPT} --trace$`, "m"));
    expect(first.lastLine).toBe("sim: it ended after 1 run: with more --runs it may get smaller");
    expect(first.code).toBe(1);
    const kept = readFileSync(join(folder.path, KEPT), "utf8");
    const second = await sim(...argv);
    expect(second.stdout).toMatch(new RegExp(`${KEPT} stays, for it is as small or smaller`));
    expect(second.stdout).toContain(kept);
    expect([second.code, readFileSync(join(folder.path, KEPT), "utf8")]).toEqual([1, kept]);
  });

  test("that a small plan breaks its rule with another sentence is said", async () => {
    await using folder = await temporaryDirectory();
    // Where it was asked stands in the sentence, and one of two gateways is not needed.
    const operations = failing.operations.map((operation) => ({ ...operation, with: { ...list, gateway: 1 } }));
    const path = planIn(folder.path, { ...failing, nodes: { ...nodes, gateways: 2 }, operations });
    const { stdout } = await sim("--plan", path, "--shrink", "--runs", "6", "--keep-in", folder.path);
    expect(stdout).toMatch(/^sim: it breaks unexplained-answer with: .*gateway1/m);
    expect(stdout).toMatch(/^sim: which is not what it was at first: .*gateway2/m);
  });

  test("a folder that cannot be written is refused before anything runs", async () => {
    await using folder = await temporaryDirectory();
    const path = planIn(folder.path, failing);
    const { stdout, stderr, code } = await sim("--plan", path, "--shrink", "--keep-in", path);
    expect([stdout, code]).toEqual(["", 2]);
    expect(stderr).toMatch(/^sim: plans cannot be kept in .*plan\.json: a file is where a folder has to be; move it away\n$/);
  });

  test("a small plan that cannot be written is printed", async () => {
    await using folder = await temporaryDirectory();
    mkdirSync(join(folder.path, KEPT));
    const argv = ["--plan", planIn(folder.path, failing), "--shrink", "--runs", "1", "--keep-in", folder.path];
    const { stdout, stderr, code } = await sim(...argv);
    expect(JSON.parse(stdout.slice(stdout.indexOf("{")))).toMatchObject({ rule: "unexplained-answer", plan: failing });
    // On a slow machine a line before it says how far it is.
    const [, last] = stderr.split("\n").toReversed();
    expect(last).toMatch(/^sim: .*unexplained-answer-1\.json cannot be read: it is a directory, where a file has to be$/);
    expect(code).toBe(2);
  });

  test("Ctrl-C ends a run, which says how far it was", async () => {
    const { code, lastLine } = await interrupted("\n", "--seed", "1", "--minutes", "1000", "--trace");
    expect([code, lastLine]).toEqual([130, expect.stringMatching(/^sim: interrupted at \d+\.\d simulated s$/)]);
  });

  test("Ctrl-C while a plan is made small ends with the smallest so far", async () => {
    await using folder = await temporaryDirectory();
    const argv = ["--plan", planIn(folder.path, failing), "--shrink", "--keep-in", folder.path];
    const { code, lastLine } = await interrupted("makes it small", ...argv);
    expect([code, lastLine]).toEqual([130, expect.stringMatching(/^sim: interrupted (after \d+ runs?|before the plan had run again)/)]);
  });

  test("Ctrl-C while the plan of a seed is made small ends with that, too", async () => {
    await using folder = await temporaryDirectory();
    // No seed of so many minutes ends within its bound.
    const argv = ["--seeds", "1", "--minutes", "500", "--bound-seconds", "2", "--shrink", "--keep-in", folder.path];
    const { code, stdout, lastLine } = await interrupted("makes it small", ...argv);
    expect(stdout).toContain("sim: seed 1 broke never-ends");
    expect(stdout).toContain("--seeds 1 --from 1 --minutes 500 --bound-seconds 8");
    expect(stdout).toContain("1 seed (");
    expect([code, lastLine]).toEqual([130, expect.stringMatching(/^sim: interrupted/)]);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("a reader that has seen enough of a trace ends it in silence", async () => {
    const child = begun(["--seed", "1", "--minutes", "0.05", "--trace"]);
    child.stdout.once("data", () => child.stdout.destroy());
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect([stderr, code]).toEqual(["", 141]);
  });
});
