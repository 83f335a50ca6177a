/**
 * A cluster of real processes under a steady load, while its parts are killed and started again: what the load meets is at most one
 * operation that has to be repeated once, and never a wrong byte or an ID twice.
 */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalog } from "../../src/actors/catalog/contract.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats.ts";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { run } from "../support/program.ts";
import { startServer } from "../support/server-process.ts";
import { type RepeatedTwice, SteadyLoad } from "../support/steady-load.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL, someBytes } from "../support/troupe.ts";
import { until } from "../support/until.ts";

/** Of each; TROUPE_TEST_KILLS sets it. */
const KILLS = Number(process.env["TROUPE_TEST_KILLS"] ?? 10);
/** Of one, with the start after it and what the load does meanwhile. */
const KILL_MS_MAX = 24_000;
/** Operations that each lane of the load must have ended after each disturbance, before the next: about one of every kind. */
const OPERATIONS_BETWEEN = 7;
const FILE_BYTES = 1024 * 1024;

let cluster: TestCluster;
let load: SteadyLoad;
let observer: NatsBus;
let catalogs: Client<typeof catalog>;

beforeAll(async () => {
  cluster = await startCluster({ settings: { heartbeat: "500ms", offlineAfter: "3s" } });
  load = new SteadyLoad(cluster.gatewayUrl, { fileBytes: FILE_BYTES, lanes: 2 });
  load.start();
  const name = "observer/test";
  observer = await connectNats({
    ...parseNatsUrl(cluster.natsUrl("observer")),
    name,
    inboxPrefix: "_INBOX",
    clock: new SystemClock(),
    log: SILENT_LOG,
  });
  catalogs = client(observer, catalog);
});
afterAll(async () => {
  await load?.stop();
  await observer?.drain();
  await cluster?.[Symbol.asyncDispose]();
});

/** What the load has met since the last look. */
function met(): { readonly ended: boolean; readonly repeatedTwice: readonly RepeatedTwice[]; readonly wrong: readonly string[] } {
  return { ended: load.hasEnded, repeatedTwice: load.repeatedTwice.splice(0), wrong: load.wrong };
}
const NOTHING_WORSE = { ended: false, repeatedTwice: [], wrong: [] };

