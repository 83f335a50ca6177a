/** What a gateway tells of the machines, traces and actors behind it. The whole cast is real; only the socket is missing. */
import { expect, it } from "vitest";
import type { Inspected } from "../../src/bin/cast.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { machineInspection } from "../../src/core/inspection.ts";
import { INSPECT_HOST_MS, LOOKUPS_PER_WINDOW_MAX, SPANS_PER_NAME_KEPT } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import type { HttpResponse } from "../../src/core/ports/http-exchange.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { createGateway } from "../../src/gateway/gateway.ts";
import type { GatewayOptions } from "../../src/gateway/ports.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startTroupe } from "../support/troupe.ts";
import { until } from "../support/until.ts";
import { once } from "./rig.ts";

type Facts = Record<string, never> & { [name: string]: unknown };

/** A clock that a test sets ahead. */
class WaitingClock extends SystemClock {
  aheadMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.aheadMs;
  }
  override wallMs(): number {
    return super.wallMs() + this.aheadMs;
  }
}

const PLAIN = { headers: { host: "localhost" }, remoteAddress: "127.0.0.1", secure: false, signal: new AbortController().signal };

async function house(options: Partial<GatewayOptions> = {}, clock = new SystemClock()) {
  const directory = await temporaryDirectory();
  const inspected: Inspected = { spans: new SpanBook(clock, "house"), directories: [] };
  const troupe = await startTroupe({ root: directory.path, clock, inspected });
  const host: Host = { isDeaf: false, waitedMs: [], beforeStatus: undefined };
  const processes = { areDeaf: false };
  const gateway = createGateway(
    {
      bus: deafenable(troupe.bus, host, processes),
      clock,
      random: new SeededRandom(5),
      log: SILENT_LOG,
      dataPlane: new LocalDataPlane([troupe.node]),
      spans: inspected.spans,
    },
    { nodeId: "gateway1", tokens: [], corsOrigins: [], fileBytesMax: 1024 ** 3, trustProxy: false, ...options },
  );
  const send = async (method: string, target: string, body: unknown = "", fields: Record<string, string> = {}): Promise<HttpResponse> => {
    const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const length: Record<string, string> = bytes.length === 0 ? {} : { "content-length": String(bytes.length) };
    return await gateway.handler({
      method,
      target,
      headers: { host: "localhost", ...length, ...fields },
      body: once(bytes),
      remoteAddress: "127.0.0.1",
      secure: false,
      signal: new AbortController().signal,
    });
  };
  const ask = async (method: string, target: string, body: unknown = "", fields: Record<string, string> = {}) => {
    const response = await send(method, target, body, fields);
    return {
      status: response.status,
      requestId: String(response.headers["x-request-id"]),
      json: JSON.parse(await textOf(response)) as Facts,
    };
  };
  return {
    gateway,
    host,
    processes,
    send,
    ask,
    async [Symbol.asyncDispose]() {
      await gateway.stop();
      await troupe.stop();
      await directory[Symbol.asyncDispose]();
    },
  };
}

interface Host {
  isDeaf: boolean;
  readonly waitedMs: number[];
  /** Done once, before the next question for an upload's status is asked. */
  beforeStatus: (() => Promise<unknown>) | undefined;
}

/** The host of uploads takes requests while it is deaf, and answers none. */
function deafenable(bus: Bus, host: Host, processes: { readonly areDeaf: boolean }): Bus {
  return {
    payloadBytesMax: bus.payloadBytesMax,
    nowMs: () => bus.nowMs(),
    publish: (...said) => bus.publish(...said),
    subscribe: (...said) => bus.subscribe(...said),
    requestMany: async (...said) => (processes.areDeaf ? [] : await bus.requestMany(...said)),
    inbox: () => bus.inbox(),
    flush: () => bus.flush(),
    drain: () => bus.drain(),
    request: async (subject, payload, options) => {
      const { beforeStatus } = host;
      if (beforeStatus !== undefined && subject.startsWith("troupe.v1.upload.")) {
        host.beforeStatus = undefined;
        await beforeStatus();
      }
      if (!host.isDeaf || !/^troupe\.v1\.(upload|storage)\./.test(subject)) return await bus.request(subject, payload, options);
      host.waitedMs.push(options.timeoutMs);
      throw new TroupeError("DEADLINE_EXCEEDED");
    },
  };
}

async function textOf({ body }: HttpResponse): Promise<string> {
  if (body === undefined) return "";
  if (typeof body === "string" || body instanceof Uint8Array) return Buffer.from(body as Uint8Array).toString();
  let text = "";
  for await (const block of body) text += Buffer.from(block).toString();
  return text;
}

