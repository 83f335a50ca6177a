/**
 * The typed client over NATS while its server is away: a request that may be repeated is asked again. The caller's time is virtual, so that
 * none passes while the driver connects again.
 */
import { describe, expect, it, vi } from "vitest";
import { client } from "../../src/bus/client.ts";
import { host } from "../../src/bus/host.ts";
import type { NatsBus } from "../../src/bus/nats.ts";
import { BUS_GATHER_MS, BUS_GATHER_PAUSE_MS, REQUEST_FIRST_TRY_PERCENT, REQUEST_TIMEOUT_DEFAULT_MS } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import { SystemClock } from "../../src/store/system-clock.ts";
import { startTestNats, type TestNats } from "../support/nats-server.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { Connections, SEEN_WITHIN } from "./nats-rig.ts";
import { chorus, ending } from "./theatre.ts";

const again = { ...chorus, requests: { ...chorus.requests, one: { ...chorus.requests.one, repeatable: true } } };
const TIMEOUT_MS = REQUEST_TIMEOUT_DEFAULT_MS;
const FIRST_MS = (TIMEOUT_MS * REQUEST_FIRST_TRY_PERCENT) / 100;

/** A caller whose time is virtual, and how often it has asked the bus. */
class Caller {
  readonly clock = new VirtualClock();
  readonly #server: TestNats;
  readonly #connections: Connections;
  #bus: NatsBus | undefined;
  asked = 0;

  constructor(server: TestNats, connections: Connections) {
    this.#server = server;
    this.#connections = connections;
  }

  get bus(): NatsBus {
    return this.#bus as NatsBus;
  }

  async connect(): Promise<void> {
    const bus = await this.#connections.connect({ clock: this.clock });
    const request = bus.request.bind(bus);
    bus.request = (...given) => {
      this.asked += 1;
      return request(...given);
    };
    this.#bus = bus;
  }

  one(): Promise<{ name: string }> {
    return client(this.bus, again).one({}, { timeoutMs: TIMEOUT_MS });
  }

  async loseServer(): Promise<void> {
    await this.#server.kill();
    await vi.waitFor(async () => expect(await ending(this.bus.flush())).toBe("BUS_UNAVAILABLE"), SEEN_WITHIN);
  }

  /** Whatever was asked before has come to the server, and what the server said of it here. */
  async heard(): Promise<void> {
    await vi.waitFor(() => this.bus.flush(), SEEN_WITHIN);
  }
}

async function hostOne(connections: Connections, name: string): Promise<void> {
  const bus = await connections.connect();
  const ports = { clock: new SystemClock(), random: new SeededRandom(1), log: SILENT_LOG };
  await host(bus, chorus, {}, ports, async () => ({ handlers: { roll: () => ({ name }), one: () => ({ name }) } }));
  await bus.flush();
}

describe("a client over NATS, of a request that may be asked twice", () => {
  it("F10: waits for a server that is away for longer than the first try", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const caller = new Caller(server, connections);
    await caller.connect();
    await caller.loseServer();
    const call = caller.one();
    await caller.clock.advance(2_500);
    expect(caller.asked).toBe(2);
    await server.restart();
    await hostOne(connections, "b");
    await caller.heard();
    // Where it asked before the host was there, it asks again after a pause.
    await caller.clock.advance(BUS_GATHER_PAUSE_MS);
    expect(await call).toEqual({ name: "b" });
    expect(caller.asked).toBe(2);
  });

  it("F10: asks again when the connection breaks while it is on its way", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const caller = new Caller(server, connections);
    await caller.connect();
    const deaf = await connections.connect();
    const taken = Promise.withResolvers<void>();
    deaf.subscribe("test.chorus.one", () => taken.resolve(), { queue: "chorus" });
    await deaf.flush();
    const call = caller.one();
    await taken.promise;
    await deaf.disconnect();
    await caller.loseServer();
    expect(caller.asked).toBe(2);
    await server.restart();
    await hostOne(connections, "b");
    await caller.heard();
    await caller.clock.advance(BUS_GATHER_PAUSE_MS);
    expect(await call).toEqual({ name: "b" });
    expect(caller.asked).toBe(2);
  });

  it("F10: waits for those who come back after its first try has ended", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const caller = new Caller(server, connections);
    await caller.connect();
    await caller.loseServer();
    await server.restart();
    await caller.heard();
    const call = caller.one();
    for (let passedMs = 0; passedMs < FIRST_MS; passedMs += BUS_GATHER_PAUSE_MS) {
      await caller.heard();
      await caller.clock.advance(BUS_GATHER_PAUSE_MS);
    }
    expect(caller.asked).toBe(2);
    await hostOne(connections, "b");
    await caller.heard();
    await caller.clock.advance(BUS_GATHER_PAUSE_MS);
    expect(await call).toEqual({ name: "b" });
  });

  it("says that nobody listens when the others had time to come back, and at once when its bus is closed", async () => {
    await using server = await startTestNats();
    await using connections = new Connections(server);
    const caller = new Caller(server, connections);
    await caller.connect();
    await caller.loseServer();
    const waiting = ending(caller.one());
    await caller.bus.disconnect();
    expect(await waiting).toBe("BUS_UNAVAILABLE");
    expect(await ending(caller.one())).toBe("BUS_UNAVAILABLE");
    expect(caller.asked).toBe(2);
    await server.restart();
    const other = new Caller(server, connections);
    await other.connect();
    await other.loseServer();
    await server.restart();
    await other.heard();
    await other.clock.advance(BUS_GATHER_MS);
    expect(await ending(other.one())).toBe("UNAVAILABLE");
    expect(other.asked).toBe(1);
  });
});
