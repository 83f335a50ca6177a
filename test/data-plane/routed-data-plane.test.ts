/** The way a gateway chooses: HTTP where it can connect, the bus where it cannot. */
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { connectNats } from "../../src/bus/nats.ts";
import { TroupeError } from "../../src/core/errors.ts";
import { BUS_ROUTE_KEPT_MS, CONNECT_TIMEOUT_MS, DATA_SILENCE_MS_MAX } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import type { DataPlane } from "../../src/core/ports/data-plane.ts";
import { BusDataPlane } from "../../src/data-plane/bus-data-plane.ts";
import { serveBytesOnBus } from "../../src/data-plane/bytes-on-bus.ts";
import { createDataServer } from "../../src/data-plane/data-server.ts";
import { HttpDataPlane } from "../../src/data-plane/http-data-plane.ts";
import { LocalDataPlane } from "../../src/data-plane/local-data-plane.ts";
import { RoutedDataPlane } from "../../src/data-plane/routed-data-plane.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { NodeHttpServer } from "../../src/gateway/node-http.ts";
import { NodeHttpClient } from "../../src/gateway/node-http-client.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { chunkOf, collect, describeDataPlane, EndlessSource, failureOf, until } from "../contract/data-plane.ts";
import { startTestNats, type TestNats, untilUnheard } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { someBytes } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { MemoryNode } from "./memory-node.ts";

const BLOB = { blobId: 7, path: "000/000/000/00000001_007" };

