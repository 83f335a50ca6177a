/** The data plane over the bus: the conformance suite on both buses, and what only this adapter promises. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesOnBus } from "../../src/actors/bytes/contract.ts";
import { client } from "../../src/bus/client.ts";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { connectNats } from "../../src/bus/nats.ts";
import {
  DATA_SILENCE_MS_MAX,
  FRAME_BYTES_MAX,
  FRAME_CREDIT_MS_MAX,
  FRAME_WINDOW_MAX,
  GATEWAY_SILENCE_MS_MAX,
  TRANSFERS_PER_NODE_MAX,
  TRANSFERS_PER_OWNER_MAX,
} from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Bus } from "../../src/core/ports/bus.ts";
import { BusDataPlane } from "../../src/data-plane/bus-data-plane.ts";
import { serveBytesOnBus } from "../../src/data-plane/bytes-on-bus.ts";
import { decodeFrame, encodeFrame, type Frame } from "../../src/data-plane/frame.ts";
import { TokenMint } from "../../src/data-plane/token.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { chunkOf, codeOf, collectUntilError, describeDataPlane, failureOf, stillFor, until } from "../contract/data-plane.ts";
import { startTestNats, type TestNats, untilUnheard } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { someBytes } from "../support/troupe.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { MemoryNode } from "./memory-node.ts";

describeDataPlane("bus (loopback)", async ({ node, tokens, clock }) => {
  const random = new SeededRandom(5);
  const medium = new LoopbackMedium({ clock: new SystemClock(), random });
  const [nodeBus, bus] = [medium.connect(), medium.connect()];
  const served = await serveBytesOnBus(nodeBus, node, tokens, { clock, random, log: SILENT_LOG });
  return {
    plane: new BusDataPlane({ bus, clock, random }),
    access: (token) => ({ nodeId: node.nodeId, token }),
    killNode: async () => {
      nodeBus.disconnect();
      await clock.advance(DATA_SILENCE_MS_MAX);
    },
    close: async () => {
      await served.stop();
      bus.disconnect();
      nodeBus.disconnect();
    },
  };
});

let server: TestNats;
beforeAll(async () => {
  server = await startTestNats();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describeDataPlane("bus (NATS)", async ({ node, tokens, clock }) => {
  const random = new SeededRandom(5);
  const connect = (name: string) =>
    connectNats({ servers: [server.url], name, inboxPrefix: `_INBOX_${name}`, clock: new SystemClock(), log: SILENT_LOG });
  const [nodeBus, bus] = [await connect("storage"), await connect("gateway")];
  const served = await serveBytesOnBus(nodeBus, node, tokens, { clock, random, log: SILENT_LOG });
  return {
    plane: new BusDataPlane({ bus, clock, random }),
    access: (token) => ({ nodeId: node.nodeId, token }),
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
      await bus.disconnect();
      await nodeBus.disconnect();
    },
  };
});

describe("bytes over the bus", () => {
  const BLOB = { blobId: 7, path: "000/000/000/00000001_007" };
  const BYTES = someBytes(30 * FRAME_BYTES_MAX + 5);
  const RANGE = { ...BLOB, sizeBytes: BYTES.length, offset: 0, lengthBytes: BYTES.length };

  /** @param disturb what a test makes of the buses of the node and of the gateway */
  async function stage(disturb: (bus: Bus, whose: "node" | "gateway") => Bus = (bus) => bus) {
    const clock = new VirtualClock();
    const random = new SeededRandom(5);
    const medium = new LoopbackMedium({ clock: new SystemClock(), random });
    const node = new MemoryNode();
    node.blobs.set(BLOB.path, BYTES);
    const tokens = new TokenMint(clock, random);
    const nodeBus = medium.connect();
    const bus = medium.connect();
    const ports = { clock, random, log: SILENT_LOG };
    const served = await serveBytesOnBus(disturb(nodeBus, "node"), node, tokens, ports);
    return {
      clock,
      random,
      medium,
      node,
      nodeBus,
      bus,
      served,
      plane: new BusDataPlane({ bus: disturb(bus, "gateway"), clock, random }),
      reading: { nodeId: "node1", token: tokens.mint({ kind: "read", ...BLOB, sizeBytes: BYTES.length }) },
      writing: { nodeId: "node1", token: tokens.mint({ kind: "write", uploadId: "upload1" }) },
      async [Symbol.asyncDispose]() {
        await served.stop();
      },
    };
  }

  type Fate = "lost" | "doubled" | "late";

  /** Treats the n-th message of the transfer that this party sends as it is told. */
  function disturbed(bus: Bus, at: number, fate: Fate): Bus {
    let count = 0;
    let held: (() => void) | undefined;
    const publish: Bus["publish"] = (subject, payload, options) => {
      const isFrame = subject.startsWith("_INBOX") ? payload.length > 1_000 || payload.length === 5 : subject.includes(".frames.");
      const send = (): void => bus.publish(subject, payload, options);
      if (!isFrame) return send();
      count += 1;
      const late = held;
      held = undefined;
      if (count === at && fate === "late") held = send;
      else if (count !== at || fate === "doubled") send();
      if (count === at && fate === "doubled") send();
      late?.();
    };
    return new Proxy(bus, {
      get: (target, name) => {
        if (name === "publish") return publish;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  }

  for (const fate of ["lost", "doubled", "late"] as const) {
    it(`F11: a message of a transfer that is ${fate} costs the transfer at most, never a byte`, async () => {
      for (const at of [1, 2, 9, 15, 31, 32]) {
        for (const whose of ["node", "gateway"] as const) {
          await using there = await stage((bus, party) => (party === whose ? disturbed(bus, at, fate) : bus));
          const { clock, node, plane } = there;
          let isOver = false;
          const read = (async () => {
            const stream = await plane.readBlob(there.reading, RANGE);
            const { bytes, error } = await collectUntilError(stream);
            expect(bytes.equals(BYTES.subarray(0, bytes.length))).toBe(true);
            if (error === undefined) expect(bytes).toHaveLength(BYTES.length);
            else expect(error).toMatchObject({ code: "HOST_UNAVAILABLE" });
          })();
          const stored = plane.storeChunk(there.writing, chunkOf(BYTES)).then(
            () => expect(node.chunks.get("upload1/0")?.equals(BYTES)).toBe(true),
            (error: unknown) => expect(error).toMatchObject({ code: "HOST_UNAVAILABLE" }),
          );
          const over = Promise.all([read.catch((error: unknown) => expect(error).toMatchObject({ code: "HOST_UNAVAILABLE" })), stored]);
          over.then(
            () => (isOver = true),
            () => (isOver = true),
          );
          // What can go on by itself does; what waits for a message that will not come is given up.
          await stillFor(() => node.readBytes + node.takenBytes + (isOver ? 1 : 0), 10);
          while (!isOver) await clock.advance(DATA_SILENCE_MS_MAX);
          await over;
          // Whatever became of it, what is there is right.
          const there0 = node.chunks.get("upload1/0");
          if (there0 !== undefined) expect(there0.equals(BYTES)).toBe(true);
        }
      }
    });
  }

  it("I19: frames go to an inbox, and nowhere else", async () => {
    await using there = await stage();
    const asked = { ...RANGE, transferId: "t1", token: there.reading.token, credit: FRAME_WINDOW_MAX };
    const bytes = client(there.bus, bytesOnBus, { nodeId: "node1" });
    for (const inbox of ["troupe.v1.tracker.leave", "$JS.API.STREAM.DELETE.x", "_INBOX.>", "_INBOX.*", "", "a b"])
      expect(await codeOf(bytes.read({ ...asked, inbox })), inbox).toBe("BAD_REQUEST");
  });

  it("I20: a range past the blob, or of a length that no blob has, is refused before anything is read", async () => {
    await using there = await stage();
    const asked = { ...RANGE, transferId: "t1", token: there.reading.token, inbox: there.bus.inbox(), credit: FRAME_WINDOW_MAX };
    const bytes = client(there.bus, bytesOnBus, { nodeId: "node1" });
    expect(await codeOf(bytes.read({ ...asked, offset: 1 }))).toBe("RANGE_NOT_SATISFIABLE");
    expect(await codeOf(bytes.read({ ...asked, lengthBytes: BYTES.length + 1 }))).toBe("RANGE_NOT_SATISFIABLE");
    for (const lengthBytes of [2 ** 53, 2 ** 63, -1, 0.5]) expect(await codeOf(bytes.read({ ...asked, lengthBytes }))).toBe("BAD_REQUEST");
    expect(await codeOf(bytes.read({ ...asked, credit: FRAME_WINDOW_MAX + 1 }))).toBe("BAD_REQUEST");
    expect(there.node.readBytes).toBe(0);
  });

  it("F11: a transfer that is asked for twice is begun once, and both times answered the same; nobody else joins it", async () => {
    await using there = await stage();
    const gate = Promise.withResolvers<void>();
    there.node.beforeBlock = () => gate.promise;
    const asked = { ...RANGE, transferId: "t1", token: there.reading.token, inbox: there.bus.inbox(), credit: FRAME_WINDOW_MAX };
    const bytes = client(there.bus, bytesOnBus, { nodeId: "node1" });
    const reads = [bytes.read(asked), bytes.read(asked)];
    const chunk = { uploadId: "upload1", index: 0, fromBytes: 0, isAtomic: true, digests: [] };
    const write = { ...chunk, transferId: "t2", token: there.writing.token, inbox: there.bus.inbox() };
    const writes = [bytes.write(write), bytes.write(write)];
    const inbox = there.bus.inbox();
    expect([await codeOf(bytes.read({ ...asked, inbox })), await codeOf(bytes.write({ ...write, inbox }))]).toEqual([
      "BAD_REQUEST",
      "BAD_REQUEST",
    ]);
    expect(await codeOf(bytes.read({ ...asked, transferId: "t2", inbox: write.inbox }))).toBe("BAD_REQUEST");
    gate.resolve();
    expect(await Promise.all(reads)).toEqual([{}, {}]);
    expect(await Promise.all(writes)).toEqual([{ credit: FRAME_WINDOW_MAX }, { credit: FRAME_WINDOW_MAX }]);
    expect(there.node.openCount).toBe(2);
  });

  it("F28: one transfer too many is told so, and one that ends makes room", async () => {
    await using there = await stage();
    const [second, third] = [there.medium.connect(), there.medium.connect()].map((bus) => new BusDataPlane({ ...there, bus }));
    const begin = (plane = there.plane) => plane.readBlob(there.reading, RANGE);
    const most = (plane?: BusDataPlane) => Promise.all(Array.from({ length: TRANSFERS_PER_OWNER_MAX }, () => begin(plane)));
    const streams = await most();
    // A connection that takes no more leaves room for others.
    expect(await codeOf(begin())).toBe("TOO_MANY");
    streams.push(...(await most(second)));
    expect(streams).toHaveLength(TRANSFERS_PER_NODE_MAX);
    expect(await codeOf(begin(third))).toBe("TOO_MANY");
    for (const stream of streams) await stream[Symbol.asyncIterator]().return?.();
    await until(() => there.node.openCount === 0);
    await (await there.plane.readBlob(there.reading, RANGE))[Symbol.asyncIterator]().return?.();
  });

  it("a node lets a gateway go that asks for nothing more, and one that sends nothing more; nothing of its chunk counts", async () => {
    await using there = await stage();
    const stream = await there.plane.readBlob(there.reading, RANGE);
    const gate = Promise.withResolvers<void>();
    const body = (async function* () {
      yield someBytes(1_000);
      await gate.promise;
    })();
    const storing = failureOf(there.plane.storeChunk(there.writing, { ...chunkOf(BYTES), bytes: body }));
    await until(() => there.node.openCount === 2 && there.node.takenBytes > 0);
    there.bus.disconnect();
    await there.clock.advance(FRAME_CREDIT_MS_MAX);
    await until(() => there.node.openCount === 0);
    expect(there.node.chunks.size).toBe(0);
    gate.resolve();
    await storing;
    await stream[Symbol.asyncIterator]().return?.();
  });

  it("F18: a node lets a gateway go that hangs while the end of a body is withheld", async () => {
    await using there = await stage();
    const transfer = { transferId: "t1", token: there.writing.token, inbox: there.bus.inbox() };
    const asked = { ...transfer, uploadId: "upload1", index: 0, fromBytes: 0, isAtomic: true, digests: [] };
    const failed = Promise.withResolvers<string>();
    there.bus.subscribe(transfer.inbox, ({ payload }) => {
      const frame = decodeFrame(payload);
      if (frame.kind === "failure") failed.resolve(frame.error.code);
    });
    await client(there.bus, bytesOnBus, { nodeId: "node1" }).write(asked);
    const send = (frame: Frame) => there.bus.publish("troupe.v1.bytes.node1.frames.t1", encodeFrame(frame));
    send({ kind: "bytes", number: 0, bytes: someBytes(1_000) });
    await until(() => there.node.takenBytes === 1_000);
    await there.clock.advance(GATEWAY_SILENCE_MS_MAX - 1);
    // It was there a moment ago.
    send({ kind: "waiting" });
    await there.clock.advance(GATEWAY_SILENCE_MS_MAX - 1);
    expect(there.node.openCount).toBe(1);
    await there.clock.advance(1);
    expect(await failed.promise).toBe("DEADLINE_EXCEEDED");
    await until(() => there.node.openCount === 0);
    expect(there.node.chunks.size).toBe(0);
  });

  it("a range that its node ends early is broken off", async () => {
    await using there = await stage();
    there.node.blobs.set(BLOB.path, BYTES.subarray(0, BYTES.length - 1));
    const { bytes, error } = await collectUntilError(await there.plane.readBlob(there.reading, RANGE));
    expect(bytes).toHaveLength(BYTES.length - 1);
    expect(error).toMatchObject({ code: "HOST_UNAVAILABLE" });
  });

  it("a reader that is slow is waited for", async () => {
    await using there = await stage();
    const stream = (await there.plane.readBlob(there.reading, RANGE))[Symbol.asyncIterator]();
    let received = 0;
    for (let result = await stream.next(); result.done !== true; result = await stream.next()) {
      received += result.value.length;
      if (received < 3 * FRAME_BYTES_MAX) await there.clock.advance(DATA_SILENCE_MS_MAX + 1_000);
    }
    expect(received).toBe(BYTES.length);
  });

  it("a node that stops ends its transfers, and says that it is stopping", async () => {
    await using there = await stage();
    const stream = await there.plane.readBlob(there.reading, RANGE);
    const gate = Promise.withResolvers<void>();
    there.node.beforeBlock = () => gate.promise;
    const storing = codeOf(there.plane.storeChunk(there.writing, chunkOf(BYTES)));
    await until(() => there.node.takenBytes > 0);
    const stopped = there.served.stop();
    gate.resolve();
    await stopped;
    expect(await storing).toBe("STOPPING");
    expect((await collectUntilError(stream)).error).toBeInstanceOf(Error);
    expect(there.node.openCount).toBe(0);
  });

  it("a node that has started anew tells whoever still sends it frames", async () => {
    await using there = await stage();
    const gate = Promise.withResolvers<void>();
    const body = (async function* () {
      yield someBytes(1_000);
      await gate.promise;
      yield someBytes(1_000);
    })();
    const storing = failureOf(there.plane.storeChunk(there.writing, { ...chunkOf(BYTES), bytes: body }));
    await until(() => there.node.takenBytes > 0);
    there.nodeBus.disconnect();
    const tokens = new TokenMint(there.clock, there.random);
    const anew = await serveBytesOnBus(there.medium.connect(), new MemoryNode(), tokens, { ...there, log: SILENT_LOG });
    gate.resolve();
    expect(await storing).toMatchObject({ code: "HOST_UNAVAILABLE" });
    await anew.stop();
  });

  it("goes on between users who may hear no other inbox than their own", async () => {
    const both = `authorization { users: [
      { user: gateway, password: g, permissions: {
        publish: ["troupe.v1.bytes.*.read", "troupe.v1.bytes.*.write", "troupe.v1.bytes.*.frames.*"], subscribe: ["_INBOX_gateway.>"] } }
      { user: storage, password: s, permissions: {
        publish: ["_INBOX_gateway.>"], subscribe: ["troupe.v1.bytes.*.*", "troupe.v1.bytes.*.frames.*", "_INBOX_storage.>"] } } ] }`;
    await using limited = await startTestNats({ configuration: both });
    const connect = (user: string, password: string) =>
      connectNats({
        servers: [limited.url],
        user,
        password,
        name: user,
        inboxPrefix: `_INBOX_${user}`,
        clock: new SystemClock(),
        log: SILENT_LOG,
      });
    const [nodeBus, bus] = [await connect("storage", "s"), await connect("gateway", "g")];
    const clock = new SystemClock();
    const random = new SeededRandom(5);
    const node = new MemoryNode();
    node.blobs.set(BLOB.path, BYTES);
    const tokens = new TokenMint(clock, random);
    const served = await serveBytesOnBus(nodeBus, node, tokens, { clock, random, log: SILENT_LOG });
    const plane = new BusDataPlane({ bus, clock, random });
    const token = tokens.mint({ kind: "read", ...BLOB, sizeBytes: BYTES.length });
    const { bytes, error } = await collectUntilError(await plane.readBlob({ nodeId: "node1", token }, RANGE));
    expect(error).toBeUndefined();
    expect(bytes.equals(BYTES)).toBe(true);
    const write = tokens.mint({ kind: "write", uploadId: "upload1" });
    expect(await plane.storeChunk({ nodeId: "node1", token: write }, chunkOf(BYTES))).toMatchObject({ isNew: true });
    await served.stop();
    await bus.disconnect();
    await nodeBus.disconnect();
  });
});
