/**
 * One principal cannot see, guess or time what another has: for every route, somebody else's is answered like what nobody has, byte for byte,
 * after the same questions on the bus and the same statements in the database. The whole cast is real; only the socket is missing.
 *
 * A route without a row here fails: say what it asks for by ID or name, or why nobody's is named there.
 */
import type { KyselyPlugin } from "kysely";
import { beforeAll, describe, expect, test } from "vitest";
import type { CatalogTables } from "../../src/actors/catalog/tables.ts";
import type { Inspected } from "../../src/bin/cast.ts";
import { INSPECT_ANSWERS_MS } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import type { Database } from "../../src/core/ports/database.ts";
import type { HttpRequest, HttpResponse } from "../../src/core/ports/http-exchange.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { createGateway, type RunningGateway } from "../../src/gateway/gateway.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startTroupe, type Troupe } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { once } from "./rig.ts";

interface Ask {
  readonly target: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** What is asked for; the same length whoever has it. */
interface Named {
  readonly fileId: string;
  readonly name: string;
  readonly uploadId: string;
}

type Row = ((named: Named) => Ask) | (Ask & { readonly why: string });

const JSON_BODY = { "content-type": "application/json" };
const json = (target: string, value: unknown): Ask => ({ target, headers: JSON_BODY, body: JSON.stringify(value) });
const TUS = { "tus-resumable": "1.0.0" };
const TUS_BODY = { ...TUS, "content-type": "application/offset+octet-stream", "upload-offset": "0" };
const OWN = "it tells of the asker's own only";
const NOBODY = "it tells of nobody's files";

const ROWS: Readonly<Record<string, Row>> = {
  "GET /": { why: NOBODY, target: "/" },
  "GET /page/:name": { why: NOBODY, target: "/page/x" },
  "GET /healthz": { why: NOBODY, target: "/healthz" },
  "GET /readyz": { why: NOBODY, target: "/readyz" },
  "GET /metrics": { why: NOBODY, target: "/metrics" },
  "GET /api/v1/session": { why: NOBODY, target: "/api/v1/session" },
  "POST /api/v1/session": { why: NOBODY, target: "/api/v1/session" },
  "DELETE /api/v1/session": { why: NOBODY, target: "/api/v1/session" },
  "GET /api/v1/cluster": { why: NOBODY, target: "/api/v1/cluster" },
  "POST /api/v1/uploads": {
    why: `${OWN}; what a digest tells has tests of its own`,
    target: "/api/v1/uploads",
    body: '{"name":"b","size":1}',
  },
  "GET /api/v1/uploads": { why: OWN, target: "/api/v1/uploads" },
  "GET /api/v1/files": { why: OWN, target: "/api/v1/files" },
  "POST /api/v1/files": { why: OWN, target: "/api/v1/files?name=b", body: "bob's" },
  "PUT /put/*": { why: OWN, target: "/put/b", body: "bob's" },
  "GET /browse": { why: OWN, target: "/browse" },
  "GET /api/v1/uploads/:uploadId": ({ uploadId }) => ({ target: `/api/v1/uploads/${uploadId}` }),
  "DELETE /api/v1/uploads/:uploadId": ({ uploadId }) => ({ target: `/api/v1/uploads/${uploadId}` }),
  "PUT /api/v1/uploads/:uploadId/chunks/:index": ({ uploadId }) => ({ target: `/api/v1/uploads/${uploadId}/chunks/0`, body: "x" }),
  "POST /api/v1/uploads/:uploadId/merge": ({ uploadId }) => ({ target: `/api/v1/uploads/${uploadId}/merge` }),
  "GET /api/v1/uploads/:uploadId/events": ({ uploadId }) => ({ target: `/api/v1/uploads/${uploadId}/events` }),
  "POST /api/v1/uploads/:uploadId/proof": ({ uploadId }) => json(`/api/v1/uploads/${uploadId}/proof`, { hmac: "0".repeat(64) }),
  "GET /api/v1/files/:fileId": ({ fileId }) => ({ target: `/api/v1/files/${fileId}` }),
  "PATCH /api/v1/files/:fileId": ({ fileId }) => json(`/api/v1/files/${fileId}`, { name: "bobs" }),
  "DELETE /api/v1/files/:fileId": ({ fileId }) => ({ target: `/api/v1/files/${fileId}` }),
  "POST /api/v1/files/:fileId/link": ({ fileId }) => ({ target: `/api/v1/files/${fileId}/link` }),
  "OPTIONS /tus": { why: NOBODY, target: "/tus" },
  "OPTIONS /tus/": { why: NOBODY, target: "/tus/" },
  "OPTIONS /tus/:uploadId": { why: NOBODY, target: "/tus/x" },
  "POST /tus": ({ uploadId }) => ({ target: "/tus", headers: { ...TUS, "upload-concat": `final;/tus/${uploadId}` } }),
  "POST /tus/": ({ uploadId }) => ({ target: "/tus/", headers: { ...TUS, "upload-concat": `final;http://localhost/tus/${uploadId}` } }),
  "HEAD /tus/:uploadId": ({ uploadId }) => ({ target: `/tus/${uploadId}`, headers: TUS }),
  "PATCH /tus/:uploadId": ({ uploadId }) => ({ target: `/tus/${uploadId}`, headers: TUS_BODY, body: "x" }),
  "DELETE /tus/:uploadId": ({ uploadId }) => ({ target: `/tus/${uploadId}`, headers: TUS }),
  "POST /tus/:uploadId": ({ uploadId }) => ({
    target: `/tus/${uploadId}`,
    headers: { ...TUS_BODY, "x-http-method-override": "PATCH" },
    body: "x",
  }),
  "GET /files/:fileId": ({ fileId }) => ({ target: `/files/${fileId}` }),
  "GET /files/:fileId/*": ({ fileId }) => ({ target: `/files/${fileId}/x.mp4`, headers: { range: "bytes=0-1" } }),
  "GET /inspect": { why: NOBODY, target: "/inspect" },
  "GET /api/v1/inspect/actors": { why: "whose the uploads are that it counts, it does not say", target: "/api/v1/inspect/actors" },
  "GET /api/v1/inspect/uploads/:uploadId": ({ uploadId }) => ({ target: `/api/v1/inspect/uploads/${uploadId}` }),
  "GET /api/v1/inspect/uploads/:uploadId/events": ({ uploadId }) => ({ target: `/api/v1/inspect/uploads/${uploadId}/events` }),
  "GET /api/v1/inspect/traces/:id": { why: `${OWN}; what it tells of others has a test of its own`, target: "/api/v1/inspect/traces/x" },
  "GET /browse/*": ({ name }) => ({ target: `/browse/default/${name}` }),
};

interface Heard {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
  /** Questions on the bus and statements in the database, in their order. */
  readonly steps: readonly string[];
}

/** One store with one gateway, and what was asked behind it. */
class House implements AsyncDisposable {
  readonly gateway: RunningGateway;
  readonly #troupe: Troupe;
  readonly #clock: VirtualClock;
  readonly #steps: string[];
  readonly #end: () => Promise<void>;

