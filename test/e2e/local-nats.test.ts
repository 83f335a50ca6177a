/** One process with a bus beside it: `--nats local`, and the command line straight to the actors. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectNats } from "../../src/bus/nats.ts";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { askService } from "../contract/micro-service.ts";
import { runTroupe } from "../support/program.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { someBytes } from "../support/troupe.ts";

const FLAGS = ["--nats", "local"];

let folder: TemporaryDirectory;
let server: ServerProcess;

const data = (): string => join(folder.path, "data");
const inFolder = (name: string): string => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryDirectory();
  server = await startServer(data(), FLAGS);
});
afterAll(async () => {
  await server?.terminate();
  await folder?.[Symbol.asyncDispose]();
});

/** Who answers on the bus, as the observer whose address stands in the data directory. */
async function roles(): Promise<string[]> {
  const url = (await readFile(join(data(), "nats", "observer.url"), "utf8")).trim();
  const bus = await connectNats({ ...parseNatsUrl(url), name: "test", inboxPrefix: "_INBOX", clock: new SystemClock(), log: SILENT_LOG });
  try {
    return (await askService(bus, "PING", 5)).map(({ name }) => name).sort();
  } finally {
    await bus.drain();
  }
}

async function clientUrl(): Promise<string> {
  const path = join(data(), "nats", "client.url");
  expect((await stat(path)).mode & 0o077).toBe(0);
  return (await readFile(path, "utf8")).trim();
}

describe("--nats local", () => {
  it("has a bus that others may ask", async () => {
    expect(await roles()).toEqual(["catalog", "gateway", "ids", "storage", "tracker"]);
  });

  it("every verb of the command line works on the bus as it does at a gateway", async () => {
    const nats = await clientUrl();
    const bytes = someBytes(9 * 1024 * 1024 + 17, 3);
    await writeFile(inFolder("film.bin"), bytes);
    const url = (await runTroupe(nats, ["upload", inFolder("film.bin")])).trim();
    expect(url).toMatch(new RegExp(`^${server.url}/files/[0-9a-f]+/film\\.bin$`));
    expect(bytes.equals(Buffer.from(await (await fetch(url)).arrayBuffer()))).toBe(true);
    const id = new URL(url).pathname.split("/")[2] as string;
    await runTroupe(nats, ["download", id, "-o", inFolder("again.bin")]);
    expect(bytes.equals(await readFile(inFolder("again.bin")))).toBe(true);
    expect((await runTroupe(nats, ["size", id])).trim()).toBe(String(bytes.length));
    const both = (...argv: string[]): Promise<string[]> => Promise.all([nats, server.url].map((whom) => runTroupe(whom, argv)));
    for (const verb of ["ls", "uploads"]) {
      const [onBus, atGateway] = await both(verb, "--json");
      expect(onBus, verb).toBe(atGateway);
    }
    for (const verb of ["groups", "nodes"]) for (const text of await both(verb)) expect(text, verb).toContain("group001");
    await runTroupe(nats, ["delete", id]);
    expect((await fetch(url)).status).toBe(404);
  });

  it("F1: a nats-server that dies is started again at the same address, and the log says so", async () => {
    const before = await clientUrl();
    const said = (words: string): number => server.stderr.split(words).length - 1;
    const answering = (await roles()).length;
    // Whoever looks into the process has one of its own.
    const connections = answering + 1;
    for (const time of [1, 2]) {
      const [{ pid }] = JSON.parse(await readFile(join(data(), "nats", "processes.json"), "utf8")) as [{ pid: number }];
      process.kill(pid, "SIGKILL");
      await expect.poll(() => said("The bus is connected to again")).toBeGreaterThanOrEqual(time * connections);
      expect(said("The nats-server of this process has ended")).toBe(time);
      expect(said("The nats-server of this process is back")).toBe(time);
    }
    expect(await roles()).toHaveLength(answering);
    expect(await clientUrl()).toBe(before);
    expect(await runTroupe(before, ["nodes"])).toContain("group001");
  });

  it("F1: what a killed process leaves of it is ended at the next start, which has the same address", async () => {
    const before = await clientUrl();
    await server.kill();
    server = await startServer(data(), FLAGS);
    expect(server.stderr).toContain("is left of a process that was killed");
    expect(await clientUrl()).toBe(before);
    expect(await roles()).toHaveLength(5);
  });
});