/** The facts of each event of a stream, by its name. */
function eventsOf(text: string): { name: string; facts: Facts }[] {
  return [...text.matchAll(/event: (\w+)\n(?:id: .*\n)?data: (.*)\n/g)].map(([, name = "", facts = ""]) => ({
    name,
    facts: JSON.parse(facts) as Facts,
  }));
}

const UPLOAD = { name: "film", size: 3 };

/** An upload from its creation to its file, under the eyes of somebody who began to watch before anything came. */
async function watchedToItsEnd(rig: Awaited<ReturnType<typeof house>>) {
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  const stream = textOf(await rig.send("GET", `/api/v1/inspect/uploads/${uploadId}/events`));
  await rig.ask("PUT", `/api/v1/uploads/${uploadId}/chunks/0`, "abc");
  await rig.ask("POST", `/api/v1/uploads/${uploadId}/merge`);
  return { uploadId, events: eventsOf(await stream) };
}

it("an upload is told with its machine, why it waits, and after its end what it went through", async () => {
  await using rig = await house();
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  const path = `/api/v1/inspect/uploads/${uploadId}`;
  const during = (await rig.ask("GET", path)).json;
  expect(during).toMatchObject({
    upload: { state: "receiving" },
    machine: { state: "chunks.receiving" },
    why: expect.stringContaining("1 chunk is missing"),
  });
  expect(machineInspection.safeParse(during["machine"]).error).toBeUndefined();
  await rig.ask("PUT", `/api/v1/uploads/${uploadId}/chunks/0`, "abc");
  expect((await rig.ask("GET", path)).json).toMatchObject({ why: expect.stringContaining("waits for somebody to ask for the merge") });
  expect((await rig.ask("POST", `/api/v1/uploads/${uploadId}/merge`)).status).toBe(200);
  const after = (await rig.ask("GET", path)).json as unknown as { machine: { steps: { to: string }[]; endedMs?: number } };
  expect(after).toMatchObject({
    upload: { state: "merged" },
    machine: { state: "merged" },
    why: "It waits for nothing: it has become a file.",
  });
  expect(after.machine.endedMs).toBeDefined();
  expect(after.machine.steps.map(({ to }) => to)).toEqual(expect.arrayContaining(["merge.verifying", "merge.committing", "merged"]));
  expect((await rig.ask("GET", "/api/v1/inspect/uploads/nobodysnobodysnobodysn")).json).toMatchObject({ code: "UPLOAD_NOT_FOUND" });
});

it("an upload whose host hangs is told as far as the catalog knows it, and that it waits for that node; a stream of it stands", async () => {
  await using rig = await house();
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  rig.host.isDeaf = true;
  const { status, json } = await rig.ask("GET", `/api/v1/inspect/uploads/${uploadId}`);
  expect([status, json["why"], json["missing"]]).toEqual([
    200,
    expect.stringMatching(/^It waits for the node \S+, which hosts it and does not answer\./),
    expect.stringMatching(/does not answer\.$/),
  ]);
  expect(json["upload"]).toMatchObject({ uploadId, name: UPLOAD.name, size: UPLOAD.size, state: "receiving" });
  expect(Math.max(...rig.host.waitedMs)).toBeLessThanOrEqual(INSPECT_HOST_MS);
  const stream = await rig.send("GET", `/api/v1/inspect/uploads/${uploadId}/events`);
  expect(stream.status).toBe(200);
  await rig.gateway.stop();
  expect(eventsOf(await textOf(stream))[0]).toMatchObject({ name: "inspection", facts: { why: json["why"] } });
});