  private constructor(troupe: Troupe, clock: VirtualClock, steps: string[], spans: SpanBook, end: () => Promise<void>) {
    this.#troupe = troupe;
    this.#clock = clock;
    this.#steps = steps;
    this.#end = end;
    this.gateway = createGateway(
      {
        bus: watchedBus(troupe.bus, steps),
        clock,
        random: new SeededRandom(5),
        log: SILENT_LOG,
        dataPlane: new LocalDataPlane([troupe.node]),
        spans,
      },
      {
        nodeId: "gateway1",
        tokens: [
          { owner: "ann", secret: "anns" },
          { owner: "bob", secret: "bobs" },
        ],
        corsOrigins: [],
        fileBytesMax: 1024 ** 3,
        trustProxy: false,
      },
    );
  }

  static async open(): Promise<House> {
    const directory = await temporaryDirectory();
    const clock = new VirtualClock();
    const steps: string[] = [];
    const wrapStorageDatabase = (database: Database<CatalogTables>) => watchedDatabase(database, steps);
    const inspected: Inspected = { spans: new SpanBook(clock, "house"), directories: [] };
    const troupe = await startTroupe({ root: directory.path, clock, wrapStorageDatabase, inspected });
    return new House(troupe, clock, steps, inspected.spans, async () => {
      await troupe.stop();
      await directory[Symbol.asyncDispose]();
    });
  }

