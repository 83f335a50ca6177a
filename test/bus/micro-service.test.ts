/** Roles as micro services: the suite over each bus, what the real contracts tell of themselves, and every read-only request of the real cast. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { loadContracts } from "../../scripts/generate-docs.ts";
import { gatewayActor } from "../../src/actors/gateway/actor.ts";
import { gateway } from "../../src/actors/gateway/contract.ts";
import { storage } from "../../src/actors/storage/contract.ts";
import { COMMON_ERRORS, type Contract, defineContract, request, requestSubject } from "../../src/bus/contract.ts";
import { HEADERS } from "../../src/bus/headers.ts";
import { host } from "../../src/bus/host.ts";
import { LoopbackBus, LoopbackMedium } from "../../src/bus/loopback.ts";
import { startService } from "../../src/bus/micro-service.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats.ts";
import { RequestBooks } from "../../src/bus/request-book.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { BUS_PAYLOAD_BYTES_MAX } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Bus, BusMessage } from "../../src/core/ports/bus.ts";
import { SpanBook } from "../../src/core/span-book.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { askService, describeMicroService } from "../contract/micro-service.ts";
import { startTestNats, type TestNats } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { createUpload, startTroupe, type Troupe } from "../support/troupe.ts";
import { settle, VirtualClock } from "../support/virtual-clock.ts";
import { actor, chorus, ending, Theatre } from "./theatre.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const contracts: Contract[] = await loadContracts(ROOT);

describeMicroService("loopback", async () => {
  const clock = new VirtualClock();
  const medium = new LoopbackMedium({ clock, random: new SeededRandom(7) });
  const connections: LoopbackBus[] = [];
  return {
    connect: async () => {
      const bus = medium.connect();
      connections.push(bus);
      return bus;
    },
    pass: (timeMs) => clock.advance(timeMs),
    close: async () => {
      for (const bus of connections) bus.disconnect();
    },
  };
});

let server: TestNats | undefined;
afterAll(() => server?.[Symbol.asyncDispose]());

describeMicroService("NATS", async () => {
  const { url } = (server ??= await startTestNats());
  const connections: NatsBus[] = [];
  return {
    connect: async () => {
      const bus = await connectNats({ servers: [url], name: "test", inboxPrefix: "_INBOX", clock: new SystemClock(), log: SILENT_LOG });
      connections.push(bus);
      return bus;
    },
    // Time passes by itself.
    pass: async () => undefined,
    close: async () => {
      await Promise.all(connections.map((bus) => bus.disconnect()));
    },
  };
});

describe("a service's start", () => {
  const ports = () => ({ clock: new VirtualClock(), requestBooks: new RequestBooks() });
  const wordy = defineContract({
    name: "wordy",
    doc: "Says much.",
    subject: "test.wordy",
    requests: {
      say: request({ doc: "x".repeat(3_000), input: z.object({}), output: z.object({}), errors: [] }),
    },
  });

  it("is refused when the bus could not carry what it tells of itself", () => {
    const medium = new LoopbackMedium({ clock: new VirtualClock(), random: new SeededRandom(1), payloadBytesMax: 3_000 });
    expect(() => startService(medium.connect(), ports(), { id: "n1", version: "1.0.0", parts: [{ contract: wordy }] })).toThrow(
      expect.objectContaining({ code: "PAYLOAD_TOO_LARGE" }),
    );
    expect(medium.receiverCount).toBe(0);
  });

  it.each(["n 1", "*", "a.b", ""])("refuses the identity %j", (id) => {
    const bus = new LoopbackBus({ clock: new VirtualClock(), random: new SeededRandom(1) });
    expect(() => startService(bus, ports(), { id, version: "1.0.0", parts: [{ contract: wordy }] })).toThrow(
      expect.objectContaining({ code: "BAD_IDENTITY" }),
    );
  });

  it.each([
    ["1", false],
    ["1.2", false],
    ["v1.2.3", false],
    ["01.2.3", false],
    ["1.2.3-", false],
    ["1.2.3-01", false],
    ["1.2.3", true],
    ["0.0.0-rc.1", true],
    ["1.2.3-01a+build.007", true],
  ])("takes the version %s: %s", (version, isTaken) => {
    const bus = new LoopbackBus({ clock: new VirtualClock(), random: new SeededRandom(1) });
    const start = () => startService(bus, ports(), { id: "n1", version, parts: [{ contract: wordy }] });
    if (isTaken) expect(start).not.toThrow();
    else expect(start).toThrow(/not a semantic version/);
  });
});

describe("what a host counts", () => {
  const counting = async (configuration = {}) => {
    const theatre = new Theatre();
    const requestBooks = new RequestBooks();
    const gate = Promise.withResolvers<void>();
    await host(
      theatre.bus,
      actor,
      { playerId: "p1" },
      { ...theatre.ports, requestBooks },
      async () => ({
        handlers: {
          echo: ({ text }) => {
            if (text.startsWith("!")) throw new TroupeError("FILE_NOT_FOUND", text);
            return { text };
          },
          work: async ({ id }) => {
            await gate.promise;
            return { id };
          },
          status: () => ({ turns: 0 }),
        },
      }),
      configuration,
    );
    return { theatre, gate, read: (verb: string) => requestBooks.of(actor).read(verb) };
  };

  it("is also what it refused, or could not begin in time", async () => {
    const { theatre, gate, read } = await counting({ mailboxMax: 1 });
    const begun = theatre.player.work({ id: 0 });
    await settle();
    const late = ending(theatre.player.echo({}, { timeoutMs: 100 }));
    expect(await ending(theatre.player.echo({}))).toBe("BUSY");
    expect(read("echo")).toMatchObject({ requests: 1, errors: 1, lastError: expect.stringMatching(/^BUSY: /) });
    await theatre.clock.advance(100);
    expect(await late).toBe("DEADLINE_EXCEEDED");
    gate.resolve();
    await begun;
    await settle();
    expect(read("echo")).toEqual({ requests: 2, errors: 2, lastError: expect.stringMatching(/^DEADLINE_EXCEEDED: /), processingMs: 100 });
    expect(read("work")).toEqual({ requests: 1, errors: 0, lastError: "", processingMs: 100 });
  });

  it("is the contract's requests alone, whatever is asked", async () => {
    const { theatre, read } = await counting();
    for (const verb of ["encore", "__proto__", "constructor"])
      await theatre.callers.request(`test.player.p1.${verb}`, new Uint8Array(), { timeoutMs: 1_000 });
    for (const verb of Object.keys(actor.requests)) expect(read(verb)).toMatchObject({ requests: 0 });
  });

  it("keeps the last error on one line, and short", async () => {
    const { theatre, read } = await counting();
    await ending(theatre.player.echo({ text: "!a\nb".repeat(1_000) }));
    expect(read("echo").lastError).toMatch(/^FILE_NOT_FOUND: [!a b]{100,240}$/);
  });
});

/** Contracts that the storage role answers besides its own. */
const WITH_STORAGE = ["bytes", "upload"];

