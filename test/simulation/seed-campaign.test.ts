import { fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { RUNNER_PROGRAM } from "./runner-process.ts";
import { runSeeds, type SeedCampaignOptions } from "./seed-campaign.ts";
import { SeedRecords } from "./seed-records.ts";

/** Seeds behave as `behaviour` says, in the words of JavaScript; each is written down in `ran`. */
function programIn(folder: string, behaviour: string): string {
  const path = join(folder, "program.mjs");
  writeFileSync(
    path,
    `import { appendFileSync } from "node:fs";
     const result = (seed) => ({ hash: "h" + seed, violations: [], counts: {}, simulatedMs: 1000, healedAtMs: 600, realUntilHealedMs: 10, eventCount: 1, operationCount: 1 });
     const broken = (seed) => ({ ...result(seed), violations: [{ rule: "r", sentence: "s", atMs: 1 }] });
     const behave = (seed, answer) => { ${behaviour} };
     process.on("message", ({ seed }) => {
       appendFileSync(${JSON.stringify(join(folder, "ran"))}, seed + "\\n");
       behave(seed, (result) => process.send({ kind: "result", result }));
     });
     process.on("disconnect", () => process.exit());`,
  );
  return path;
}

async function campaign(folder: string, behaviour: string, options: Partial<SeedCampaignOptions> = {}) {
  const records = SeedRecords.open(join(folder, "state", "records.jsonl"), 1);
  const usual = { from: 1, count: 4, minutes: 1, workers: 2, keepGoing: false, boundMs: 20_000, records };
  const result = await runSeeds({ ...usual, program: programIn(folder, behaviour), ...options });
  return { ...result, rules: result.records.map(({ seed, violations }) => [seed, violations[0]?.rule]) };
}

const seedsRun = (folder: string): number[] =>
  readFileSync(join(folder, "ran"), "utf8")
    .trim()
    .split("\n")
    .map(Number)
    .sort((one, other) => one - other);

describe("a campaign of seeds", () => {
  test("every seed runs once, and is known the next time", async () => {
    await using folder = await temporaryDirectory();
    await campaign(folder.path, "answer(result(seed))");
    const { records } = await campaign(folder.path, "answer(result(seed))", { count: 6 });
    expect(records.map(({ seed, hash }) => [seed, hash])).toEqual([1, 2, 3, 4, 5, 6].map((seed) => [seed, `h${seed}`]));
    expect(seedsRun(folder.path)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("a record that was cut off is made again", async () => {
    await using folder = await temporaryDirectory();
    await campaign(folder.path, "answer(result(seed))", { count: 1 });
    appendFileSync(join(folder.path, "state", "records.jsonl"), '{"seed":2,"minu');
    await campaign(folder.path, "answer(result(seed))", { count: 2 });
    await campaign(folder.path, "answer(result(seed))", { count: 2 });
    expect(seedsRun(folder.path)).toEqual([1, 2]);
  });

  test.each(['{"seed":2,"minutes":1}', '{"seed":2,"minutes":1,"violations":"none"}', "null", "42"])(
    "a line that is no record, %s, is passed over",
    async (line) => {
      await using folder = await temporaryDirectory();
      await campaign(folder.path, "answer(result(seed))", { count: 1 });
      appendFileSync(join(folder.path, "state", "records.jsonl"), `${line}\n`);
      expect((await campaign(folder.path, "answer(result(seed))", { count: 2 })).records).toHaveLength(2);
      expect(seedsRun(folder.path)).toEqual([1, 2]);
    },
  );

  test("what cannot be kept ends it, in a sentence", async () => {
    await using folder = await temporaryDirectory();
    const path = join(folder.path, "state", "records.jsonl");
    const records = SeedRecords.open(path, 1);
    mkdirSync(path);
    const never = "if (seed === 1) answer(result(seed)); else for (;;);";
    await expect(campaign(folder.path, never, { records })).rejects.toThrow(/cannot be kept in .*records\.jsonl: it is a directory/);
    expect(() => SeedRecords.open(path, 1)).toThrow(/cannot be kept/);
  });

  test("it ends with the first failure, and leaves what is under way", async () => {
    await using folder = await temporaryDirectory();
    const { rules } = await campaign(folder.path, "if (seed === 2) answer(broken(seed))", { count: 1_000 });
    expect(rules).toEqual([[2, "r"]]);
  });

  test("told to keep going, it comes to the end", async () => {
    await using folder = await temporaryDirectory();
    const { rules } = await campaign(folder.path, "answer(seed === 2 ? broken(seed) : result(seed))", { keepGoing: true });
    expect(rules).toEqual([
      [1, undefined],
      [2, "r"],
      [3, undefined],
      [4, undefined],
    ]);
  });

  test("a seed that never ends is ended, named, and tried again the next time", async () => {
    await using folder = await temporaryDirectory();
    const behaviour = "if (seed !== 2) answer(result(seed)); else for (;;);";
    const once = () => campaign(folder.path, behaviour, { keepGoing: true, count: 3, workers: 1, boundMs: 2_000 });
    expect((await once()).rules).toEqual([
      [1, undefined],
      [2, "never-ends"],
      [3, undefined],
    ]);
    await once();
    expect(seedsRun(folder.path)).toEqual([1, 2, 2, 3]);
  });

  test("a seed whose process dies is named, with the process's last words", async () => {
    await using folder = await temporaryDirectory();
    const behaviour = 'if (seed !== 2) answer(result(seed)); else { console.error("too much"); process.exit(3); }';
    const { rules, records } = await campaign(folder.path, behaviour, { keepGoing: true, count: 3 });
    expect(rules).toEqual([
      [1, undefined],
      [2, "process-died"],
      [3, undefined],
    ]);
    expect(records[1]?.violations[0]?.sentence).toBe("It ended with 3: too much");
  });

  test("a seed that takes more memory than it may is named", async () => {
    await using folder = await temporaryDirectory();
    const behaviour = "const kept = []; for (;;) kept.push(Array(1_000).fill(seed));";
    const { rules } = await campaign(folder.path, behaviour, { count: 1, memoryMib: 32 });
    expect(rules).toEqual([[1, "process-died"]]);
  });

  test("one seed in fifty runs in a second process, and another trace there is a failure", async () => {
    await using folder = await temporaryDirectory();
    const same = await campaign(folder.path, "answer(result(seed))", { from: 50, count: 51 });
    const repeated = same.records.filter(({ isRepeated }) => isRepeated).map(({ seed }) => seed);
    expect([repeated, same.rules.flatMap(([, rule]) => rule ?? [])]).toEqual([[50, 100], []]);
    await using other = await temporaryDirectory();
    const differs = await campaign(other.path, "answer({ ...result(seed), hash: String(process.pid) })", { from: 100, count: 1 });
    expect(differs.rules).toEqual([[100, "same-seed-other-trace"]]);
  });

  test("a second run that is ended from outside says nothing of the trace, and is made again", async () => {
    await using folder = await temporaryDirectory();
    const ran = `process.getBuiltinModule("node:fs").readFileSync(${JSON.stringify(join(folder.path, "ran"))}, "utf8")`;
    const behaviour = `if (${ran} === "50\\n50\\n") for (;;); answer(result(seed));`;
    const once = () => campaign(folder.path, behaviour, { from: 50, count: 1, boundMs: 2_000 });
    expect((await once()).rules).toEqual([[50, "never-ends"]]);
    expect((await once()).rules).toEqual([[50, undefined]]);
  });

  test("a process runs a bounded number of seeds", async () => {
    await using folder = await temporaryDirectory();
    const { records } = await campaign(folder.path, "answer({ ...result(seed), hash: String(process.pid) })", { count: 49, workers: 1 });
    const counts = Map.groupBy(records, ({ hash }) => hash);
    expect([...counts.values()].map((runs) => runs.length)).toEqual([40, 9]);
  });

  test("a process whose asker died while it was loaded ends", async () => {
    const child = fork(RUNNER_PROGRAM, [], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
    child.disconnect();
    try {
      expect(await once(child, "exit")).toEqual([0, null]);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("an interruption keeps what is done", async () => {
    await using folder = await temporaryDirectory();
    const interrupted = new AbortController();
    const onRecord = (): void => interrupted.abort();
    const options = { workers: 1, count: 100, signal: interrupted.signal, onRecord };
    expect((await campaign(folder.path, "answer(result(seed))", options)).records).toHaveLength(1);
    expect(SeedRecords.open(join(folder.path, "state", "records.jsonl"), 1).find(1)?.hash).toBe("h1");
  });
});