  async ask(secret: string, method: string, { target, headers = {}, body = "" }: Ask): Promise<Heard> {
    const bytes = Buffer.from(body);
    const length: Record<string, string> = bytes.length === 0 ? {} : { "content-length": String(bytes.length) };
    const abort = new AbortController();
    const request: HttpRequest = {
      method,
      target,
      headers: { host: "localhost", authorization: `Bearer ${secret}`, ...length, ...headers },
      body: once(bytes),
      remoteAddress: "127.0.0.1",
      secure: false,
      signal: abort.signal,
    };
    this.#steps.length = 0;
    const response = await this.#answer(request);
    const blocks: Uint8Array[] = [];
    if (typeof response.body === "string") blocks.push(Buffer.from(response.body));
    else if (response.body instanceof Uint8Array) blocks.push(response.body);
    else if (response.body !== undefined) {
      const stream = response.body[Symbol.asyncIterator]();
      const first = await stream.next();
      if (first.done !== true) blocks.push(first.value);
      await stream.return?.();
    }
    const { "x-request-id": requestId, ...fields } = response.headers;
    return {
      status: response.status,
      headers: fields,
      body: Buffer.concat(blocks).toString().replaceAll(String(requestId), "REQUEST"),
      steps: [...this.#steps],
    };
  }

  /** How many processes there are nobody knows, so their answers are waited for. */
  async #answer(request: HttpRequest): Promise<HttpResponse> {
    let isThere = false;
    const answer = this.gateway.handler(request).finally(() => {
      isThere = true;
    });
    if (/\/inspect\/(traces|actors)/.test(request.target)) while (!isThere) await this.#clock.advance(INSPECT_ANSWERS_MS);
    return await answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop();
    await this.#end();
  }

  get troupe(): Troupe {
    return this.#troupe;
  }
}

function watchedBus(bus: Bus, steps: string[]): Bus {
  const noted = (subject: string): void => void steps.push(`bus ${subject}`);
  return {
    payloadBytesMax: bus.payloadBytesMax,
    nowMs: () => bus.nowMs(),
    publish: (subject, payload, options) => {
      noted(subject);
      bus.publish(subject, payload, options);
    },
    subscribe: (subject, handler, options) => {
      noted(`hears ${subject}`);
      return bus.subscribe(subject, handler, options);
    },
    request: (subject, payload, options) => {
      noted(subject);
      return bus.request(subject, payload, options);
    },
    requestMany: (subject, payload, options) => {
      noted(subject);
      return bus.requestMany(subject, payload, options);
    },
    inbox: () => bus.inbox(),
    flush: () => bus.flush(),
    drain: () => bus.drain(),
  };
}

/** The words of a statement without its values. Which of the tables of files it reads is decided by the user's name alone. */
function formOf(node: object): string {
  const words: string[] = [];
  JSON.stringify(node, (key, value: unknown) => {
    if (key === "kind" || key === "name" || key === "operator") words.push(String(value).replace(/^t_file_\d\d$/, "t_file_NN"));
    return key === "value" || key === "values" ? undefined : value;
  });
  return words.filter((word) => !/^(Identifier|Column|Table|Selection|Reference|SchemableIdentifier|Operator)Node$/.test(word)).join(" ");
}

/** Notes the form of each statement, without its values, and how many rows came of it: each takes time to be read. */
function watchedDatabase(database: Database<CatalogTables>, steps: string[]): Database<CatalogTables> {
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      steps.push(`database ${formOf(node)}`);
      return node;
    },
    transformResult: async ({ result }) => {
      steps.push(`rows ${result.rows.length}`);
      return result;
    },
  };
  return {
    read: (work) => database.read((query) => work(query.withPlugin(plugin))),
    transact: (work) => database.transact((transaction) => work({ ...bound(transaction), query: transaction.query.withPlugin(plugin) })),
    close: () => database.close(),
  };
}

