import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BlakeHasher } from "../../src/store/blake-hasher.ts";
import { NodeDisk } from "../../src/store/node-disk.ts";
import { bytesOf, describeHasher, otherBlake3 } from "../contract/hasher.ts";
import { InlineHasher } from "../support/inline-hasher.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

const MIB = 1024 * 1024;

describeHasher("BlakeHasher", () => ({ hasher: new BlakeHasher() }));
describeHasher("BlakeHasher with one worker", () => ({ hasher: new BlakeHasher(1) }));
describeHasher("InlineHasher", () => ({ hasher: new InlineHasher(new NodeDisk()) }));

/** What this process has open below a directory. */
function openBelow(directory: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${descriptor}`);
      return path.startsWith(directory) ? [path] : [];
    } catch (error) {
      // The descriptor of this very listing is gone by now.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  });
}

/** Runs a module's text in a process of its own. */
async function runProgram(
  directory: string,
  text: string,
  options: readonly string[] = [],
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  // A file and not an argument: worker threads inherit the process's options, and would take an input type for theirs.
  const path = join(directory, "program.mjs");
  await writeFile(path, text);
  const child = spawn(process.execPath, [...options, path], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (output += data.toString()));
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, output };
}

const HASHER_URL = new URL("../../src/store/blake-hasher.ts", import.meta.url).href;

describe("BlakeHasher's workers", () => {
  it("share their time fairly: a small file does not wait for a large one", async () => {
    await using directory = await temporaryDirectory();
    const hasher = new BlakeHasher(1);
    const large = join(directory.path, "large");
    const small = join(directory.path, "small");
    await writeFile(large, new Uint8Array(64 * MIB));
    const bytes = bytesOf(1, 2 * MIB);
    const digest = await otherBlake3(bytes);
    await writeFile(small, bytes);
    const order: string[] = [];
    const first = hasher.follow(large, ["sha256", "md5"]);
    const largeDone = first.finish(64 * MIB).then(() => order.push("large"));
    const smallDone = hasher.follow(small, []).finish(bytes.length);
    await Promise.all([largeDone, smallDone.then(() => order.push("small"))]);
    expect(await smallDone).toEqual({ blake3: digest });
    expect(order).toEqual(["small", "large"]);
    await hasher.close();
  });

  it.runIf(process.platform === "linux")("F28: a follower that has caught up or was closed has no file open", async () => {
    await using directory = await temporaryDirectory();
    const hasher = new BlakeHasher(1);
    const path = join(directory.path, "a");
    await writeFile(path, new Uint8Array(32 * MIB));
    // A hole, which takes long enough to be seen open.
    const long = join(directory.path, "long");
    await writeFile(long, "");
    await truncate(long, 4096 * MIB);
    const waiting = hasher.follow(path, []);
    waiting.advance(MIB);
    const closed = hasher.follow(long, ["sha256"]);
    closed.advance(4096 * MIB);
    await expect.poll(() => openBelow(directory.path).length, { interval: 1 }).toBeGreaterThan(0);
    await closed.close();
    await expect.poll(() => openBelow(directory.path)).toEqual([]);
    expect(await waiting.finish(32 * MIB)).toEqual({ blake3: await otherBlake3(new Uint8Array(32 * MIB)) });
    expect(openBelow(directory.path)).toEqual([]);
    await hasher.close();
  });

  it("follow is refused after close, and what was under way is told STOPPING", async () => {
    await using directory = await temporaryDirectory();
    const hasher = new BlakeHasher();
    const path = join(directory.path, "a");
    await writeFile(path, new Uint8Array(16 * MIB));
    const follower = hasher.follow(path, ["sha256"]);
    const outcome = follower.finish(16 * MIB).then(
      () => "finished",
      (error: { code?: string }) => error.code,
    );
    await hasher.close();
    expect(await outcome).toBe("STOPPING");
    await follower.close();
    expect(() => hasher.follow(path, [])).toThrow(expect.objectContaining({ code: "STOPPING" }));
    await hasher.close();
  });

  // In a process of its own: other tests' hashers are threads of this one.
  it.runIf(process.platform === "linux")("start with the first file, as many as needed, and end with close", async () => {
    await using directory = await temporaryDirectory();
    const program = `
      import { readdirSync, readFileSync } from "node:fs";
      const { BlakeHasher } = await import(${JSON.stringify(HASHER_URL)});
      // Threads that hash, by what Linux calls them.
      const nameOf = (task) => {
        try {
          return readFileSync("/proc/self/task/" + task + "/comm", "utf8");
        } catch {
          return "it has ended";
        }
      };
      const count = () => readdirSync("/proc/self/task").filter((task) => nameOf(task).startsWith("troupe-hasher")).length;
      const counts = [];
      const hasher = new BlakeHasher(2);
      hasher.stream("blake3").update(new Uint8Array(10));
      counts.push(count());
      await hasher.follow("/nowhere/one", []).close();
      await hasher.follow("/nowhere/two", []).finish(0);
      counts.push(count());
      const both = [hasher.follow("/nowhere/three", []), hasher.follow("/nowhere/four", [])];
      await Promise.all(both.map((follower) => follower.finish(0)));
      counts.push(count());
      await hasher.close();
      while (count() > 0) await new Promise(setImmediate);
      console.log(counts.join(" "));
    `;
    expect(await runProgram(directory.path, program)).toEqual({ exitCode: 0, output: "0 1 2\n" });
  });

  it("do not keep a process alive when nobody waits for them", async () => {
    await using directory = await temporaryDirectory();
    const program = `
      const { BlakeHasher } = await import(${JSON.stringify(HASHER_URL)});
      const hasher = new BlakeHasher();
      hasher.follow("/nowhere/idle", []);
      console.log((await hasher.follow("/nowhere/empty", []).finish(0)).blake3);
    `;
    expect(await runProgram(directory.path, program)).toEqual({ exitCode: 0, output: `${await otherBlake3(new Uint8Array(0))}\n` });
  });

  it("F1: one that dies fails its followers with INTERNAL and is replaced", async () => {
    // A worker inherits its process's options: in this process one dies as soon as the file it is told to read has that name.
    await using directory = await temporaryDirectory();
    const deadly = join(directory.path, "deadly.mjs");
    await writeFile(
      deadly,
      `import { isMainThread } from "node:worker_threads";
       import fs from "node:fs";
       import { syncBuiltinESMExports } from "node:module";
       if (!isMainThread) {
         const open = fs.openSync;
         fs.openSync = (path, ...rest) => (String(path).endsWith("poison") ? process.exit(7) : open(path, ...rest));
         syncBuiltinESMExports();
       }`,
    );
    await writeFile(join(directory.path, "good"), "good");
    const program = `
      const { BlakeHasher } = await import(${JSON.stringify(HASHER_URL)});
      const hasher = new BlakeHasher(1);
      const innocent = hasher.follow(${JSON.stringify(join(directory.path, "good"))}, []);
      const poisoned = hasher.follow(${JSON.stringify(join(directory.path, "poison"))}, []);
      const code = (error) => error.code;
      console.log(await poisoned.finish(10).catch(code), await innocent.finish(4).catch(code));
      await innocent.close();
      console.log((await hasher.follow(${JSON.stringify(join(directory.path, "good"))}, []).finish(4)).blake3);
    `;
    const output = `INTERNAL INTERNAL\n${await otherBlake3(Buffer.from("good"))}\n`;
    expect(await runProgram(directory.path, program, ["--import", deadly])).toEqual({ exitCode: 0, output });
  });
});