let server: TestNats;
beforeAll(async () => {
  server = await startTestNats();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** Where nobody listens: a port that was free a moment ago. */
async function deadUrl(): Promise<string> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  await new Promise((resolve) => listener.close(resolve));
  return `http://127.0.0.1:${port}`;
}

describeDataPlane("routed, to a node that cannot be connected to", async ({ node, tokens, clock }) => {
  const random = new SeededRandom(5);
  const connect = (name: string) =>
    connectNats({ servers: [server.url], name, inboxPrefix: `_INBOX_${name}`, clock: new SystemClock(), log: SILENT_LOG });
  const [nodeBus, bus] = [await connect("storage"), await connect("gateway")];
  const served = await serveBytesOnBus(nodeBus, node, tokens, { clock, random, log: SILENT_LOG });
  const http = new NodeHttpClient({ connecting: { clock, timeoutMs: CONNECT_TIMEOUT_MS } });
  const url = await deadUrl();
  return {
    plane: new RoutedDataPlane(
      { local: new LocalDataPlane([]), direct: new HttpDataPlane({ http, clock }), bus: new BusDataPlane({ bus, clock, random }) },
      { clock, log: SILENT_LOG },
    ),
    access: (token) => ({ nodeId: node.nodeId, url, token }),
    killNode: async () => {
      await nodeBus.disconnect();
      await untilUnheard(bus, `troupe.v1.bytes.${node.nodeId}.frames.none`);
      await clock.advance(DATA_SILENCE_MS_MAX);
    },
    delivered: async () => {
      await bus.flush();
      await nodeBus.flush();
    },
    close: async () => {
      await served.stop();
      await http.close();
      await bus.disconnect();
      await nodeBus.disconnect();
    },
  };
});

/** A node whose ways are counted. */
async function stage(node = new MemoryNode()) {
  const clock = new VirtualClock();
  const random = new SeededRandom(5);
  const tokens = new TokenMint(clock, random);
  const medium = new LoopbackMedium({ clock: new SystemClock(), random });
  const served = await serveBytesOnBus(medium.connect(), node, tokens, { clock, random, log: SILENT_LOG });
  const http = new NodeHttpClient({ connecting: { clock, timeoutMs: CONNECT_TIMEOUT_MS } });
  const asked = { direct: 0, bus: 0 };
  const counted = (way: keyof typeof asked, plane: DataPlane): DataPlane => ({
    storeChunk: (access, chunk) => {
      asked[way] += 1;
      return plane.storeChunk(access, chunk);
    },
    readBlob: (access, range, signal) => {
      asked[way] += 1;
      return plane.readBlob(access, range, signal);
    },
    readUpload: (access, range, signal) => plane.readUpload(access, range, signal),
  });
  const plane = new RoutedDataPlane(
    {
      local: new LocalDataPlane([]),
      direct: counted("direct", new HttpDataPlane({ http, clock })),
      bus: counted("bus", new BusDataPlane({ bus: medium.connect() as Bus, clock, random })),
    },
    { clock, log: SILENT_LOG },
  );
  const bytes = someBytes(300_000);
  node.blobs.set(BLOB.path, bytes);
  const range = { ...BLOB, sizeBytes: bytes.length, offset: 10, lengthBytes: 200_000 };
  const accessTo = (url: string | undefined) => ({
    nodeId: node.nodeId,
    url,
    token: tokens.mint({ kind: "read", ...BLOB, sizeBytes: bytes.length }),
  });
  const read = async (url: string | undefined): Promise<void> => {
    const received = await collect(await plane.readBlob(accessTo(url), range));
    expect(received.equals(bytes.subarray(10, 200_010))).toBe(true);
  };
  return {
    node,
    clock,
    tokens,
    plane,
    asked,
    range,
    read,
    accessTo,
    async [Symbol.asyncDispose]() {
      await served.stop();
      await http.close();
    },
  };
}

describe("the way to a node", () => {
  it("is the bus for one without an address", async () => {
    await using there = await stage();
    await there.read(undefined);
    expect(there.asked).toEqual({ direct: 0, bus: 1 });
  });

  it("is the bus for a while after nobody could connect, and then direct is tried again", async () => {
    await using there = await stage();
    const url = await deadUrl();
    await there.read(url);
    await there.read(url);
    expect(there.asked).toEqual({ direct: 1, bus: 2 });
    await there.clock.advance(BUS_ROUTE_KEPT_MS + 1);
    const port = Number(new URL(url).port);
    const http = new NodeHttpServer({ clock: there.clock, log: SILENT_LOG });
    const listener = await http.listen({ host: "127.0.0.1", port }, createDataServer(there.node, there.tokens, { log: SILENT_LOG }));
    await there.read(url);
    await there.read(url);
    expect(there.asked).toEqual({ direct: 3, bus: 2 });
    const closed = listener.close(0);
    await there.clock.advance(0);
    await closed;
  });

  it("is tried directly at another address at once", async () => {
    await using there = await stage();
    await there.read(await deadUrl());
    await there.read(await deadUrl());
    expect(there.asked).toEqual({ direct: 2, bus: 2 });
  });

  it("is the bus after the connect timeout where packets vanish, and a chunk's body goes that way whole", async () => {
    await using there = await stage();
    // An address that is set aside for documentation (RFC 5737): nobody answers, or the network says so at once.
    const access = { nodeId: "node1", url: "http://192.0.2.1:9", token: there.tokens.mint({ kind: "write", uploadId: "upload1" }) };
    const body = someBytes(200_000);
    const storing = there.plane.storeChunk(access, chunkOf(body));
    while (there.asked.bus === 0) await there.clock.advance(CONNECT_TIMEOUT_MS);
    expect(await storing).toMatchObject({ isNew: true });
    expect(there.node.chunks.get("upload1/0")?.equals(body)).toBe(true);
    expect(there.asked).toEqual({ direct: 1, bus: 1 });
  });

  it("does not change for what the node answered, nor in the middle", async () => {
    await using there = await stage();
    const http = new NodeHttpServer({ clock: there.clock, log: SILENT_LOG });
    const listener = await http.listen({ host: "127.0.0.1", port: 0 }, createDataServer(there.node, there.tokens, { log: SILENT_LOG }));
    const write = { ...there.accessTo(listener.url), token: there.tokens.mint({ kind: "write", uploadId: "upload1" }) };
    there.node.beforeBlock = () => {
      throw new TroupeError("DISK_FAILED");
    };
    expect(await failureOf(there.plane.readBlob(there.accessTo(listener.url), there.range))).toMatchObject({ code: "DISK_FAILED" });
    const gate = Promise.withResolvers<void>();
    there.node.beforeBlock = () => gate.promise;
    const source = new EndlessSource(20_000_000);
    const storing = failureOf(there.plane.storeChunk(write, { ...chunkOf(new Uint8Array()), bytes: source, lengthBytes: 20_000_000 }));
    await until(() => there.node.takenBytes > 0);
    const closed = listener.close(0);
    await there.clock.advance(0);
    await closed;
    expect(await storing).toMatchObject({ code: "HOST_UNAVAILABLE" });
    expect(there.asked).toEqual({ direct: 2, bus: 0 });
    gate.resolve();
  });

  it("is neither: the address that could not be connected to is named", async () => {
    await using there = await stage();
    const access = { ...there.accessTo(await deadUrl()), nodeId: "node9" };
    const failure = await failureOf(there.plane.readBlob(access, there.range));
    expect(failure).toMatchObject({ code: "HOST_UNAVAILABLE", retry: "later" });
    expect(failure.detail).toContain("node9");
    expect(failure.detail).toContain(access.url);
  });

  it("is none at all for a node in the same process", async () => {
    await using there = await stage();
    const direct: DataPlane = {
      storeChunk: () => Promise.reject(new Error("no")),
      readBlob: () => Promise.reject(new Error("no")),
      readUpload: () => Promise.reject(new Error("no")),
    };
    const plane = new RoutedDataPlane(
      { local: new LocalDataPlane([there.node]), direct, bus: direct },
      { clock: there.clock, log: SILENT_LOG },
    );
    expect(await collect(await plane.readBlob(there.accessTo("http://127.0.0.1:1"), there.range))).toHaveLength(200_000);
  });
});
