/** The bus over NATS while its server is away, restarts, or stands still. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, expect, it, vi } from "vitest";
import type { NatsBus } from "../../src/bus/nats.ts";
import { BUS_GOODBYE_MS, BUS_UNCONFIRMED_BYTES_MAX, BUS_WAITING_REQUESTS_MAX, STOP_MS_MAX } from "../../src/core/limits.ts";
import { startTestNats } from "../support/nats-server.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { Connections, codeThrown, SEEN_WITHIN, text } from "./nats-rig.ts";
import { ending } from "./theatre.ts";

const EMPTY = new Uint8Array();

/** Both have noticed that the server is gone. */
async function noticed(...buses: NatsBus[]): Promise<void> {
  for (const bus of buses)
    await vi.waitFor(() => expect(codeThrown(() => bus.publish("test.x", EMPTY))).toBe("BUS_UNAVAILABLE"), SEEN_WITHIN);
}

describe("the NATS bus and its server", () => {
  it("F10: a restarted server costs requests time and no error, and subscriptions hear again", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const host = await connections.connect();
    const caller = await connections.connect();
    const heard: string[] = [];
    host.subscribe("test.echo", (message) => host.publish(message.reply ?? "", message.payload), { queue: "hosts" });
    host.subscribe("test.heard", (message) => void heard.push(message.subject));
    await host.flush();
    await server.kill();
    await noticed(host, caller);
    const waiting = Array.from({ length: 20 }, (_, index) => caller.request("test.echo", text(`${index}`), { timeoutMs: 15_000 }));
    const many = caller.requestMany("test.echo", text("many"), { timeoutMs: 15_000, repliesMax: 1 });
    await server.restart();
    const answers = await Promise.all(waiting);
    expect(answers.map(({ payload }) => new TextDecoder().decode(payload))).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`));
    expect(await many).toHaveLength(1);
    caller.publish("test.heard", EMPTY);
    await vi.waitFor(() => expect(heard).toHaveLength(1), SEEN_WITHIN);
    // One line for each connection when it is lost, and one when it is back.
    expect(connections.said("warn")).toHaveLength(2);
    expect(connections.said("info")).toEqual(["The bus is connected to again.", "The bus is connected to again."]);
    expect(connections.said("error")).toEqual([]);
  });

  it("F10: requests that are on their way end at once when the connection breaks", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const host = await connections.connect();
    const caller = await connections.connect();
    const asked = Promise.withResolvers<void>();
    host.subscribe("test.silent", () => asked.resolve());
    await host.flush();
    const open = ending(caller.request("test.silent", EMPTY, { timeoutMs: 600_000 }));
    const many = ending(caller.requestMany("test.silent", EMPTY, { timeoutMs: 600_000 }));
    await asked.promise;
    const flushed = ending(caller.flush());
    await server.kill();
    expect([await open, await many]).toEqual(["BUS_UNAVAILABLE", "BUS_UNAVAILABLE"]);
    await flushed;
    await noticed(caller);
    expect(await ending(caller.flush())).toBe("BUS_UNAVAILABLE");
  });

  it("F10: nothing is kept for a server that is away, and only so many requests wait for it", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect();
    const other = await connections.connect();
    await server.kill();
    await noticed(bus, other);
    // Malformed is malformed, whether the server is there or not.
    expect(await ending(bus.request("a b", EMPTY, { timeoutMs: 600_000 }))).toBe("BAD_IDENTITY");
    expect(await ending(bus.request("test.x", EMPTY, { timeoutMs: 50 }))).toBe("BUS_UNAVAILABLE");
    const controller = new AbortController();
    const cancelled = ending(bus.request("test.x", EMPTY, { timeoutMs: 600_000, signal: controller.signal }));
    controller.abort();
    expect(await cancelled).toBe("CANCELLED");
    const waiting = Array.from({ length: BUS_WAITING_REQUESTS_MAX }, () => ending(bus.request("test.x", EMPTY, { timeoutMs: 600_000 })));
    expect(await ending(bus.request("test.x", EMPTY, { timeoutMs: 600_000 }))).toBe("BUS_UNAVAILABLE");
    const large = new Uint8Array(512 * 1024);
    const largeWaiting = Array.from({ length: BUS_UNCONFIRMED_BYTES_MAX / large.length }, () =>
      ending(other.request("test.x", large, { timeoutMs: 600_000 })),
    );
    expect(await ending(other.request("test.x", large, { timeoutMs: 600_000 }))).toBe("BUS_UNAVAILABLE");
    await bus.disconnect();
    await other.disconnect();
    expect(new Set(await Promise.all([...waiting, ...largeWaiting]))).toEqual(new Set(["BUS_UNAVAILABLE"]));
  });

  it("F10: a server that stands still is handed a bounded number of bytes, given up, and taken back", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect();
    const heard: number[] = [];
    bus.subscribe("test.large", (message) => void heard.push(message.payload.length));
    bus.subscribe("test.echo", (message) => bus.publish(message.reply ?? "", message.payload));
    await bus.flush();
    await server.pause();
    const body = new Uint8Array(512 * 1024);
    let sent = 0;
    while (sent < 1_000 && codeThrown(() => bus.publish("test.large", body)) === "nothing was thrown") sent += 1;
    expect(sent * body.length).toBeLessThanOrEqual(BUS_UNCONFIRMED_BYTES_MAX);
    expect(sent * body.length).toBeGreaterThan(BUS_UNCONFIRMED_BYTES_MAX / 2);
    expect(await ending(bus.request("test.large", body, { timeoutMs: 600_000 }))).toBe("BUS_UNAVAILABLE");
    const open = bus.request("test.nobody", EMPTY, { timeoutMs: 600_000 }).catch((error: unknown) => error);
    // Long before its own time, which is longer than this test's.
    expect(await open).toMatchObject({ code: "BUS_UNAVAILABLE" });
    server.resume();
    expect(await ending(bus.request("test.echo", EMPTY, { timeoutMs: 15_000 }))).toBe("ok");
    heard.length = 0;
    bus.publish("test.large", body);
    await vi.waitFor(() => expect(heard).toEqual([body.length]), SEEN_WITHIN);
  });

  it("takes far more than the bound from a publisher that lets the server confirm", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect();
    const body = new Uint8Array(1024 * 1024 - 1_024);
    for (let bytes = 0; bytes < 3 * BUS_UNCONFIRMED_BYTES_MAX; bytes += 16 * body.length) {
      for (let index = 0; index < 16; index += 1) bus.publish("test.nobody", body);
      await bus.flush();
    }
  });

  it("a drain does not wait for a server that stands still", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect();
    bus.subscribe("test.x", () => undefined);
    await bus.flush();
    await server.pause();
    await bus.drain();
    expect(codeThrown(() => bus.publish("test.x", EMPTY))).toBe("BUS_UNAVAILABLE");
  });

  it("a server that let one connection wait in vain gets no time from another, and some again when a stop would be over", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const clock = new VirtualClock();
    const patience = { ranOutMs: Number.NEGATIVE_INFINITY };
    const connect = (): Promise<NatsBus> => connections.connect({ clock, patience });
    const [first, second, third] = [await connect(), await connect(), await connect()];
    await server.pause();
    const drained = first.drain();
    await clock.advance(BUS_GOODBYE_MS);
    await drained;
    const drainedToo = second.drain();
    await clock.advance(0);
    await drainedToo;
    await clock.advance(STOP_MS_MAX);
    let isDrained = false;
    const drainedLater = third.drain().then(() => {
      isDrained = true;
    });
    await clock.advance(BUS_GOODBYE_MS - 1);
    expect(isDrained).toBe(false);
    await clock.advance(1);
    await drainedLater;
  });

  it("a drain ends also while the server is away, and nothing connects afterwards", async () => {
    await using server = await startTestNats({ monitored: true });
    await using connections = new Connections(server);
    const bus = await connections.connect();
    bus.subscribe("test.x", () => undefined);
    await bus.flush();
    await server.kill();
    await noticed(bus);
    await bus.drain();
    await server.restart();
    await using others = new Connections(server);
    await others.connect({ name: "tester/two" });
    const { connections: shown } = (await (await fetch(`${server.monitorUrl}/connz`)).json()) as { connections: { name: string }[] };
    expect(shown.map(({ name }) => name)).toEqual(["tester/two"]);
  });

  it("a connection that is closed takes back an attempt to connect that is under way", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const bus = await connections.connect();
    await server.kill();
    await noticed(bus);
    const accepted = Promise.withResolvers<Socket>();
    const mute = createServer((socket) => accepted.resolve(socket));
    await new Promise<void>((resolve) => mute.listen(server.port, "127.0.0.1", resolve));
    const socket = await accepted.promise;
    const ended = once(socket.resume(), "close");
    await bus.disconnect();
    await ended;
    mute.close();
  });
});
