/** `/metrics`: who may read it, what stands in it, and that nobody can make it grow. */
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { METHOD_LABELS } from "../../src/core/metrics.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { RequestMeter } from "../../src/gateway/request-meter.ts";
import { metricsRoutes } from "../../src/gateway/routes/metrics.ts";
import { openSideDoor, sideDoorHandler } from "../../src/gateway/side-door.ts";
import { PromMetrics } from "../../src/store/prom-metrics.ts";
import { parseExposition, type Scraped, scrape } from "../support/exposition.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { once, Rig, recordingLog } from "./rig.ts";

const TOKENS = [{ owner: "ann", secret: "s3cret" }];
const WITH_TOKEN = { authorization: "Bearer s3cret" };

const ends: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A rig whose gateway is measured. */
async function measured(options: Parameters<typeof Rig.start>[0] = {}): Promise<{ readonly rig: Rig; readonly metrics: PromMetrics }> {
  const rig = await Rig.start(options);
  ends.push(() => rig[Symbol.asyncDispose]());
  const log = recordingLog(rig.lines);
  const metrics = new PromMetrics({ clock: rig.clock, log });
  rig.gateway = createGateway(
    { bus: rig.bus, clock: rig.clock, random: rig.random, log, dataPlane: rig.plane, metrics, exposition: metrics },
    { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: 1_000_000, trustProxy: false, ...options },
  );
  return { rig, metrics };
}

async function told(rig: Rig, headers: Record<string, string> = {}): Promise<Scraped> {
  const answer = await rig.ask("GET", "/metrics", { headers });
  expect(answer.status).toBe(200);
  return parseExposition(answer.bytes.toString());
}