function bound(transaction: Parameters<Parameters<Database<CatalogTables>["transact"]>[0]>[0]): typeof transaction {
  return {
    query: transaction.query,
    insertIfAbsent: (table, row) => transaction.insertIfAbsent(table, row),
    lock: (query) => transaction.lock(query),
    claim: (query) => transaction.claim(query),
  };
}

/** The names taken out, so that what is left can be compared. */
function unnamed(heard: Heard, { fileId, name, uploadId }: Named): Heard {
  const without = (text: string): string => text.replaceAll(fileId, "FILE").replaceAll(uploadId, "UPLOAD").replaceAll(name, "NAME");
  return JSON.parse(without(JSON.stringify(heard))) as Heard;
}

const NOBODYS: Named = { fileId: "0".repeat(36), name: "nil/film.mp4", uploadId: "nobodysnobodysnobodysn" };

describe("what somebody else has", () => {
  let house: House;
  let fileId = "";
  const uploads: Record<string, string> = {};

  beforeAll(async () => {
    house = await House.open();
    const put = await house.ask("anns", "PUT", { target: "/put/ann/film.mp4", body: "ann's film" });
    fileId = /\/files\/([0-9a-f]{36})\//.exec(put.body)?.[1] as string;
    for (const state of ["receiving", "cancelled", "merged"]) {
      const created = await house.ask("anns", "POST", json("/api/v1/uploads", { name: `ann/${state}`, size: 3 }));
      const { uploadId } = JSON.parse(created.body) as { uploadId: string };
      uploads[state] = uploadId;
      if (state === "cancelled") await house.ask("anns", "DELETE", { target: `/api/v1/uploads/${uploadId}` });
      if (state !== "merged") continue;
      expect((await house.ask("anns", "PUT", { target: `/api/v1/uploads/${uploadId}/chunks/0`, body: "abc" })).status).toBe(200);
      expect((await house.ask("anns", "POST", { target: `/api/v1/uploads/${uploadId}/merge` })).status).toBe(200);
    }
    const part = await house.ask("anns", "POST", { target: "/tus", headers: { ...TUS, "upload-length": "3", "upload-concat": "partial" } });
    uploads["a part"] = /\/tus\/([\w-]+)$/.exec(String(part.headers["location"]))?.[1] as string;
    return () => house[Symbol.asyncDispose]();
  });

  /** Everything of Ann's is as fresh in memory and caches as it can be. */
  async function warm(): Promise<void> {
    expect((await house.ask("anns", "GET", { target: `/files/${fileId}` })).body).toBe("ann's film");
    expect((await house.ask("anns", "GET", { target: "/browse/default/ann/film.mp4" })).status).toBe(200);
    for (const uploadId of Object.values(uploads))
      expect(JSON.parse((await house.ask("anns", "GET", { target: `/api/v1/uploads/${uploadId}` })).body)).toMatchObject({ uploadId });
  }

  test("every route has a row, and no row is of a route that is gone", () => {
    expect(house.gateway.routes.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(ROWS).sort());
  });

  const asking = Object.entries(ROWS).flatMap(([route, row]) => (typeof row === "function" ? [[route, row] as const] : []));

  test.each(asking)("%s tells it from nothing neither by its answer nor by what it asks", async (route, row) => {
    const [method = ""] = route.split(" ");
    for (const verb of method === "GET" ? ["GET", "HEAD"] : [method]) {
      const absent = unnamed(await house.ask("bobs", verb, row(NOBODYS)), NOBODYS);
      expect([verb, absent.status, absent.steps.length > 0]).toEqual([verb, 404, true]);
      for (const [state, uploadId] of Object.entries(uploads)) {
        await warm();
        const named = { fileId, name: "ann/film.mp4", uploadId };
        expect([state, unnamed(await house.ask("bobs", verb, row(named)), named)]).toEqual([state, absent]);
      }
    }
    await warm();
  });

  test.each(Object.entries(ROWS).flatMap(([route, row]) => (typeof row === "function" ? [] : [[route, row] as const])))(
    "%s tells nothing of it",
    async (route, ask) => {
      const [method = ""] = route.split(" ");
      const { body: told } = await house.ask("bobs", method, ask);
      for (const word of ["ann", fileId, ...Object.values(uploads)]) expect(told).not.toContain(word);
    },
  );

  test("without a token nothing is answered but what tells of nobody's files, not even that there is nothing", async () => {
    const open = house.gateway.routes.filter(({ access }) => access === "anyone").map(({ method, path }) => `${method} ${path}`);
    expect(open.filter((route) => typeof ROWS[route] === "function" || (ROWS[route] as { why: string }).why !== NOBODY)).toEqual([]);
    for (const { method, path, access } of house.gateway.routes) {
      const row = ROWS[`${method} ${path}`] as Row;
      const { target } = typeof row === "function" ? row({ fileId, name: "ann/film.mp4", uploadId: uploads["receiving"] as string }) : row;
      if (access !== "anyone")
        expect([method, target, (await house.ask("nobodys", method, { target })).status]).toEqual([method, target, 401]);
    }
  });

  test("and it is there for whoever has it, who is asked other things", async () => {
    const own = await house.ask("anns", "GET", { target: `/api/v1/files/${fileId}` });
    expect(own.status).toBe(200);
    const theirs = await house.ask("bobs", "GET", { target: `/api/v1/files/${fileId}` });
    expect(theirs.steps.filter((step) => step.startsWith("database"))).toHaveLength(2);
    expect(theirs.steps.filter((step) => step.startsWith("bus"))).toEqual(["bus troupe.v1.catalog.file"]);
  });
});