/** What a role's service is made of: the node's name stands in subjects, and `*` where there are many. */
const ROLES = contracts
  .filter((contract) => !WITH_STORAGE.includes(contract.name))
  .map((contract) => {
    const others = contract === storage ? contracts.filter(({ name }) => WITH_STORAGE.includes(name)) : [];
    const part = (each: Contract) =>
      each.subject.includes("{nodeId}") ? { contract: each, identity: { nodeId: "node1" } } : { contract: each };
    return { name: contract.name, parts: [part(contract), ...others.map(part)] as const };
  });

describe("the service of each real role", () => {
  it.each(ROLES)("$name: its INFO has every request, and fits many times over", async ({ name, parts }) => {
    const clock = new VirtualClock();
    const bus = new LoopbackBus({ clock, random: new SeededRandom(1) });
    startService(bus, { clock, requestBooks: new RequestBooks() }, { id: "node1", version: "0.1.0", parts });
    const [info] = await askService(bus, "INFO", 1, `.${name}`);
    const names = info?.endpoints.map((endpoint) => endpoint.name) ?? [];
    expect(new Set(names).size).toBe(parts.reduce((count, { contract }) => count + Object.keys(contract.requests).length, 0));
    for (const { metadata } of info?.endpoints ?? []) {
      for (const io of ["input", "output"])
        expect(JSON.parse(metadata[io] ?? "")).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema", type: "object" });
      expect(metadata["doc"]).not.toBe("");
    }
    expect(JSON.stringify(info).length).toBeLessThan(BUS_PAYLOAD_BYTES_MAX / 8);
  });

  it("storage tells of uploads as one set of endpoints, under names of their own", async () => {
    const { parts } = ROLES.find((role) => role.name === "storage") as (typeof ROLES)[number];
    const clock = new VirtualClock();
    const bus = new LoopbackBus({ clock, random: new SeededRandom(1) });
    startService(bus, { clock, requestBooks: new RequestBooks() }, { id: "node1", version: "0.1.0", parts });
    const [info] = await askService(bus, "INFO", 1);
    const endpoints = new Map(info?.endpoints.map((endpoint) => [endpoint.name, endpoint.subject]));
    expect(endpoints.get("status")).toBe("troupe.v1.storage.node1.status");
    expect(endpoints.get("upload-status")).toBe("troupe.v1.upload.*.status");
  });

  it("names the queue groups that hosts subscribe", async () => {
    const theatre = new Theatre();
    const subscribed = new Map<string, string>();
    const bus: Bus = Object.create(theatre.bus, {
      subscribe: {
        value: (subject: string, handler: (message: BusMessage) => void, options: { readonly queue?: string } = {}) => {
          subscribed.set(subject, options.queue ?? "");
          return theatre.bus.subscribe(subject, handler, options);
        },
      },
      payloadBytesMax: { value: theatre.bus.payloadBytesMax },
    });
    await host(bus, actor, { playerId: "p1" }, theatre.ports, async () => ({ handlers: {} as never }));
    await host(bus, chorus, {}, theatre.ports, async () => ({ handlers: {} as never }));
    startService(
      theatre.bus,
      { clock: theatre.clock, requestBooks: new RequestBooks() },
      { id: "n1", version: "1.0.0", parts: [{ contract: actor, identity: { playerId: "p1" } }, { contract: chorus }] },
    );
    const [info] = await askService(theatre.callers, "INFO", 1);
    for (const { subject, queue_group } of info?.endpoints ?? []) {
      const heard = subscribed.get(subject) ?? subscribed.get(subject.replace(/[^.]+$/, "*"));
      expect([subject, heard]).toEqual([subject, queue_group]);
    }
  });
});

