/** How processes on a bus begin and end: nothing is left of a start that was broken off, and a bus that is away holds no end up. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { startTestNats } from "../support/nats-server.ts";
import { type Started, spawnServer, startServer } from "../support/server-process.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

it("F10: a process that plays every role ends cleanly when the bus was killed", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  await using server = await startServer(join(folder.path, "data"), ["--nats", nats.url]);
  await nats.kill();
  expect(await server.terminate()).toBe(0);
});

it("F10: and when the bus stands still", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  await using server = await startServer(join(folder.path, "data"), ["--nats", nats.url]);
  await nats.pause();
  try {
    expect(await server.terminate()).toBe(0);
  } finally {
    await nats.resume();
  }
});

it("a start that is broken off leaves no server running", async () => {
  await using folder = await temporaryDirectory();
  const record = join(folder.path, "data", "nats", "processes.json");
  const { child, exited } = spawnServer(["--nats", "local", "--port", "0", "--data", join(folder.path, "data")]);
  let noted: { pid: number }[] = [];
  while (noted.length === 0) {
    noted = await readFile(record, "utf8").then(JSON.parse, () => []);
    await pause(2);
  }
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  // It has ended by now; whoever collects it, once its parent has ended too, may take a moment.
  const isThere = (): boolean => {
    try {
      return process.kill(noted[0]?.pid as number, 0);
    } catch {
      return false;
    }
  };
  await expect.poll(isThere).toBe(false);
});

it("of two stores that start on one bus at the same moment, at most one goes on", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  const both = ["a", "b"].map((name) => spawnServer(["--nats", nats.url, "--port", "0", "--data", join(folder.path, name)]));
  try {
    const ended = await Promise.all(both.map(readyOrEnded));
    expect(ended.filter((how) => how === "ready").length).toBeLessThan(2);
    expect(both.map(({ output }) => output.err).join()).toContain("two stores that take each other's requests");
  } finally {
    await Promise.all(both.map(killed));
  }
});

it("a store with a database of its own does not join one that is there", async () => {
  await using folder = await temporaryDirectory();
  await using nats = await startTestNats();
  await using first = await startServer(join(folder.path, "a"), ["--nats", nats.url]);
  const second = spawnServer(["--nats", nats.url, "--port", "0", "--data", join(folder.path, "b")]);
  try {
    expect(await readyOrEnded(second)).toBe(1);
    expect(second.output.err).toContain(first.nodeId);
  } finally {
    await killed(second);
  }
});

const readyOrEnded = ({ ready, exited }: Started): Promise<number | string | null> => Promise.race([ready.then(() => "ready"), exited]);

async function killed({ child, exited }: Started): Promise<void> {
  child.kill("SIGKILL");
  await exited;
}
