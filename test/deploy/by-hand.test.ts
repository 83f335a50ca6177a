/** What a person started by hand is known for a part of the cluster, and nothing else is. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findByHand, isProgramWith, isScriptWith } from "../../src/bin/cluster/by-hand.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const pid = 1;

describe("a process started by hand", () => {
  it("is a role's when it runs the script with that configuration, however the paths were written", async () => {
    await using directory = await temporaryDirectory();
    const real = join(directory.path, "real");
    await mkdir(real);
    await symlink(real, join(directory.path, "link"));
    const isPart = isScriptWith("/troupe/src/bin/start.js", join(directory.path, "link", "troupe.config.json"));
    const file = join(real, "troupe.config.json");
    await writeFile(file, "{}");
    const script = "/troupe/src/bin/start.js";
    expect(isPart({ pid, folder: "/", argv: ["node", script, "--config", file] })).toBe(true);
    expect(isPart({ pid, folder: "/troupe", argv: ["node", "--inspect", "src/bin/start.js", `--config=${file}`] })).toBe(true);
    expect(isPart({ pid, folder: real, argv: ["node", script, "--config", "troupe.config.json"] })).toBe(true);
    const strangers: [string, string[]][] = [
      ["/", ["node", script, "--config", "troupe.config.json"]],
      ["/", ["node", script, "--config", `${file}.old`]],
      ["/", ["node", script, "--config"]],
      ["/", ["node", script, file]],
      ["/other", ["node", "src/bin/start.js", "--config", file]],
      ["/troupe", ["vi", "src/bin/start.js", file]],
      [real, []],
    ];
    for (const [folder, argv] of strangers) expect(isPart({ pid, folder, argv }), argv.join(" ")).toBe(false);
  });

  it("is a server when it is that program with that path, or at work in it", () => {
    const isPart = isProgramWith(["redis-server"], "/data/redis");
    expect(isPart({ pid, folder: "/data/redis", argv: ["redis-server 127.0.0.1:6379"] })).toBe(true);
    expect(isPart({ pid, folder: "/", argv: ["/usr/bin/redis-server", "--dir=/data/redis"] })).toBe(true);
    for (const argv of [["bash"], ["less", "redis-server"], ["/usr/bin/redis-cli", "/data/redis"]])
      expect(isPart({ pid, folder: "/data/redis", argv })).toBe(false);
    expect(isPart({ pid, folder: "/data", argv: ["redis-server", "/data/redis2"] })).toBe(false);
  });

  it("is found among those that run", () => {
    const found = findByHand(
      new Map([["this", (seen) => seen.pid === process.pid && seen.folder === process.cwd() && seen.argv.length > 0]]),
    );
    expect(found).toEqual([{ name: "this", pid: process.pid }]);
  });
});