test("a trace is told from nothing by whoever has a request in it alone, or the upload", async () => {
  await using house = await House.open();
  const created = await house.ask("anns", "POST", json("/api/v1/uploads", { name: "ann/film", size: 3 }));
  const { uploadId } = JSON.parse(created.body) as { uploadId: string };
  const trace = (id: string): Ask => ({ target: `/api/v1/inspect/traces/${id}` });
  // While the answers are waited for the house goes about its business.
  const asked = (heard: Heard): Heard => ({ ...heard, steps: heard.steps.filter((step) => step.startsWith("bus")) });
  const absent = unnamed(asked(await house.ask("bobs", "GET", trace(NOBODYS.uploadId))), NOBODYS);
  expect([absent.status, absent.steps.length]).toEqual([404, 3]);
  const named = { ...NOBODYS, uploadId };
  for (const verb of ["GET", "HEAD"]) expect(unnamed(asked(await house.ask("bobs", verb, trace(uploadId))), named)).toEqual(absent);
  const own = JSON.parse((await house.ask("anns", "GET", trace(uploadId))).body) as { spans: { requestId: string; traceId: string }[] };
  const { requestId, traceId } = own.spans[0] as { requestId: string; traceId: string };
  for (const id of [requestId, traceId]) {
    expect([id, (await house.ask("anns", "GET", trace(id))).status]).toEqual([id, 200]);
    expect([id, (await house.ask("bobs", "GET", trace(id))).status]).toEqual([id, 404]);
  }
  // Whoever takes somebody's trace for his own request sees nothing of it, and does not hide it from her.
  const parent = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const bobs = await house.ask("bobs", "POST", {
    ...json("/api/v1/uploads", { name: "b", size: 1 }),
    headers: { ...JSON_BODY, ...parent },
  });
  const { uploadId: bobsId } = JSON.parse(bobs.body) as { uploadId: string };
  expect((await house.ask("bobs", "GET", trace(bobsId))).body).not.toContain(uploadId);
  const again = JSON.parse((await house.ask("anns", "GET", trace(uploadId))).body) as { spans: { requestId: string }[] };
  expect(again.spans.map((span) => span.requestId)).toContain(requestId);
});