describe("every read-only request of the real cast", () => {
  let folder: string;
  let troupe: Troupe;
  let uploadId: string;
  const rows = contracts.flatMap((contract) =>
    Object.entries(contract.requests).flatMap(([verb, definition]) => (definition.readOnly ? [{ contract, verb, definition }] : [])),
  );

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "troupe-services-"));
    const inspected = { spans: new SpanBook(new SystemClock(), "test"), directories: [] };
    troupe = await startTroupe({ root: folder, inspected });
    uploadId = (await createUpload(troupe, { sizeBytes: 100 })).uploadId;
    const ports = { clock: troupe.clock, random: new SeededRandom(1), log: SILENT_LOG };
    const { nodeId } = troupe.node;
    const status = { nodeId, startedMs: 0, requestCount: 0, inFlightCount: 0, errorCount: 0, eventStreamCount: 0 };
    await host(
      troupe.bus,
      gateway,
      { nodeId },
      ports,
      gatewayActor(() => status),
    );
  });
  afterAll(async () => {
    await troupe?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("is there for every role, so that an observer can look at each", () => {
    const readable = new Set(rows.map((row) => row.contract.name));
    expect(ROLES.filter(({ parts }) => !parts.some(({ contract }) => readable.has(contract.name))).map(({ name }) => name)).toEqual([]);
  });

  it.each(rows.map((row) => ({ ...row, title: `${row.contract.name}.${row.verb}` })))(
    "$title answers {} in JSON: with what its contract says, or with an error it declares",
    async ({ contract, verb, definition }) => {
      const subject = requestSubject(contract, { nodeId: troupe.node.nodeId, uploadId }, verb);
      const reply = await troupe.bus.request(subject, new TextEncoder().encode("{}"), { timeoutMs: 10_000 });
      const answer: unknown = JSON.parse(new TextDecoder().decode(reply.payload));
      expect(reply.headers[HEADERS.contentType]).toBe("application/json");
      if (reply.headers[HEADERS.error] === undefined) {
        expect(definition.output.safeParse(answer).error).toBeUndefined();
        return;
      }
      const codes: readonly string[] = [...COMMON_ERRORS, ...definition.errors].filter((code) => code !== "INTERNAL");
      expect(codes).toContain(reply.headers[HEADERS.errorCode]);
      expect(answer).toMatchObject({ code: reply.headers[HEADERS.errorCode] });
    },
  );
});
