/** The loopback bus: the conformance suite, and what only it promises. */
import { describe, expect, it } from "vitest";
import { LoopbackBus, LoopbackMedium } from "../../src/bus/loopback.ts";
import type { Clock } from "../../src/core/ports/clock.ts";
import { describeBus } from "../contract/bus.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const EMPTY = new Uint8Array();

describeBus("loopback", async () => {
  const clock = new VirtualClock();
  const medium = new LoopbackMedium({ clock, random: new SeededRandom(7) });
  const connections: LoopbackBus[] = [];
  return {
    connect: async () => {
      const bus = medium.connect({ onError: () => undefined });
      connections.push(bus);
      return bus;
    },
    pass: (timeMs) => clock.advance(timeMs),
    close: async () => {
      for (const bus of connections) bus.disconnect();
      expect(medium.receiverCount).toBe(0);
    },
  };
});

describe("the loopback bus alone", () => {
  it("leaves neither a timer nor an inbox behind a request that was answered, given up or refused", async () => {
    const clock = new VirtualClock();
    const medium = new LoopbackMedium({ clock, random: new SeededRandom(1) });
    const bus = medium.connect();
    bus.subscribe("a.echo", (message) => bus.publish(message.reply ?? "", message.payload));
    bus.subscribe("a.silent", () => undefined);
    const controller = new AbortController();
    const settled = Promise.allSettled([
      bus.request("a.echo", EMPTY, { timeoutMs: 1_000 }),
      bus.request("a.silent", EMPTY, { timeoutMs: 1_000, signal: controller.signal }),
      bus.request("a.nobody", EMPTY, { timeoutMs: 1_000 }),
      bus.request("a.large", new Uint8Array(bus.payloadBytesMax + 1), { timeoutMs: 1_000 }),
    ]);
    controller.abort();
    await settled;
    expect(clock.timerCount).toBe(0);
    expect(medium.receiverCount).toBe(2);
  });

  it("tells what a handler threw, with its subject", async () => {
    const errors: [unknown, string][] = [];
    const bus = new LoopbackBus({
      clock: new VirtualClock(),
      random: new SeededRandom(1),
      onError: (error, subject) => errors.push([error, subject]),
    });
    const failure = new Error("thrown by the test");
    const done = Promise.withResolvers<void>();
    bus.subscribe("a.b", (message) => {
      if (message.payload.length === 0) throw failure;
      done.resolve();
    });
    bus.publish("a.b", EMPTY);
    bus.publish("a.b", new Uint8Array(1));
    await done.promise;
    expect(errors).toEqual([[failure, "a.b"]]);
  });

  it("loses waiting messages and ends open requests when a connection breaks", async () => {
    const medium = new LoopbackMedium({ clock: new VirtualClock(), random: new SeededRandom(1) });
    const broken = medium.connect();
    const other = medium.connect();
    const heard: string[] = [];
    broken.subscribe("a.b", (message) => void heard.push(message.subject));
    other.subscribe("a.silent", () => undefined);
    other.publish("a.b", EMPTY);
    const open = broken.request("a.silent", EMPTY, { timeoutMs: 1_000 }).catch((error: unknown) => error);
    broken.disconnect();
    expect(await open).toMatchObject({ code: "BUS_UNAVAILABLE" });
    await expect(other.request("a.b", EMPTY, { timeoutMs: 1_000 })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(heard).toEqual([]);
  });

  it("lets timers and sockets have their turn while two handlers keep each other busy", async () => {
    // A clock that moves with every look and fires timers from the event loop, as a real one does.
    let nowMs = 0;
    const clock: Clock = {
      nowMs: () => (nowMs += 0.1),
      wallMs: () => nowMs,
      setTimer(_delayMs, callback) {
        const handle = setImmediate(callback);
        return { cancel: () => clearImmediate(handle) };
      },
    };
    const bus = new LoopbackBus({ clock, random: new SeededRandom(1) });
    let rallies = 0;
    const hit = (subject: string) => (): void => {
      rallies += 1;
      bus.publish(subject, EMPTY);
    };
    bus.subscribe("table.left", hit("table.right"));
    bus.subscribe("table.right", hit("table.left"));
    bus.publish("table.left", EMPTY);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    bus.disconnect();
    expect(rallies).toBeGreaterThan(100);
  });

  it("delivers to one of 20,000 subscriptions, and to no other", () => {
    const medium = new LoopbackMedium({ clock: new VirtualClock(), random: new SeededRandom(1) });
    const visited: string[] = [];
    for (let index = 0; index < 20_000; index += 1) {
      const subject = `troupe.v1.upload.session${index}.*`;
      medium.add(subject, { queue: "upload", deliver: () => void visited.push(subject) });
    }
    for (let index = 0; index < 2_000; index += 1)
      medium.route({ subject: "troupe.v1.upload.session19999.merge", headers: {}, payload: EMPTY });
    expect(visited).toHaveLength(2_000);
    expect(new Set(visited)).toEqual(new Set(["troupe.v1.upload.session19999.*"]));
  });
});
