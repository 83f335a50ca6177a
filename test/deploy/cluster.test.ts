/** A whole cluster of real processes with the users of `deploy/nats.conf`: what it does, the bus lets it do. */
import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalog } from "../../src/actors/catalog/contract.ts";
import { storage } from "../../src/actors/storage/contract.ts";
import { upload } from "../../src/actors/upload/contract.ts";
import { HOSTED, permissionsOf } from "../../src/bin/cluster/nats-users.ts";
import { startRoleProcess } from "../../src/bin/cluster/role-process.ts";
import { client } from "../../src/bus/client.ts";
import { connectNats } from "../../src/bus/nats.ts";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { startCluster, type TestCluster } from "../support/cluster.ts";
import { parseExposition } from "../support/exposition.ts";
import { endOf, run, TROUPE } from "../support/program.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { AS_LOCAL } from "../support/troupe.ts";
import { until } from "../support/until.ts";
import { describeGateways, putTogetherFromAllNodes } from "./cluster-gateways.ts";
import { describeInspecting } from "./cluster-inspecting.ts";
import { RawNats } from "./raw-nats.ts";

const MIB = 1024 * 1024;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster({ settings: { heartbeat: "1s", logLevel: "debug" } });
});
afterAll(async () => await cluster?.[Symbol.asyncDispose]());

