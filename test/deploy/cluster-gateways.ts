/**
 * What uploads and doors promise whoever asks any gateway of a cluster, wherever the bytes lie. Run on the cluster of a file of tests, whose
 * storage nodes are killed and come back as they were.
 */
import { createHmac, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blake3 } from "hash-wasm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalog } from "../../src/actors/catalog/contract.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats.ts";
import { parseNatsUrl } from "../../src/bus/nats-url.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import type { TestCluster } from "../support/cluster.ts";
import { MariadbDatabases } from "../support/mariadb.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

type Json = Record<string, unknown>;
type Bytes = Uint8Array<ArrayBuffer>;
type Ask = (method: string, path: string, body?: Bytes | ReadableStream | Json, headers?: Record<string, string>) => Promise<Response>;

const OWNERS = ["alice", "bob"] as const;
const TUS = { "tus-resumable": "1.0.0" };
const TUS_BYTES = { ...TUS, "content-type": "application/offset+octet-stream" };
const PART_BYTES = 300_001;

/** Requests to one gateway, of one owner where it has tokens. A path may be an address of another gateway's. */
function askAt(gateway: string, owner?: string): Ask {
  return (method, path, body, headers = {}) => {
    const { pathname, search } = new URL(path, gateway);
    const isJson = body !== undefined && Object.getPrototypeOf(body) === Object.prototype;
    const url = `${gateway}${pathname}${search}`;
    const init = {
      method,
      headers: {
        ...(owner === undefined ? {} : { authorization: `Bearer ${secretOf(owner)}` }),
        ...(isJson ? { "content-type": "application/json" } : {}),
        ...headers,
      },
    };
    // So fetch wants a stream to be sent.
    if (body instanceof ReadableStream) return fetch(url, { ...init, body, duplex: "half" });
    return fetch(url, body === undefined ? init : { ...init, body: isJson ? JSON.stringify(body) : (body as Bytes) });
  };
}

const secretOf = (owner: string): string => `secret of ${owner}`.replaceAll(" ", "-");
const jsonOf = async (answer: Promise<Response>): Promise<Json> => (await (await answer).json()) as Json;

/** The catalog, asked as a person with the NATS CLI would. */
async function observedCatalog(cluster: TestCluster): Promise<{ readonly bus: NatsBus; readonly catalogs: Client<typeof catalog> }> {
  const bus = await connectNats({
    ...parseNatsUrl(cluster.natsUrl("observer")),
    name: "observer/gateways",
    inboxPrefix: "_INBOX",
    clock: new SystemClock(),
    log: SILENT_LOG,
  });
  return { bus, catalogs: client(bus, catalog) };
}

/** Parts through tus, on each of the three storage nodes at least one, become one file that is equal; then they are gone. */
export async function putTogetherFromAllNodes(cluster: TestCluster): Promise<void> {
  const ask = askAt(cluster.gatewayUrl);
  const { bus, catalogs } = await observedCatalog(cluster);
  const state = async (uploadId: string) => await catalogs.upload({ uploadId }, { principal: { owner: "local" } });
  try {
    const parts: string[] = [];
    const bytes: Buffer[] = [];
    const hosts = new Set<string>();
    while (hosts.size < 3) {
      expect(parts.length).toBeLessThan(60);
      const part = randomBytes(PART_BYTES);
      const made = await ask("POST", "/tus/", part, { ...TUS_BYTES, "upload-length": String(PART_BYTES), "upload-concat": "partial" });
      expect([made.status, made.headers.get("upload-offset")]).toEqual([201, String(PART_BYTES)]);
      parts.push(made.headers.get("location") as string);
      bytes.push(part);
      hosts.add((await state(idIn(parts.at(-1)))).host);
    }
    const made = await ask("POST", "/tus/", undefined, { ...TUS, "upload-concat": `final;${parts.join(" ")}` });
    expect(made.status).toBe(201);
    const head = await until(
      () => ask("HEAD", made.headers.get("location") as string, undefined, TUS),
      ({ headers }) => headers.has("troupe-file"),
    );
    const file = await ask("GET", head.headers.get("troupe-file") as string);
    expect(await blake3(Buffer.from(await file.arrayBuffer()))).toBe(await blake3(Buffer.concat(bytes)));
    for (const part of parts) {
      await until(
        () => ask("HEAD", part, undefined, TUS),
        ({ status }) => status === 410,
      );
      expect((await state(idIn(part))).state).toBe("cancelled");
    }
  } finally {
    await bus.drain();
  }
  expect(await cluster.violations()).toEqual([]);
}