describe("who may read it", () => {
  test("I14: with tokens it takes one, whoever's; a wrong one and none are 401 with what is asked for", async () => {
    const { rig } = await measured({ tokens: TOKENS, publicRead: true });
    const none = await rig.ask("GET", "/metrics");
    expect([none.status, none.json["code"]]).toEqual([401, "UNAUTHORIZED"]);
    expect(none.fields["www-authenticate"]).toContain("Bearer");
    expect(none.bytes.toString()).not.toContain("troupe_");
    expect((await rig.ask("GET", "/metrics", { headers: { authorization: "Bearer wrong" } })).status).toBe(401);
    expect((await rig.ask("GET", "/metrics?signature=x&expires=9999999999")).status).toBe(401);
    const answer = await rig.ask("GET", "/metrics", { headers: WITH_TOKEN });
    expect([answer.status, answer.fields["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    expect(answer.fields["cache-control"]).toBe("no-store");
  });

  test("without tokens, on loopback, it is open; a page of a foreign name is refused", async () => {
    const { rig } = await measured();
    expect((await rig.ask("GET", "/metrics")).status).toBe(200);
    expect((await rig.ask("GET", "/metrics", { headers: { host: "evil.example" } })).status).toBe(403);
    expect((await rig.ask("POST", "/metrics")).status).toBe(405);
  });
});

describe("what is counted", () => {
  test("requests by route, method and status; a read by how much of the file; lookups that were remembered", async () => {
    const { rig } = await measured();
    const bytes = Buffer.alloc(100_000, 7);
    const { fileId } = rig.addFile(bytes);
    expect((await rig.ask("GET", `/files/${fileId}`)).bytes.equals(bytes)).toBe(true);
    await rig.ask("GET", `/files/${fileId}/film.mp4`, { headers: { range: "bytes=0-9" } });
    await rig.ask("GET", `/files/${fileId}`, { headers: { range: "bytes=0-9,50-59" } });
    await rig.ask("HEAD", `/files/${fileId}`);
    await rig.ask("GET", "/files/nothing");
    const scraped = await told(rig);
    const requests = (labels: Record<string, string>) => scraped.value("troupe_http_requests_total", labels);
    expect(requests({ route: "/files/:fileId", method: "GET", code: "200" })).toBe(1);
    expect(requests({ route: "/files/:fileId", method: "GET", code: "206" })).toBe(1);
    expect(requests({ route: "/files/:fileId", method: "HEAD", code: "200" })).toBe(1);
    expect(requests({ route: "/files/:fileId", method: "GET", code: "404" })).toBe(1);
    expect(requests({ route: "/files/:fileId/*", method: "GET", code: "206" })).toBe(1);
    expect(scraped.value("troupe_http_request_seconds_count", { route: "/files/:fileId" })).toBe(4);
    expect(["whole", "range", "ranges"].map((extent) => scraped.value("troupe_file_answers_total", { extent }))).toEqual([1, 1, 1]);
    expect(scraped.value("troupe_lookups_total", { memory: "gateway-files", outcome: "miss" })).toBe(1);
    expect(scraped.value("troupe_lookups_total", { memory: "gateway-files", outcome: "hit" })).toBe(3);
    expect(scraped.value("troupe_lookups_total", { memory: "gateway-grants", outcome: "hit" })).toBeGreaterThanOrEqual(2);
    // The scrape itself.
    expect(scraped.value("troupe_http_requests_in_flight")).toBe(1);
    expect(scraped.value("troupe_event_streams")).toBe(0);
  });

  test("whatever is asked for, nobody's words become a label, and the series stay few", async () => {
    const { rig } = await measured();
    const { routes } = rig.gateway;
    const patterns = new Set([...routes.map(({ path }) => path), "none"]);
    const word = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(..."abcXYZ019-_.~%/?=&äß") });
    const target = fc.oneof(
      word.map((text) => `/${text}`),
      fc
        .tuple(fc.constantFrom(...routes.map(({ path }) => path)), word)
        .map(([path, text]) => path.replace(/:\w+|\*/g, encodeURIComponent(text))),
    );
    const method = fc.oneof(
      fc.constantFrom("GET", "HEAD", "PUT", "POST", "DELETE"),
      fc.string({ minLength: 1, maxLength: 8 }).map((text) => `X${text}`),
    );
    await fc.assert(
      fc.asyncProperty(method, target, async (verb, address) => {
        await rig.ask(verb, address);
      }),
      { numRuns: 300 },
    );
    const { series } = await told(rig);
    const requests = series.filter(({ name }) => name === "troupe_http_requests_total");
    for (const { labels } of requests) {
      expect(patterns).toContain(labels["route"]);
      expect(METHOD_LABELS).toContain(labels["method"]);
      expect(labels["code"]).toMatch(/^[2-5]\d\d$/);
    }
    expect(requests.length).toBeLessThan(routes.length * 8);
    expect(series.length).toBeLessThan(3_000);
  });

  test("a method that is none of ours is 'other'", async () => {
    const metrics = new PromMetrics({ clock: new VirtualClock(), log: recordingLog([]) });
    const meter = new RequestMeter(metrics);
    for (const method of ["BREW", "get", "", "PROPFIND"]) meter.count(undefined, method, 405, 1);
    expect((await scrape(metrics)).value("troupe_http_requests_total", { route: "none", method: "other", code: "405" })).toBe(4);
  });
});

describe("a server over sockets", () => {
  test("counts the bytes of bodies in and out, and its connections", async () => {
    const clock = new VirtualClock();
    const log = recordingLog([]);
    const metrics = new PromMetrics({ clock, log });
    const server = new NodeHttpServer({ clock, log, metrics }, { name: "data" });
    const listener = await server.listen({ host: "127.0.0.1", port: 0 }, async (request) => {
      let size = 0;
      for await (const block of request.body) size += block.length;
      return { status: 200, headers: { "content-length": "70000" }, body: once(Buffer.alloc(70_000, size % 256)) };
    });
    const http = new NodeHttpClient();
    ends.push(() => listener.close(0));
    ends.push(() => http.close());
    const answer = await http.exchange({
      method: "PUT",
      url: listener.url,
      body: Buffer.alloc(300_000),
      headers: { "content-length": "300000" },
    });
    let received = 0;
    for await (const block of answer.body) received += block.length;
    expect(received).toBe(70_000);
    const scraped = await scrape(metrics);
    expect(scraped.value("troupe_http_received_bytes_total", { server: "data" })).toBe(300_000);
    expect(scraped.value("troupe_http_sent_bytes_total", { server: "data" })).toBe(70_000);
    expect(scraped.value("troupe_http_connections", { server: "data" })).toBe(1);
  });
});

describe("a process without a gateway", () => {
  const clock = new VirtualClock();
  const ports = { clock, random: new SeededRandom(5), log: recordingLog([]) };
  const metrics = new PromMetrics({ clock, log: recordingLog([]) });
  const routes = metricsRoutes(metrics);
  const asked = { method: "GET", body: once(), remoteAddress: "10.0.0.9", secure: false, signal: new AbortController().signal };

  test("I14: serves them on a port of their own, by the same rules", async () => {
    const handler = sideDoorHandler(ports, { tokens: TOKENS, routes }, "0.0.0.0");
    const ask = (target: string, headers: Record<string, string> = {}, method = "GET") =>
      handler({ ...asked, method, target, headers: { host: "10.0.0.1:9100", ...headers } });
    const none = await ask("/metrics");
    expect([none.status, none.headers["www-authenticate"]]).toEqual([401, expect.arrayContaining(['Bearer realm="Troupe"'])]);
    expect((await ask("/metrics", WITH_TOKEN)).status).toBe(200);
    expect((await ask("/metrics", { ...WITH_TOKEN, host: "evil.example" })).status).toBe(403);
    expect((await ask("/files/1", WITH_TOKEN)).status).toBe(404);
    expect((await ask("/metrics", WITH_TOKEN, "PUT")).status).toBe(405);
    expect((await ask("/%", WITH_TOKEN)).status).toBe(400);
  });

  test("I14: does not listen beyond loopback without a token, and says why", async () => {
    const httpServer = new NodeHttpServer(ports, { name: "metrics" });
    const opening = openSideDoor({ ...ports, httpServer }, { tokens: [], routes }, { host: "0.0.0.0", port: 0 });
    await expect(opening).rejects.toMatchObject({ code: "SETTING_INVALID" });
    const door = await openSideDoor({ ...ports, httpServer }, { tokens: [], routes }, { host: "127.0.0.1", port: 0 });
    ends.push(() => door.close(0));
    const answer = await fetch(`${door.url}/metrics`);
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("# HELP troupe_process_info");
    const again = openSideDoor({ ...ports, httpServer }, { tokens: [], routes }, { host: "127.0.0.1", port: door.port });
    await expect(again).rejects.toMatchObject({ detail: expect.stringContaining("--metrics-port") });
  });
});