const json = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
  const response = await fetch(`${cluster.gatewayUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
};

const activeNodes = async (): Promise<string[]> => {
  const { nodes } = (await json("GET", "/api/v1/cluster")) as { nodes: { nodeId: string; state: string }[] };
  return nodes.filter(({ state }) => state === "active").map(({ nodeId }) => nodeId);
};

const observer = (): RawNats => {
  const url = new URL(cluster.natsUrl("observer"));
  return new RawNats(Number(url.port), url.username, url.password);
};

describe("a cluster", () => {
  it("stores, reads, lists, renames and deletes, and the bus refuses none of it", async () => {
    const bytes = Buffer.alloc(300_000, "troupe ");
    const created = await json("POST", "/api/v1/uploads", { name: "film.mp4", size: bytes.length, chunkBytes: 131_072 });
    const events = await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${created["uploadId"]}/events`);
    for (let index = 0; index * 131_072 < bytes.length; index += 1) {
      const body = bytes.subarray(index * 131_072, (index + 1) * 131_072);
      await fetch(`${cluster.gatewayUrl}/api/v1/uploads/${created["uploadId"]}/chunks/${index}`, { method: "PUT", body });
    }
    const merged = await json("POST", `/api/v1/uploads/${created["uploadId"]}/merge`);
    expect(await events.text()).toContain("merged");
    const read = await fetch(`${cluster.gatewayUrl}/files/${merged["fileId"]}`, { headers: { range: "bytes=70000-199999" } });
    expect(read.status).toBe(206);
    expect(Buffer.from(await read.arrayBuffer()).equals(bytes.subarray(70_000, 200_000))).toBe(true);
    const whole = await fetch(`${cluster.gatewayUrl}/put/other.bin`, { method: "PUT", body: bytes });
    expect(whole.status).toBe(201);
    expect((await json("PATCH", `/api/v1/files/${merged["fileId"]}`, { name: "renamed.mp4" }))["name"]).toBe("renamed.mp4");
    expect((await json("GET", "/api/v1/files"))["files"]).toHaveLength(2);
    await json("DELETE", `/api/v1/files/${merged["fileId"]}`);
    const given = await json("POST", "/api/v1/uploads", { name: "given-up.mp4", size: 1_000_000 });
    await json("GET", `/api/v1/uploads/${given["uploadId"]}`);
    await json("GET", "/api/v1/uploads");
    await json("DELETE", `/api/v1/uploads/${given["uploadId"]}`);
    expect(await cluster.violations()).toEqual([]);
  });

  it("serves the command line that speaks to the actors itself, which the bus refuses nothing", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "clip.bin");
    const bytes = Buffer.alloc(200_000, "a clip ");
    await writeFile(path, bytes);
    const troupe = async (...argv: string[]): Promise<Buffer> =>
      await run(process.execPath, [TROUPE, "--nats", cluster.natsUrl("client"), ...argv]);
    const url = (await troupe("upload", path)).toString().trim();
    expect(url).toMatch(`${cluster.gatewayUrl}/files/`);
    const fileId = url.split("/")[4] as string;
    await troupe("download", fileId, "-o", join(directory.path, "again.bin"));
    expect((await readFile(join(directory.path, "again.bin"))).equals(bytes)).toBe(true);
    for (const command of [["nodes"], ["ls"], ["delete", fileId]]) await troupe(...command);
    expect(await cluster.violations()).toEqual([]);
  });

  it("I22, F24: takes a proof of possession on one node by the bytes of another, and the bus refuses none of it", async () => {
    const bytes = Buffer.alloc(300_000, "proven ");
    const digest = { algorithm: "blake3", value: await blake3(bytes) } as const;
    const put = await fetch(`${cluster.gatewayUrl}/put/proven.bin`, { method: "PUT", body: bytes });
    expect(put.status).toBe(201);
    const again = await json("POST", "/api/v1/uploads", { name: "again.bin", digest });
    expect(again).toMatchObject({ instant: true, size: bytes.length });
    const bus = await connectNats({
      ...parseNatsUrl(cluster.natsUrl("client")),
      name: "client/test",
      inboxPrefix: "_INBOX_client",
      clock: new SystemClock(),
      log: SILENT_LOG,
    });
    try {
      const { blob } = await client(bus, catalog).file({ fileId: String(again["fileId"]) }, AS_LOCAL);
      const nodeId = (await activeNodes()).find((node) => !blob.nodeIds.includes(node)) as string;
      const bob = { principal: { owner: "bob" } };
      const wish = { app: "default", user: "default", name: "his.bin", contentType: "video/mp4", sizeBytes: bytes.length, digest };
      const prove = async () => {
        const { uploadId, epoch, challenge } = await client(bus, storage, { nodeId }).createUpload(wish, bob);
        const mac = createHmac("sha256", Buffer.from(challenge?.nonce as string, "hex"));
        for (const [offset, length] of challenge?.ranges ?? []) mac.update(bytes.subarray(offset, offset + length));
        return await client(bus, upload, { uploadId }).prove({ epoch, hmac: mac.digest("hex") }, bob);
      };
      // On a slow machine it may not be found out in the time that every proof has.
      const { state, file } = await until(prove, (proven) => proven.file !== undefined);
      expect({ state, sizeBytes: file?.sizeBytes }).toEqual({ state: "merged", sizeBytes: bytes.length });
      expect((await client(bus, catalog).file({ fileId: file?.fileId as string }, bob)).blob).toEqual(blob);
      // Both further files are told to the node that has the bytes.
      const [holder] = blob.nodeIds as [string];
      const record = join(cluster.directory, holder, "data", "blobs", `${blob.path}.record`);
      await until(
        () => readFile(record, "utf8"),
        (text) => text.includes(String(again["fileId"])) && text.includes(file?.fileId as string),
      );
    } finally {
      await bus.drain();
    }
    expect(await cluster.violations()).toEqual([]);
  });

  it("F18: the command on the bus, killed with -9 in an upload and run again, sends the rest; of link and play it says what they need", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "long.bin");
    const bytes = randomBytes(12 * MIB);
    await writeFile(path, bytes);
    const command = [TROUPE, "--nats", cluster.natsUrl("client")];
    const environment = { TROUPE_STATE_DIR: join(directory.path, "state") };
    const argv = [...command, "upload", path, "--chunk", "1MiB", "--bwlimit", "1MiB"];
    const first = spawn(process.execPath, argv, { stdio: "ignore", env: { ...process.env, ...environment } });
    const ended = once(first, "exit");
    const begun = await until(
      async () => {
        const { uploads } = (await json("GET", "/api/v1/uploads?state=receiving")) as { uploads: { uploadId: string; name: string }[] };
        const uploadId = uploads.find(({ name }) => name === "long.bin")?.uploadId;
        return uploadId === undefined ? {} : await json("GET", `/api/v1/uploads/${uploadId}`);
      },
      ({ receivedBytes = 0 }) => Number(receivedBytes) >= 2 * MIB,
    );
    first.kill("SIGKILL");
    await ended;
    const again = await endOf(process.execPath, [...command, "upload", path], { environment });
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining(`continues upload ${begun["uploadId"]}`) });
    const url = again.stdout.toString().trim();
    expect(bytes.equals(Buffer.from(await (await fetch(url)).arrayBuffer()))).toBe(true);
    for (const verb of ["link", "play"]) {
      const refused = await endOf(process.execPath, [...command, verb, url.split("/")[4] as string], { environment });
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("give --gateway URL in place of --nats") });
    }
    expect(await cluster.violations()).toEqual([]);
  });

  it("tus: puts parts together that lie on different nodes, and the bus refuses none of it", async () => {
    await putTogetherFromAllNodes(cluster);
  });

  describeInspecting(() => cluster);

  describeGateways(() => cluster);

  it("moves bytes over the bus where no node can be connected to, and the bus refuses none of them", async () => {
    // Open uploads: what a node does about them when it starts again is allowed as well.
    const opened = await Promise.all(Array.from({ length: 6 }, () => json("POST", "/api/v1/uploads", { name: "open.bin", size: 100_000 })));
    for (const name of ["storage-1", "storage-2", "storage-3"]) {
      const file = join(cluster.directory, name, "troupe.config.json");
      await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), advertise: "none" }));
      await cluster.kill(name);
      await cluster.start(name);
      // Some by HTTP, and some over the bus.
      if (name === "storage-1") await putTogetherFromAllNodes(cluster);
    }
    await until(
      async () => {
        const { nodes } = (await json("GET", "/api/v1/cluster")) as { nodes: { state: string; dataUrl?: string }[] };
        return nodes.filter(({ state, dataUrl }) => state === "active" && dataUrl === undefined).length;
      },
      (count) => count === 3,
    );
    for (const { uploadId } of opened) expect((await json("GET", `/api/v1/uploads/${uploadId}`))["state"]).toBe("receiving");
    await putTogetherFromAllNodes(cluster);
    const bytes = Buffer.alloc(3_000_000, "by bus ");
    const stored = await fetch(`${cluster.gatewayUrl}/api/v1/files?name=bus.bin`, { method: "POST", body: bytes });
    expect(stored.status).toBe(201);
    const { fileId } = (await stored.json()) as { fileId: string };
    const read = await fetch(`${cluster.gatewayUrl}/files/${fileId}`);
    expect(Buffer.from(await read.arrayBuffer()).equals(bytes)).toBe(true);
    expect(await cluster.violations()).toEqual([]);
  });

  it("takes in a process that plays several roles, as the user all", async () => {
    const configuration = JSON.parse(await readFile(join(cluster.directory, "catalog-1", "troupe.config.json"), "utf8"));
    const configFile = join(cluster.directory, "several.config.json");
    const several = { ...configuration, role: "tracker,ids,catalog", nodeId: "several", nats: cluster.natsUrl("all"), metricsPort: 0 };
    await writeFile(configFile, JSON.stringify(several));
    const logFile = join(cluster.directory, "several.log");
    const member = await startRoleProcess({ name: "several", configFile, logFile, started: () => undefined });
    try {
      await using nats = observer();
      nats.subscribe("_INBOX.several.*");
      for (const role of ["tracker", "ids", "catalog"]) nats.publish(`$SRV.INFO.${role}.several`, `_INBOX.several.${role}`);
      const answers = async (): Promise<string[]> => {
        await nats.settled();
        return nats.messages.map(({ subject }) => subject).sort();
      };
      await until(answers, (found) => found.length === 3);
    } finally {
      await member.stop();
    }
    expect(await cluster.violations()).toEqual([]);
  });

  it("shows in nats-server's log what somebody was refused", async () => {
    await using nats = observer();
    nats.publish("troupe.v1.catalog.deleteFile", "_INBOX.mine.x", "{}");
    nats.subscribe("troupe.v1.catalog.file");
    await nats.settled();
    const lines = await until(
      () => cluster.violations(),
      (found) => found.length === 2,
    );
    expect(lines[0]).toContain("troupe.v1.catalog.deleteFile");
    expect(lines[1]).toContain("troupe.v1.catalog.file");
  });

  it("is answered by every read-only endpoint that an observer asks, in JSON", async () => {
    await using nats = observer();
    nats.subscribe("_INBOX.mine.*");
    await nats.settled();
    const identities: Record<string, string> = { storage: "storage-1", gateway: "gateway-1" };
    const asked: string[] = [];
    for (const contract of Object.values(HOSTED).flat()) {
      // An upload's has no fixed name.
      const identity = identities[contract.name];
      if (identity === undefined && contract.subject.includes("{")) continue;
      const subject = contract.subject.replace(/\{\w+\}/, identity ?? "");
      for (const [verb, definition] of Object.entries(contract.requests)) if (definition.readOnly) asked.push(`${subject}.${verb}`);
    }
    expect(asked.length).toBeGreaterThan(10);
    for (const [index, subject] of asked.entries()) nats.publish(subject, `_INBOX.mine.${index}`, "{}");
    const answered = async (): Promise<string[]> => {
      await nats.settled();
      const subjects = new Set(nats.messages.map(({ subject }) => subject));
      return asked.filter((_, index) => !subjects.has(`_INBOX.mine.${index}`));
    };
    expect(await until(answered, (missing) => missing.length === 0)).toEqual([]);
    for (const { body } of nats.messages) expect(JSON.parse(body)).toBeTypeOf("object");
    expect(nats.errors).toEqual([]);
    expect(permissionsOf("observer").publish).toContain("$SRV.>");
  });

  it("shows each role of each process as a micro service", async () => {
    await using nats = observer();
    nats.subscribe("_INBOX.micro.*");
    await nats.settled();
    nats.publish("$SRV.PING", "_INBOX.micro.0", "");
    const names = async (): Promise<string[]> => {
      await nats.settled();
      return nats.messages.map(({ body }) => (JSON.parse(body) as { id: string }).id).sort();
    };
    const all = [...cluster.processes.keys()].sort();
    expect(await until(names, (found) => found.length >= all.length)).toEqual(all);
  });

  it("serves each process's metrics where its file for Prometheus says", async () => {
    const targets = JSON.parse(await readFile(cluster.metricsFile, "utf8")) as {
      targets: [string];
      labels: { process: string; role: string };
    }[];
    expect(targets.map(({ labels }) => labels.process).sort()).toEqual([...cluster.processes.keys()].sort());
    for (const { targets: address, labels } of targets) {
      const answer = await fetch(`http://${address[0]}/metrics`);
      expect(answer.status, labels.process).toBe(200);
      const scraped = parseExposition(await answer.text());
      expect(scraped.value("troupe_process_info", { node: labels.process, roles: labels.role }), labels.process).toBe(1);
      expect(scraped.value("troupe_disk_free_bytes") !== undefined, labels.process).toBe(labels.role === "storage");
    }
  });

  it("tells with which command a process that was killed is started again, and has it back", async () => {
    const pid = cluster.processes.get("storage-2")?.pid;
    await cluster.kill("storage-2");
    const told = await until(
      async () => cluster.said.filter((sentence) => sentence.includes(`process ${pid}`)),
      (lines) => lines.length > 0,
    );
    expect(told).toEqual([
      `storage-2 (process ${pid}) has ended: SIGKILL. Start it again: npm run node -- --config ${cluster.directory}/storage-2/troupe.config.json`,
    ]);
    const conf = join(cluster.directory, "nats", "nats.conf");
    const { pid: natsPid } = cluster.engine("nats");
    await cluster.engine("nats").kill();
    const ofNats = await until(
      async () => cluster.said.find((sentence) => sentence.includes(`process ${natsPid}`)),
      (sentence) => sentence !== undefined,
    );
    expect(ofNats).toMatch(
      new RegExp(`^nats \\(process ${natsPid}\\) has ended: SIGKILL\\. Start it again: \\S+/nats-server --config ${conf}$`),
    );
    // That command has no address: the file must.
    const { port } = new URL(cluster.natsUrl("observer"));
    expect((await readFile(conf, "utf8")).match(/^listen: .*$/gm)).toEqual([`listen: "127.0.0.1:${port}"`]);
    await cluster.engine("nats").start();
    await cluster.start("storage-2");
    expect(cluster.processes.get("storage-2")?.pid).not.toBe(pid);
    await until(activeNodes, (nodes) => nodes.length === 3);
  });

  it("F1, F10: serves again after its servers were killed and started again, on the same ports", async () => {
    const bytes = Buffer.alloc(100_000, "kept ");
    const url = (await (await fetch(`${cluster.gatewayUrl}/put/kept.bin`, { method: "PUT", body: bytes })).text()).trim();
    const before = cluster.natsUrl("observer");
    const engines = (["redis", "mariadb", "nats"] as const).map((name) => cluster.engine(name));
    await Promise.all(engines.map((engine) => engine.kill()));
    expect((await fetch(`${cluster.gatewayUrl}/readyz`)).status).toBe(503);
    await Promise.all(engines.map((engine) => engine.start()));
    expect(cluster.natsUrl("observer")).toBe(before);
    await until(
      async () => (await fetch(`${cluster.gatewayUrl}/readyz`)).status,
      (status) => status === 200,
    );
    await until(activeNodes, (nodes) => nodes.length === 3);
    await until(
      async () => Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes),
      (isEqual) => isEqual,
    );
    await cluster.engine("redis").restart();
    expect((await fetch(url)).status).toBe(200);
    expect((await cluster.violations()).filter((line) => !line.includes("observer"))).toEqual([]);
  });
});