describe("under a steady load", () => {
  it.each(["tracker-1", "ids-1", "catalog-1"])(
    `F1, F11, F27: %s is killed ${KILLS} times and started again: no operation needs more than one repetition`,
    async (name) => {
      for (let round = 0; round < KILLS; round += 1) {
        await load.progress(OPERATIONS_BETWEEN);
        await cluster.kill(name);
        await load.progress(OPERATIONS_BETWEEN);
        await cluster.start(name);
      }
      await load.progress(OPERATIONS_BETWEEN);
      expect(met()).toEqual(NOTHING_WORSE);
    },
    300_000 + KILLS * KILL_MS_MAX,
  );

  it.each(["nats", "mariadb"] as const)("F10, F14: %s is restarted, and killed and started: the same", async (name) => {
    const engine = cluster.engine(name);
    await load.progress(OPERATIONS_BETWEEN);
    await load.outage(() => engine.restart());
    await load.progress(OPERATIONS_BETWEEN);
    await load.outage(async () => {
      await engine.kill();
      await engine.start();
    });
    await load.progress(OPERATIONS_BETWEEN);
    expect(met()).toEqual(NOTHING_WORSE);
  });

  it("F17: Redis is killed, and started empty: the same", async () => {
    await load.progress(OPERATIONS_BETWEEN);
    await cluster.engine("redis").kill();
    await load.progress(OPERATIONS_BETWEEN);
    await cluster.engine("redis").start();
    await load.progress(OPERATIONS_BETWEEN);
    expect(met()).toEqual(NOTHING_WORSE);
  });

  it("F1, F4: a killed storage node is shown offline, its files answer 503 with a reason, and are back after its restart without anybody's help", async () => {
    const { fileId, url, bytes } = await fileOn("storage-2");
    const long = await fileOn("storage-2", 64 * FILE_BYTES);
    const reading = await fetch(long.url);
    expect(reading.status).toBe(200);
    await cluster.kill("storage-2");
    // Neither a short answer nor a wrong one: the transfer breaks.
    await expect(reading.arrayBuffer()).rejects.toThrow();
    await until(nodeStates, ({ "storage-2": state }) => state === "offline");
    const refused = await fetch(url);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    expect(await refused.json()).toMatchObject({ code: "HOST_UNAVAILABLE", detail: expect.stringContaining("storage-2") });
    // Uploads go on, and so do the files of others; the load itself may wait for its own on that node.
    const elsewhere = await fileOn("storage-3");
    expect((await fetch(elsewhere.url)).status).toBe(200);

    await cluster.start("storage-2");
    await until(nodeStates, ({ "storage-2": state }) => state === "active");
    const answer = await fetch(url);
    expect(answer.status, fileId).toBe(200);
    expect(bytes.equals(Buffer.from(await answer.arrayBuffer()))).toBe(true);
    await load.progress(OPERATIONS_BETWEEN);
    const { repeatedTwice, ...rest } = met();
    expect(rest).toEqual({ ended: false, wrong: [] });
    // What the load has on that node itself answered so for as long as it was away, once what was under way had broken.
    const away = /^503 \{"type":"urn:troupe:error:HOST_UNAVAILABLE".*storage-2/;
    const broken = /^(504 |\w*Error: )/;
    const others = repeatedTwice.flatMap(({ name, met: [first = "", ...later] }) => {
      const heard = broken.test(first) ? later : [first, ...later];
      return heard.filter((words) => !away.test(words) || !["read", "chunk", "merge"].includes(name)).map((words) => `${name}: ${words}`);
    });
    expect(others).toEqual([]);
  });

  it("no ID was given twice, and nothing was said or heard that a user may not", async () => {
    await load.stop();
    const ids = load.fileIds;
    expect(new Set(ids).size).toBe(ids.length);
    const blobIds: number[] = [];
    for (const fileId of load.keptFileIds) blobIds.push((await catalogs.file({ fileId }, AS_LOCAL)).blob.blobId);
    expect(new Set(blobIds).size).toBe(blobIds.length);
    expect(await cluster.violations()).toEqual([]);
  });
});

it("F25: what is deleted at one gateway is 404 there at once, and soon at another that has just read it", async () => {
  await using folder = await temporaryDirectory();
  const flags = ["--role", "gateway", "--node-id", "gateway-2", "--nats", cluster.natsUrl("gateway")];
  await using other = await startServer(folder.path, flags);
  const { fileId } = await fileOn("storage-1");
  const at = (gateway: string): Promise<number> =>
    fetch(`${gateway}/files/${fileId}`).then(async (answer) => {
      await answer.arrayBuffer();
      return answer.status;
    });
  expect([await at(cluster.gatewayUrl), await at(other.url)]).toEqual([200, 200]);
  const deleted = await fetch(`${cluster.gatewayUrl}/api/v1/files/${fileId}`, { method: "DELETE" });
  expect([deleted.status, await at(cluster.gatewayUrl)]).toEqual([204, 404]);
  await until(
    () => at(other.url),
    (status) => status === 404,
  );
});

describe("with nothing of ours", () => {
  it("a film plays and seeks through a gateway whose storage is another process", async () => {
    await using folder = await temporaryDirectory();
    const film = join(folder.path, "film.mp4");
    const video = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=60", "-c:v", "mpeg4", "-q:v", "4"];
    await run("ffmpeg", ["-loglevel", "error", ...video, "-g", "50", film]);
    const url = (await run("curl", ["--silent", "--fail", "-T", film, `${cluster.gatewayUrl}/put/`])).toString().trim();
    const probed = await run("ffprobe", ["-v", "error", "-show_entries", "format=duration,size", "-of", "csv=p=0", url]);
    expect(probed.toString().trim()).toBe(`60.000000,${(await stat(film)).size}`);
    const frameAt = async (source: string, second: number): Promise<string> =>
      (await run("ffmpeg", ["-loglevel", "error", "-ss", String(second), "-i", source, "-frames:v", "1", "-f", "md5", "-"])).toString();
    for (const second of [50, 3, 31]) expect(await frameAt(url, second)).toBe(await frameAt(film, second));
  });

  it("plain NATS requests tell roles, endpoints, nodes, groups and one upload's state, in JSON", async () => {
    await using folder = await temporaryDirectory();
    const page = await readFile(new URL("../../docs/NATS-CLI.md", import.meta.url), "utf8");
    const script = join(folder.path, "ask");
    await writeFile(script, /^```bash\n(.*?)^```$/ms.exec(page)?.[1] ?? "");
    const environment = { NATS_URL: cluster.natsUrl("observer") };
    // biome-ignore lint/suspicious/noExplicitAny: whatever the answers hold
    const ask = async (subject: string, body = "{}", count = 1): Promise<any[]> =>
      // It waits two seconds for an answer, which may be too short on a machine that is busy.
      await until(
        async () =>
          (await run("bash", [script, subject, body, String(count)], { environment }))
            .toString()
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line)),
        (answers) => answers.length === count,
      );

    const roles = (await ask("$SRV.PING", "", cluster.processes.size)).map(({ name, id }) => `${name} ${id}`);
    expect(roles.sort()).toEqual([...cluster.processes.keys()].map((name) => `${name.replace(/-\d+$/, "")} ${name}`).sort());
    const [info] = await ask("$SRV.INFO.storage.storage-1");
    const schemas = info.endpoints.map(({ name, metadata }: { name: string; metadata: { input: string } }) => [
      name,
      JSON.parse(metadata.input).type,
    ]);
    expect(schemas).toEqual(
      expect.arrayContaining([
        ["status", "object"],
        ["upload-status", "object"],
        ["createUpload", "object"],
      ]),
    );
    const [{ nodes }] = await ask("troupe.v1.tracker.nodes");
    expect(nodes.map(({ nodeId }: { nodeId: string }) => nodeId)).toEqual(["storage-1", "storage-2", "storage-3"]);
    const [{ groups }] = await ask("troupe.v1.tracker.groups");
    expect(groups).toMatchObject([{ group: "group001", nodeCount: 3 }]);

    const created = await fetch(`${cluster.gatewayUrl}/api/v1/uploads`, {
      method: "POST",
      body: JSON.stringify({ name: "half.bin", size: 2 * 65_536, chunkBytes: 65_536 }),
      headers: { "content-type": "application/json" },
    });
    const { uploadId } = (await created.json()) as { uploadId: string };
    await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${uploadId}/chunks/1`, { method: "PUT", body: new Uint8Array(65_536) });
    const [status] = await ask(`troupe.v1.upload.${uploadId}.status`);
    expect(status).toMatchObject({ uploadId, state: "receiving", receivedCount: 1, missing: [[0, 0]] });
    await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${uploadId}`, { method: "DELETE" });
    const [record] = await ask("troupe.v1.catalog.upload", JSON.stringify({ uploadId }));
    expect(record).toMatchObject({ uploadId, state: "cancelled" });
  });
});

/** A file of its own whose bytes lie on one node. */
async function fileOn(
  nodeId: string,
  sizeBytes = FILE_BYTES,
): Promise<{ readonly fileId: string; readonly url: string; readonly bytes: Buffer }> {
  for (let seed = 1; ; seed += 1) {
    const bytes = someBytes(sizeBytes, 7_000 + seed);
    const answer = await fetch(`${cluster.gatewayUrl}/api/v1/files?name=wanted.bin`, { method: "POST", body: bytes });
    const { fileId, url } = (await answer.json()) as { fileId: string; url: string };
    if ((await catalogs.file({ fileId }, AS_LOCAL)).blob.nodeIds.includes(nodeId)) return { fileId, url, bytes };
  }
}

/** By node ID. */
async function nodeStates(): Promise<Readonly<Record<string, string>>> {
  const { nodes } = (await (await fetch(`${cluster.gatewayUrl}/api/v1/cluster`)).json()) as {
    nodes: { nodeId: string; state: string }[];
  };
  return Object.fromEntries(nodes.map(({ nodeId, state }) => [nodeId, state]));
}