it("an upload that becomes a file, or is cancelled, while it is looked into is told as ended, with the words for it", async () => {
  await using rig = await house();
  const begun = async () => (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  const merged = await begun();
  await rig.ask("PUT", `/api/v1/uploads/${merged.uploadId}/chunks/0`, "abc");
  rig.host.beforeStatus = () => rig.ask("POST", `/api/v1/uploads/${merged.uploadId}/merge`);
  expect((await rig.ask("GET", `/api/v1/inspect/uploads/${merged.uploadId}`)).json).toMatchObject({
    upload: { state: "merged" },
    why: "It waits for nothing: it has become a file.",
  });
  const cancelled = await begun();
  rig.host.beforeStatus = () => rig.send("DELETE", `/api/v1/uploads/${cancelled.uploadId}`);
  expect((await rig.ask("GET", `/api/v1/inspect/uploads/${cancelled.uploadId}`)).json).toMatchObject({
    upload: { state: "cancelled" },
    why: "It was cancelled, and what had come was removed.",
  });
});

it("a trace of which no process said in time what it keeps may be asked for again: nobody knows that nothing is kept", async () => {
  await using rig = await house();
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  rig.processes.areDeaf = true;
  const asked = () => rig.ask("GET", `/api/v1/inspect/traces/${uploadId}`);
  expect(await asked()).toMatchObject({ status: 503, json: { code: "UNAVAILABLE" } });
  rig.processes.areDeaf = false;
  expect((await asked()).status).toBe(200);
});

it("traces are looked for so often and no more by one owner", async () => {
  await using rig = await house();
  const answers = Array.from({ length: LOOKUPS_PER_WINDOW_MAX + 1 }, () => rig.ask("GET", "/api/v1/inspect/traces/nobodysnobodysnobodysn"));
  expect((await Promise.all(answers)).map(({ status }) => status).sort()).toEqual([...Array(LOOKUPS_PER_WINDOW_MAX).fill(404), 429]);
});

it("a stream begins with the whole, brings each step as it happens, and ends with the upload: no step is missing", async () => {
  await using rig = await house();
  const { events } = await watchedToItsEnd(rig);
  expect([events[0]?.name, events.at(-1)?.name]).toEqual(["inspection", "inspection"]);
  expect(events.at(-1)?.facts).toMatchObject({ upload: { state: "merged" } });
  const steps = (facts: Facts) => (facts["steps"] ?? (facts["machine"] as Facts | undefined)?.["steps"]) as unknown as { last: number }[];
  const seen = new Set(events.slice(0, -1).flatMap(({ facts }) => steps(facts).map(({ last }) => last)));
  expect([...(steps(events.at(-1)?.facts as Facts) ?? [])].every(({ last }) => seen.has(last))).toBe(true);
});

it("what ends an upload while somebody watches is in its trace, and what whoever watches was told for it is not", async () => {
  await using rig = await house();
  const { uploadId } = await watchedToItsEnd(rig);
  const { spans } = (await rig.ask("GET", `/api/v1/inspect/traces/${uploadId}`)).json as unknown as { spans: { name: string }[] };
  const names = spans.map(({ name }) => name);
  expect(names).toContain("POST /api/v1/uploads/:uploadId/merge");
  expect(names.filter((name) => /inspect/i.test(name))).toEqual([]);
});

it("a stream of what is not there is refused before it begins", async () => {
  await using rig = await house();
  for (const id of ["nobodysnobodysnobodysn", "*"])
    expect((await rig.ask("GET", `/api/v1/inspect/uploads/${id}/events`)).json).toMatchObject({ code: "UPLOAD_NOT_FOUND" });
});

it("a trace is found by the upload, by the request's ID and by the trace's, across all actors, and looking into it is no part of it", async () => {
  await using rig = await house();
  const created = await rig.ask("POST", "/api/v1/uploads", UPLOAD);
  const { uploadId } = created.json as unknown as { uploadId: string };
  await rig.ask("GET", `/api/v1/inspect/uploads/${uploadId}`);
  interface View {
    spans: { traceId: string; spanId: string; parentId?: string; name: string; actor: string; nodeId: string; requestId?: string }[];
    processes: unknown[];
  }
  const found = async (id: string) => (await rig.ask("GET", `/api/v1/inspect/traces/${id}`)).json as unknown as View;
  const view = await found(uploadId);
  expect([...new Set(view.spans.map(({ actor }) => actor))]).toEqual(
    expect.arrayContaining(["gateway", "tracker", "storage", "catalog", "upload"]),
  );
  expect(view.spans.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["POST /api/v1/uploads", "tracker.place", "storage.createUpload", "catalog.registerUpload"]),
  );
  expect(view.spans.filter(({ name }) => name.includes("inspect"))).toEqual([]);
  expect(view.processes.length).toBe(1);
  const creation = view.spans.filter(({ requestId }) => requestId === created.requestId);
  const root = creation.find(({ parentId }) => parentId === undefined);
  expect(root?.name).toBe("POST /api/v1/uploads");
  for (const id of [created.requestId, root?.traceId as string])
    expect((await found(id)).spans.map(({ spanId }) => spanId)).toEqual(expect.arrayContaining(creation.map(({ spanId }) => spanId)));
  expect((await rig.ask("GET", "/api/v1/inspect/traces/nobodysnobodysnobodysn")).status).toBe(404);
  expect((await rig.ask("GET", "/api/v1/inspect/traces/nobodysnobodysnobodysn")).status).toBe(404);
});

