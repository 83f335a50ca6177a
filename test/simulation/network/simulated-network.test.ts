/** What becomes of exchanges when processes die, pause and come back; and that it becomes the same with the same seed. */
import { describe, expect, it } from "vitest";
import { CONNECT_TIMEOUT_MS, SLOW_BODY_WINDOW_MS, SLOW_READER_TIMEOUT_MS } from "../../../src/core/limits.ts";
import type { HttpClient, HttpHandler, HttpRequest } from "../../../src/core/ports/http-exchange.ts";
import { collect, collectUntilError } from "../../contract/data-plane.ts";
import { NetworkStage, PORT } from "./network-rig.ts";
import { WINDOW_BYTES } from "./segment.ts";

const URL_OF = (name: string): string => `http://${name}:${PORT}`;
const QUIET_MS = 5_000;
const echo: HttpHandler = async ({ body }) => ({ status: 200, headers: {}, body: await collect(body) });
const silent: HttpHandler = () => new Promise(() => undefined);

async function put(http: HttpClient, name: string, body: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<string> {
  return (await collect((await http.exchange({ method: "PUT", url: URL_OF(name), body })).body)).toString();
}

/** Its bytes wait for each other. */
async function* halfOf(body: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(body);
  await new Promise(() => undefined);
}

describe("a process that is gone", () => {
  it("is refused at once when it was killed, and its next life answers at the same address", async () => {
    const stage = new NetworkStage();
    const first = await stage.serve("gateway1", echo);
    const http = stage.network.client(stage.process("client1"));
    first.die("killed");
    const refused = stage.watch(put(http, "gateway1", "a"));
    await stage.pass(10);
    expect(refused.error).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    await stage.serve("gateway1", echo);
    const answered = stage.watch(put(http, "gateway1", "a"));
    await stage.pass(10);
    expect(answered.value).toBe("a");
  });

  it("is refused under a name that nobody has", async () => {
    const stage = new NetworkStage();
    const refused = stage.watch(put(stage.network.client(stage.process("client1")), "nobody", "a"));
    await stage.pass(10);
    expect(refused.error).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
  });

  it("does not answer at all when its power is off: connecting is given up in time", async () => {
    const stage = new NetworkStage();
    (await stage.serve("gateway1", echo)).die("power");
    const beganMs = stage.world.nowMs;
    const silence = stage.watch(put(stage.network.client(stage.process("client1")), "gateway1", "a"));
    await stage.pass(CONNECT_TIMEOUT_MS + 1);
    expect(silence.error).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    expect((silence.atMs ?? 0) - beganMs).toBeCloseTo(CONNECT_TIMEOUT_MS, 3);
  });

  it("is reached by an attempt that is repeated, when it comes back in time", async () => {
    const stage = new NetworkStage();
    (await stage.serve("gateway1", echo)).die("power");
    const answered = stage.watch(put(stage.network.client(stage.process("client1")), "gateway1", "a"));
    await stage.pass(500);
    await stage.serve("gateway1", echo);
    await stage.pass(600);
    expect(answered.value).toBe("a");
  });

  it("F1: breaks off what it was asked when it is killed, and that is no missing connection", async () => {
    const stage = new NetworkStage();
    const gateway = await stage.serve("gateway1", silent);
    const asked = stage.watch(put(stage.network.client(stage.process("client1")), "gateway1", "a"));
    await stage.pass(100);
    gateway.die("killed");
    await stage.pass(10);
    expect(asked.error).toMatchObject({ code: "UNAVAILABLE", facts: {} });
  });

  it("F1: has sent what it wrote before it was killed, and never the end of it", async () => {
    const stage = new NetworkStage();
    const gateway = await stage.serve("gateway1", async () => ({ status: 200, headers: {}, body: halfOf("first") }));
    const http = stage.network.client(stage.process("client1"));
    const read = stage.watch(http.exchange({ method: "GET", url: URL_OF("gateway1") }).then(({ body }) => collectUntilError(body)));
    await stage.pass(100);
    gateway.die("killed");
    await stage.pass(10);
    expect(read.value?.bytes.toString()).toBe("first");
    expect(read.value?.error).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("F6: leaves its connections hanging when it loses its power; they break when the machine is back and something is sent", async () => {
    const stage = new NetworkStage();
    const gateway = await stage.serve("gateway1", silent);
    const http = stage.network.client(stage.process("client1"));
    const waiting = stage.watch(put(http, "gateway1", "a"));
    let isGoingOn = false;
    const sending = stage.watch(
      put(
        http,
        "gateway1",
        (async function* () {
          yield Buffer.from("a");
          while (!isGoingOn) await new Promise<void>((resolve) => stage.world.scheduler.after(100, "asks", resolve));
          yield Buffer.from("b");
        })(),
      ),
    );
    await stage.pass(100);
    gateway.die("power");
    await stage.pass(60_000);
    await stage.serve("gateway1", echo);
    await stage.pass(10_000);
    expect([waiting, sending]).toEqual([{}, {}]);
    isGoingOn = true;
    await stage.pass(10_000);
    expect(sending.error).toMatchObject({ code: "UNAVAILABLE", facts: {} });
    // It sent nothing since, so nobody tells it.
    expect(waiting).toEqual({});
  });

  it("F6: a kept connection to a machine that lost its power costs silence until it is back, and then another try", async () => {
    const stage = new NetworkStage();
    const gateway = await stage.serve("gateway1", echo);
    const http = stage.network.client(stage.process("client1"));
    const first = stage.watch(put(http, "gateway1", "a"));
    await stage.pass(100);
    expect(first.value).toBe("a");
    gateway.die("power");
    const second = stage.watch(put(http, "gateway1", "b"));
    await stage.pass(20_000);
    expect(second).toEqual({});
    await stage.serve("gateway1", echo);
    await stage.pass(2_000);
    expect(second.value).toBe("b");
  });

  it("F18: is a client that went away when it was killed, and one that is slow when it lost its power", async () => {
    for (const [death, code, withinMs] of [
      ["killed", "CANCELLED", 10],
      ["power", "REQUEST_TIMEOUT", 2 * SLOW_BODY_WINDOW_MS],
    ] as const) {
      const stage = new NetworkStage();
      let outcome: unknown;
      let request: HttpRequest | undefined;
      await stage.serve("gateway1", async (asked) => {
        request = asked;
        outcome = (await collectUntilError(asked.body)).error;
        return { status: 400, headers: {} };
      });
      const client = stage.process("client1");
      stage.watch(put(stage.network.client(client), "gateway1", halfOf("some")));
      await stage.pass(100);
      client.die(death);
      await stage.pass(withinMs);
      expect(outcome).toMatchObject({ code });
      expect(request?.signal.aborted).toBe(death === "killed");
      await stage.pass(SLOW_READER_TIMEOUT_MS);
      expect(stage.network.probe("gateway1").answeringCount).toBe(0);
    }
  });

  it("F6: costs its server a window of bytes, and no more, when a reader loses its power", async () => {
    const stage = new NetworkStage();
    let pulledBytes = 0;
    let isLetGo = false;
    const body = (async function* () {
      try {
        for (;;) {
          await new Promise<void>((resolve) => stage.world.scheduler.after(5, "goes on", resolve));
          pulledBytes += 65_536;
          yield Buffer.alloc(65_536);
        }
      } finally {
        isLetGo = true;
      }
    })();
    await stage.serve("gateway1", async () => ({ status: 200, headers: {}, body }));
    const client = stage.process("client1");
    const http = stage.network.client(client);
    stage.watch(http.exchange({ method: "GET", url: URL_OF("gateway1") }).then((answer) => collect(answer.body)));
    await stage.pass(1_000);
    const before = pulledBytes;
    expect(before).toBeGreaterThan(2 * WINDOW_BYTES);
    client.die("power");
    await stage.pass(SLOW_READER_TIMEOUT_MS + 1_000);
    expect(isLetGo).toBe(true);
    expect(pulledBytes - before).toBeLessThan(1.5 * WINDOW_BYTES);
  });

  it("that runs on for a moment after its death sends nothing any more", async () => {
    for (const death of ["killed", "power"] as const) {
      const stage = new NetworkStage();
      let receivedBytes = 0;
      let askedCount = 0;
      await stage.serve("gateway1", async ({ body }) => {
        askedCount += 1;
        for await (const block of body) receivedBytes += block.length;
        return { status: 200, headers: {} };
      });
      const client = stage.process("client1");
      const http = stage.network.client(client);
      const body = (async function* () {
        yield Buffer.from("a");
        await new Promise<void>((resolve) => stage.world.scheduler.after(100, "dies", resolve));
        client.die(death);
        yield Buffer.from("b");
      })();
      const asked = stage.watch(put(http, "gateway1", body));
      await stage.pass(100 + QUIET_MS);
      const later = stage.watch(put(http, "gateway1", "c"));
      await stage.pass(QUIET_MS);
      expect([asked, later, receivedBytes, askedCount]).toEqual([{}, {}, 1, 1]);
    }
  });
});

describe("a process that is paused", () => {
  it("F2: has its connections, and answers when it goes on", async () => {
    const stage = new NetworkStage();
    const gateway = await stage.serve("gateway1", echo);
    gateway.pause(30_000);
    const asked = stage.watch(put(stage.network.client(stage.process("client1")), "gateway1", "a"));
    await stage.pass(29_000);
    expect(asked).toEqual({});
    await stage.pass(1_100);
    expect(asked.value).toBe("a");
  });
});

describe("the network", () => {
  it("costs two events for a small exchange on a kept connection, and a moment", async () => {
    const stage = new NetworkStage();
    await stage.serve("gateway1", echo);
    const http = stage.network.client(stage.process("client1"));
    stage.watch(put(http, "gateway1", "a"));
    await stage.pass(100);
    const before = stage.world.scheduler.eventCount;
    const beganMs = stage.world.nowMs;
    const answered = stage.watch(put(http, "gateway1", "b".repeat(10_000)));
    await stage.pass(100);
    expect(stage.world.scheduler.eventCount - before).toBe(2);
    expect((answered.atMs ?? 0) - beganMs).toBeLessThan(3);
  });

  it("says who has exchanges open, and that nobody has any in the end", async () => {
    const stage = new NetworkStage();
    const gate = Promise.withResolvers<void>();
    await stage.serve("gateway1", async () => {
      await gate.promise;
      return { status: 200, headers: {}, body: "done" };
    });
    const http = stage.network.client(stage.process("client1"));
    for (let index = 0; index < 5; index += 1) stage.watch(put(http, "gateway1", "a"));
    await stage.pass(100);
    expect(stage.network.probe("client1")).toEqual({ askedCount: 5, answeringCount: 0, connectionCount: 5 });
    expect(stage.network.probe("gateway1")).toEqual({ askedCount: 0, answeringCount: 5, connectionCount: 5 });
    gate.resolve();
    await stage.pass(100);
    expect(stage.network.probe("client1")).toEqual({ askedCount: 0, answeringCount: 0, connectionCount: 5 });
    await http.close();
    await stage.pass(100);
    for (const name of ["client1", "gateway1"])
      expect(stage.network.probe(name)).toEqual({ askedCount: 0, answeringCount: 0, connectionCount: 0 });
  });

  it("does the same with the same seed, and something else with another", async () => {
    const traceOf = async (seed: number): Promise<string> => {
      const stage = new NetworkStage(seed);
      const gateway = await stage.serve("gateway1", echo);
      for (const name of ["client1", "client2", "client3"]) {
        const http = stage.network.client(stage.process(name));
        for (let index = 0; index < 20; index += 1) stage.watch(put(http, "gateway1", Buffer.alloc(index * 40_000)));
      }
      await stage.pass(3);
      gateway.die("killed");
      await stage.pass(QUIET_MS);
      return stage.world.trace.hash;
    };
    expect(await traceOf(5)).toBe(await traceOf(5));
    expect(await traceOf(5)).not.toBe(await traceOf(6));
  });
});
