/** What a killed cluster has left is ended, and nothing else. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ProcessRecord } from "../../src/bin/cluster/process-record.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

/** Runs until it is ended; one that is deaf takes no SIGTERM. */
async function someProcess(isDeaf = false): Promise<ChildProcess & { readonly pid: number }> {
  const script = `${isDeaf ? 'process.on("SIGTERM", () => {});' : ""} setInterval(() => {}, 1000); console.log("up")`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "ignore"] });
  await once(child.stdout, "data");
  return child as typeof child & { pid: number };
}

describe("the record of a cluster's processes", () => {
  it("ends what runs, politely first, and forgets it", async () => {
    await using directory = await temporaryDirectory();
    const [willing, deaf] = [await someProcess(), await someProcess(true)];
    const record = new ProcessRecord(directory.path);
    record.note("storage-1", willing.pid);
    record.note("storage-2", deaf.pid);
    const found: string[] = [];
    const ends = Promise.all([once(willing, "exit"), once(deaf, "exit")]);
    await new ProcessRecord(directory.path).endLeftovers((name, pid) => void found.push(`${name} ${pid}`), 500);
    expect(found).toEqual([`storage-1 ${willing.pid}`, `storage-2 ${deaf.pid}`]);
    expect((await ends).map(([, signal]) => signal)).toEqual(["SIGTERM", "SIGKILL"]);
    await new ProcessRecord(directory.path).endLeftovers((name) => void found.push(name));
    expect(found).toHaveLength(2);
  });

  it("leaves a process alone that has only the number of one that was noted", async () => {
    await using directory = await temporaryDirectory();
    const stranger = await someProcess();
    const ended = once(stranger, "exit");
    try {
      new ProcessRecord(directory.path).note("storage-1", stranger.pid);
      const path = join(directory.path, "processes.json");
      const [noted] = JSON.parse(await readFile(path, "utf8")) as { began: string }[];
      await writeFile(path, JSON.stringify([{ ...noted, began: `${noted?.began}1` }]));
      const found: string[] = [];
      const record = new ProcessRecord(directory.path);
      record.killAll();
      await record.endLeftovers((name) => void found.push(name));
      expect(found).toEqual([]);
    } finally {
      stranger.kill("SIGINT");
    }
    // Nobody else has ended it.
    expect(await ended).toEqual([null, "SIGINT"]);
  });

  it("is empty when it was being written while the machine went down", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "processes.json"), '[{"name":"sto');
    const found: string[] = [];
    await new ProcessRecord(directory.path).endLeftovers((name) => void found.push(name));
    expect(found).toEqual([]);
  });
});