it("looking into an upload, as often as it may be, takes nothing of what is looked at away, and adds nothing", async () => {
  await using rig = await house();
  const created = await rig.ask("POST", "/api/v1/uploads", UPLOAD);
  const { uploadId } = created.json as unknown as { uploadId: string };
  await rig.ask("GET", `/api/v1/uploads/${uploadId}`);
  const told = async () => (await rig.ask("GET", `/api/v1/inspect/traces/${uploadId}`)).json as unknown as { spans: { spanId: string }[] };
  const before = await told();
  for (let look = 0; look < 3 * SPANS_PER_NAME_KEPT; look += 1) await rig.ask("GET", `/api/v1/inspect/uploads/${uploadId}`);
  expect(await told()).toEqual(before);
});

it("a client's traceparent is the trace of what it asks for", async () => {
  await using rig = await house();
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  await rig.ask("POST", "/api/v1/uploads", UPLOAD, { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
  const { spans } = (await rig.ask("GET", `/api/v1/inspect/traces/${traceId}`)).json as unknown as { spans: { traceId: string }[] };
  expect(spans.length).toBeGreaterThan(3);
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
});

it("actors are told with the process they are in; of uploads, the asker's own and how many there are", async () => {
  const tokens = ["ann", "bob"].map((owner) => ({ owner, secret: `${owner}s` }));
  await using rig = await house({ tokens });
  const as = (owner: string) => ({ authorization: `Bearer ${owner}s` });
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD, as("ann"))).json as unknown as { uploadId: string };
  interface Report {
    processes: { actors: { subject: string }[]; counts: { actor: string; count: number }[] }[];
  }
  const told = async (owner: string) =>
    (await rig.ask("GET", "/api/v1/inspect/actors?actor=upload", "", as(owner))).json as unknown as Report;
  const subjects = ({ processes }: Report) => processes.flatMap(({ actors }) => actors.map(({ subject }) => subject));
  const counts = ({ processes }: Report) => processes.flatMap(({ counts: found }) => found);
  const [anns, bobs] = [await told("ann"), await told("bob")];
  expect([subjects(anns), subjects(bobs)]).toEqual([[`troupe.v1.upload.${uploadId}`], []]);
  expect([counts(anns), counts(bobs)]).toEqual([[{ actor: "upload", count: 1 }], [{ actor: "upload", count: 1 }]]);
  expect((await rig.ask("GET", "/api/v1/inspect/actors?actor=*", "", as("ann"))).json).toMatchObject({ code: "BAD_REQUEST" });
});

it("a chunk that stands still on its way says for how long and how much of it is there; one that broke off is told as why it was cancelled", async () => {
  const clock = new WaitingClock();
  await using rig = await house({}, clock);
  const { uploadId } = (await rig.ask("POST", "/api/v1/uploads", UPLOAD)).json as unknown as { uploadId: string };
  const halfway = Promise.withResolvers<void>();
  const body = async function* () {
    yield Buffer.from("a");
    await halfway.promise;
    throw new TroupeError("REQUEST_TIMEOUT");
  };
  const sending = rig.gateway.handler({ ...PLAIN, method: "PUT", target: `/api/v1/uploads/${uploadId}/chunks/0`, body: body() });
  const asked = async () => (await rig.ask("GET", `/api/v1/inspect/uploads/${uploadId}`)).json;
  const arrived = async () => (await asked()) as unknown as { machine: { bodies: { arrivedBytes: number }[] } };
  await until(arrived, ({ machine }) => machine.bodies[0]?.arrivedBytes === 1);
  clock.aheadMs = 25_000;
  expect((await asked())["why"]).toMatch(/^1 chunk is arriving \(chunk 0, for (2[5-9]|[345]\d) s now: 1 byte of it is there\)\.$/);
  halfway.resolve();
  expect((await sending).status).toBe(408);
  clock.aheadMs = 250_000;
  expect((await asked())["why"]).toMatch(
    /^It waits for its client, for 4 min now: 1 chunk is missing, and none is arriving\. It expires in \d+ [hd] if nothing comes\.$/,
  );
  const whole = { ...PLAIN, method: "PUT", target: "/put/film", headers: { ...PLAIN.headers, "content-length": "3" }, body: body() };
  expect((await rig.gateway.handler(whole)).status).toBe(408);
  const { uploads } = (await rig.ask("GET", "/api/v1/uploads?state=cancelled")).json as unknown as { uploads: { uploadId: string }[] };
  const told = (await rig.ask("GET", `/api/v1/inspect/uploads/${uploads[0]?.uploadId}`)).json;
  expect(told["why"]).toMatch(/^It was cancelled, and what had come was removed\. What went wrong before: REQUEST_TIMEOUT: /);
});