const idIn = (location: string | null | undefined): string => location?.split("/").at(-1) as string;

export function describeGateways(clusterOf: () => TestCluster): void {
  describe("two more gateways, with the same tokens", () => {
    let cluster: TestCluster;
    let directory: TemporaryDirectory;
    let servers: ServerProcess[] = [];
    let bus: NatsBus;
    let catalogs: Client<typeof catalog>;
    /** Alice at the one and at the other, and Bob at the other. */
    let here: Ask;
    let there: Ask;
    let bobThere: Ask;
    const alice = { principal: { owner: "alice" } };

    beforeAll(async () => {
      cluster = clusterOf();
      directory = await temporaryDirectory();
      const tokens = OWNERS.flatMap((owner) => ["--token", `${owner}:${secretOf(owner)}`]);
      const flags = (name: string): string[] => ["--role", "gateway", "--node-id", name, "--nats", cluster.natsUrl("gateway"), ...tokens];
      servers = await Promise.all(["gateway-2", "gateway-3"].map((name) => startServer(join(directory.path, name), flags(name))));
      const [one, other] = servers.map(({ url }) => url) as [string, string];
      [here, there, bobThere] = [askAt(one, "alice"), askAt(other, "alice"), askAt(other, "bob")];
      ({ bus, catalogs } = await observedCatalog(cluster));
    });
    afterAll(async () => {
      await bus?.drain();
      await Promise.all(servers.map((server) => server.kill()));
      await directory?.[Symbol.asyncDispose]();
    });

    const hostOf = async (uploadId: string): Promise<string> => (await catalogs.upload({ uploadId }, alice)).host;

    /** Of Alice's, at the first gateway, hosted by a node of the test's choice; those elsewhere are given up. */
    async function uploadOn(nodeId: string, begin: () => Promise<string>): Promise<string> {
      for (let attempt = 0; attempt < 60; attempt += 1) {
        const uploadId = await begin();
        if ((await hostOf(uploadId)) === nodeId) return uploadId;
        await here("DELETE", `/api/v1/uploads/${uploadId}`);
      }
      throw new Error(`no upload came to ${nodeId}`);
    }

    const tusUpload = async (sizeBytes: number): Promise<string> =>
      idIn((await here("POST", "/tus/", undefined, { ...TUS, "upload-length": String(sizeBytes) })).headers.get("location"));

    async function restart(nodeId: string, settings: Json = {}): Promise<void> {
      const file = join(cluster.directory, nodeId, "troupe.config.json");
      const text = await readFile(file, "utf8");
      await writeFile(file, JSON.stringify({ ...JSON.parse(text), ...settings }));
      await cluster.kill(nodeId);
      await cluster.start(nodeId);
      await writeFile(file, text);
    }

    it("F1: a tus upload whose node is killed with -9 in the middle of a PATCH goes on at either gateway, and is equal", async () => {
      const bytes = randomBytes(20_000_001);
      const uploadId = await uploadOn("storage-1", () => tusUpload(bytes.length));
      const at = `/tus/${uploadId}`;
      const offset = async (ask: Ask): Promise<number> => {
        const told = await until(
          () => ask("HEAD", at, undefined, TUS),
          ({ status }) => status === 200,
        );
        return Number(told.headers.get("upload-offset"));
      };
      // The first half goes in and the rest waits until the node is gone.
      const killed = Promise.withResolvers<void>();
      const body = async function* () {
        yield bytes.subarray(0, 12_000_000);
        await killed.promise;
        yield bytes.subarray(12_000_000);
      };
      const patched = here("PATCH", at, ReadableStream.from(body()), { ...TUS_BYTES, "upload-offset": "0" }).then(
        ({ status }) => status,
        () => "broken off",
      );
      await until(
        async () => (await jsonOf(there("GET", `/api/v1/uploads/${uploadId}`)))["receivedBytes"] as number,
        (receivedBytes) => receivedBytes > 0,
      );
      await cluster.kill("storage-1");
      killed.resolve();
      expect([503, "broken off"]).toContain(await patched);
      expect((await there("HEAD", at, undefined, TUS)).status).toBe(423);
      await cluster.start("storage-1");
      const resumed = await offset(there);
      expect(resumed).toBeGreaterThan(0);
      const some = bytes.subarray(resumed, resumed + 1_000_000);
      const next = await here("PATCH", at, some, { ...TUS_BYTES, "upload-offset": String(resumed) });
      expect([next.status, next.headers.get("upload-offset")]).toEqual([204, String(resumed + some.length)]);
      const last = await there("PATCH", at, bytes.subarray(resumed + some.length), {
        ...TUS_BYTES,
        "upload-offset": String(await offset(there)),
      });
      expect(last.status).toBe(204);
      const file = await here("GET", last.headers.get("troupe-file") as string);
      expect(await blake3(Buffer.from(await file.arrayBuffer()))).toBe(await blake3(bytes));
    });

    it("I22, F24: content that two owners send at once, and a third time is only proven, is one blob with a reference for each", async () => {
      const bytes = randomBytes(700_001);
      const digest = { algorithm: "blake3", value: await blake3(bytes) };
      const asks = [here, bobThere, bobThere, bobThere];
      const stored = await Promise.all(asks.map((ask) => jsonOf(ask("POST", "/api/v1/files?name=same.bin", bytes))));
      const owners = asks.map((ask) => ({ principal: { owner: ask === bobThere ? "bob" : "alice" } }));
      const located = await Promise.all(stored.map((file, at) => catalogs.file({ fileId: String(file["fileId"]) }, owners[at] ?? alice)));
      const [{ blob }] = located as [(typeof located)[number]];
      for (const other of located) expect(other.blob).toEqual(blob);
      await here("DELETE", `/api/v1/files/${stored[0]?.["fileId"]}`);
      const other = ["storage-1", "storage-2", "storage-3"].find((nodeId) => !blob.nodeIds.includes(nodeId)) as string;
      const prove = async (): Promise<Response> => {
        let challenge = { nonce: "", ranges: [] as [number, number][] };
        const uploadId = await uploadOn(other, async () => {
          const created = await here("POST", "/api/v1/uploads", { name: "proven.bin", size: bytes.length, digest });
          expect(created.status).toBe(202);
          const begun = (await created.json()) as { uploadId: string; challenge: typeof challenge };
          challenge = begun.challenge;
          return begun.uploadId;
        });
        const mac = createHmac("sha256", Buffer.from(challenge.nonce, "hex"));
        for (const [offset, length] of challenge.ranges) mac.update(bytes.subarray(offset, offset + length));
        const answer = await there("POST", `/api/v1/uploads/${uploadId}/proof`, { hmac: mac.digest("hex") });
        if (answer.status !== 200) await here("DELETE", `/api/v1/uploads/${uploadId}`);
        return answer;
      };
      // On a slow machine it may not be found out in the time that every proof has.
      const proven = await until(prove, ({ status }) => status === 200);
      const { fileId } = (await proven.json()) as { fileId: string };
      expect((await catalogs.file({ fileId }, alice)).blob).toEqual(blob);
      const { mysql, databasePrefix } = JSON.parse(await readFile(join(cluster.directory, "catalog-1", "troupe.config.json"), "utf8"));
      const rows = await new MariadbDatabases(mysql).ask(
        `SELECT reference_count AS count FROM ${databasePrefix}storage.t_blob WHERE digest = ? AND size_bytes = ?`,
        [Buffer.from(digest.value, "hex"), bytes.length],
      );
      expect(rows).toEqual([{ count: asks.length }]);
    });

    it("what one gateway signs the other takes: a link, a cookie; and it lists and plays what came in by the first", async () => {
      const bytes = randomBytes(100_000);
      const stored = await jsonOf(here("POST", "/api/v1/files?name=shows/one.mp4&user=films", bytes));
      const { url } = (await jsonOf(here("POST", `/api/v1/files/${stored["fileId"]}/link`))) as { url: string };
      const [one, other] = servers.map((server) => server.url) as [string, string];
      const nobody = askAt(other);
      const read = async (address: string): Promise<boolean> =>
        Buffer.from(await (await nobody("GET", address)).arrayBuffer()).equals(bytes);
      expect((await nobody("GET", new URL(url).pathname)).status).toBe(401);
      expect(await read(url)).toBe(true);
      const signedIn = await fetch(`${one}/api/v1/session`, {
        method: "POST",
        body: JSON.stringify({ token: `alice:${secretOf("alice")}` }),
        headers: { "content-type": "application/json", origin: one },
      });
      const cookie = signedIn.headers.getSetCookie()[0]?.split(";")[0] as string;
      const session = await jsonOf(nobody("GET", "/api/v1/session", undefined, { cookie }));
      expect(session).toMatchObject({ owner: "alice" });
      const listed = await jsonOf(nobody("GET", "/browse/films/shows/?format=json", undefined, { cookie }));
      expect(listed["files"]).toMatchObject([{ name: "one.mp4", size: bytes.length, fileId: stored["fileId"] }]);
      const playlist = await (await there("GET", "/browse/films/shows/?m3u")).text();
      const [entry] = playlist.match(/^http.*$/m) as [string];
      expect(entry).toContain(`${other}/files/`);
      expect(await read(entry)).toBe(true);
      expect((await bobThere("GET", "/browse/films/shows/?format=json")).status).toBe(404);
    });

    it("tells an upload's events at the gateway that takes none of its chunks", async () => {
      const { uploadId } = await jsonOf(here("POST", "/api/v1/uploads", { name: "told.bin", size: 131_072, chunkBytes: 65_536 }));
      const events = await there("GET", `/api/v1/uploads/${uploadId}/events`);
      for (const index of [0, 1]) await here("PUT", `/api/v1/uploads/${uploadId}/chunks/${index}`, randomBytes(65_536));
      const merged = await jsonOf(here("POST", `/api/v1/uploads/${uploadId}/merge`));
      const told = await events.text();
      expect(told).toMatch(/"state":"receiving".*"state":"merged"/s);
      expect(told).toContain(`"fileId":"${merged["fileId"]}"`);
    });

    it("says of an upload that was cancelled at the other gateway, or has expired, that it is gone, in each request for it", async () => {
      await restart("storage-3", { idleExpiry: "1s" });
      const begin = async (): Promise<string> =>
        String((await jsonOf(here("POST", "/api/v1/uploads", { name: "gone.bin", size: 65_536 })))["uploadId"]);
      const expired = await uploadOn("storage-3", begin);
      const cancelled = await uploadOn("storage-1", begin);
      // Both gateways remember where it is.
      const grasped = await there("PUT", `/api/v1/uploads/${cancelled}/chunks/7`, randomBytes(10));
      expect(await grasped.json()).toMatchObject({ code: "CHUNK_OUT_OF_RANGE" });
      expect((await here("DELETE", `/api/v1/uploads/${cancelled}`)).status).toBe(204);
      await until(
        async () => (await jsonOf(there("GET", `/api/v1/uploads/${expired}`)))["state"],
        (state) => state === "expired",
      );
      for (const [uploadId, code] of [
        [cancelled, "UPLOAD_CANCELLED"],
        [expired, "UPLOAD_EXPIRED"],
      ]) {
        for (const ask of [there, here]) {
          const chunk = ask("PUT", `/api/v1/uploads/${uploadId}/chunks/0`, randomBytes(65_536));
          expect(await jsonOf(chunk)).toMatchObject({ code, status: 410 });
          expect(await jsonOf(ask("POST", `/api/v1/uploads/${uploadId}/merge`))).toMatchObject({ code, status: 410 });
          expect((await ask("HEAD", `/tus/${uploadId}`, undefined, TUS)).status).toBe(410);
        }
        expect((await bobThere("GET", `/api/v1/uploads/${uploadId}`)).status).toBe(404);
      }
      await restart("storage-3");
    });

    it("the bus refused none of it", async () => {
      expect(await cluster.violations()).toEqual([]);
    });
  });
}
