/** The bus of the world: the conformance suite, what it does about outages, and what each of its faults does. */
import { describe, expect, it } from "vitest";
import { TroupeError } from "../../../src/core/errors.ts";
import { BUS_GATHER_MS, BUS_WAITING_REQUESTS_MAX } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { BusMessage } from "../../../src/core/ports/bus.ts";
import { describeBus } from "../../contract/bus.ts";
import { PassingTime } from "../passing-time.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import type { SimulatedBus } from "./simulated-bus.ts";
import { SimulatedBusServer } from "./simulated-bus-server.ts";

const EMPTY = new Uint8Array();
const log = SILENT_LOG;

describeBus("simulated", async () => {
  const world = new World(7);
  const server = new SimulatedBusServer(world);
  const buses: SimulatedBus[] = [];
  const time = new PassingTime(world);
  const standStill = time.flow();
  return {
    connect: async () => {
      const bus = await server.connect(new SimulatedProcess(world, `tester${buses.length}`, 1), { log });
      buses.push(bus);
      return bus;
    },
    pass: (timeMs) => time.pass(timeMs),
    async close() {
      for (const bus of buses) await bus.disconnect();
      await standStill();
    },
  };
});

/** A world with a bus, and processes on it. */
class Stage {
  readonly world: World;
  readonly server: SimulatedBusServer;
  readonly lines: string[] = [];

  constructor(seed = 1) {
    this.world = new World(seed, (line) => this.lines.push(line));
    this.server = new SimulatedBusServer(this.world);
  }

  async connect(name: string, life = 1): Promise<SimulatedBus> {
    const connecting = this.server.connect(new SimulatedProcess(this.world, name, life), { log });
    await this.pass(20);
    return await connecting;
  }

  async pass(timeMs: number): Promise<void> {
    await this.world.scheduler.runUntil(this.world.nowMs + timeMs);
  }

  counted(fault: string): number {
    return this.world.counts.of(`fault.bus.${fault}`);
  }
}

/** How a promise ended, once it has. */
interface Ending {
  code: string;
  atMs: number;
}

function ending(stage: Stage, promise: Promise<unknown>): Ending {
  const ended: Ending = { code: "open", atMs: Number.NaN };
  const end = (code: string): void => {
    ended.code = code;
    ended.atMs = stage.world.nowMs;
  };
  promise.then(
    () => end("ok"),
    (error: unknown) => end(error instanceof TroupeError ? error.code : String(error)),
  );
  return ended;
}

const echo =
  (bus: SimulatedBus) =>
  ({ reply, payload }: BusMessage): void =>
    bus.publish(reply ?? "", payload);

function codeThrown(work: () => void): string {
  try {
    work();
    return "nothing was thrown";
  } catch (error) {
    return error instanceof TroupeError ? error.code : String(error);
  }
}

describe("the simulated bus", () => {
  it("has a request answered within milliseconds, in one event a message", async () => {
    const stage = new Stage();
    const [host, caller] = [await stage.connect("host"), await stage.connect("caller")];
    host.subscribe("a.echo", echo(host), { queue: "hosts" });
    await stage.pass(5);
    const before = stage.world.scheduler.eventCount;
    const [atMs, asked] = [stage.world.nowMs, ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 1_000 }))];
    await stage.pass(10);
    expect(asked.code).toBe("ok");
    expect(asked.atMs - atMs).toBeGreaterThan(0.8);
    expect(asked.atMs - atMs).toBeLessThan(5);
    expect(stage.world.scheduler.eventCount - before).toBe(2);
  });

  it("does the same in two worlds of one seed, and something else in another's", async () => {
    const run = async (seed: number): Promise<[string, readonly string[]]> => {
      const stage = new Stage(seed);
      const buses = [await stage.connect("one"), await stage.connect("two"), await stage.connect("three")];
      for (const bus of buses) bus.subscribe("a.echo", echo(bus), { queue: "hosts" });
      stage.server.wayOf("two").up.add({ kind: "loss", probability: 0.3, leastMs: 0, mostMs: 0 });
      await stage.pass(5);
      for (let index = 0; index < 50; index += 1)
        ending(stage, (buses[index % 3] as SimulatedBus).request("a.echo", EMPTY, { timeoutMs: 100 }));
      await stage.pass(20);
      stage.server.goAway();
      await stage.pass(1_000);
      stage.server.comeBack();
      await stage.pass(5_000);
      return [stage.world.trace.hash, stage.lines];
    };
    const [first, again, other] = [await run(5), await run(5), await run(6)];
    expect(again).toEqual(first);
    expect(other[0]).not.toBe(first[0]);
  });

  it("draws inboxes that are the same in each run of a seed, and nobody else's", async () => {
    const inboxes = async (): Promise<string[]> => {
      const stage = new Stage();
      const buses = [await stage.connect("one"), await stage.connect("two"), await stage.connect("two", 2)];
      return buses.map((bus) => bus.inbox());
    };
    const drawn = await inboxes();
    expect(new Set(drawn).size).toBe(3);
    expect(await inboxes()).toEqual(drawn);
  });

  it("tells what is sent, by whom, also what is lost", async () => {
    const stage = new Stage();
    const bus = await stage.connect("one", 3);
    const sent: unknown[] = [];
    stage.server.onSent(({ payload, ...message }) => sent.push({ ...message, bytes: payload.length }));
    stage.server.wayOf("one").up.add({ kind: "loss", probability: 1, leastMs: 0, mostMs: 0 });
    bus.publish("a.b", new Uint8Array(3), { reply: "a.c", headers: { "x-one": "1" } });
    bus.publish("a.d", EMPTY);
    expect(sent).toEqual([
      { life: "one#3", subject: "a.b", reply: "a.c", headers: { "x-one": "1" }, bytes: 3 },
      { life: "one#3", subject: "a.d", reply: undefined, headers: {}, bytes: 0 },
    ]);
  });

  it("tells also what is refused, because there is no connection", async () => {
    const stage = new Stage();
    const bus = await stage.connect("one");
    const sent: string[] = [];
    stage.server.onSent(({ subject }) => sent.push(subject));
    stage.server.goAway();
    await stage.pass(5);
    expect(codeThrown(() => bus.publish("a.b", EMPTY))).toBe("BUS_UNAVAILABLE");
    expect(sent).toEqual(["a.b"]);
  });

  it("a subscription is heard from when the server knows of it", async () => {
    const stage = new Stage();
    const [one, other] = [await stage.connect("one"), await stage.connect("other")];
    const heard: string[] = [];
    for (let index = 0; index < 50; index += 1) {
      one.subscribe(`a.${index}`, ({ subject }) => void heard.push(subject));
      other.publish(`a.${index}`, EMPTY);
      one.publish(`a.${index}`, EMPTY);
      await stage.pass(10);
    }
    // What it says itself comes after the subscription; what another says at the same moment may come before.
    expect(new Set(heard).size).toBe(50);
    expect(heard.length).toBeGreaterThan(60);
    expect(heard.length).toBeLessThan(90);
  });

  it("a subscription that is drained when the connection breaks ends at once", async () => {
    const stage = new Stage();
    const bus = await stage.connect("one");
    const subscription = bus.subscribe("a.b", () => undefined);
    await stage.pass(5);
    const drained = ending(stage, subscription.drain());
    stage.server.goAway();
    await stage.pass(5);
    expect(drained.code).toBe("ok");
  });

  it("F10: an outage costs requests time and no error; those on their way end at once, and nothing is kept", async () => {
    const stage = new Stage();
    const [host, caller] = [await stage.connect("host"), await stage.connect("caller")];
    host.subscribe("a.echo", echo(host), { queue: "hosts" });
    host.subscribe("a.silent", () => undefined);
    await stage.pass(5);
    const onItsWay = ending(stage, caller.request("a.silent", EMPTY, { timeoutMs: 60_000 }));
    await stage.pass(5);
    const lostMs = stage.world.nowMs;
    stage.server.goAway();
    await stage.pass(5);
    expect(onItsWay.code).toBe("BUS_UNAVAILABLE");
    expect(onItsWay.atMs - lostMs).toBeLessThan(2);
    expect(codeThrown(() => caller.publish("a.echo", EMPTY))).toBe("BUS_UNAVAILABLE");
    const waiting = Array.from({ length: BUS_WAITING_REQUESTS_MAX }, () =>
      ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 30_000 })),
    );
    const tooMany = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 30_000 }));
    await stage.pass(10_000);
    expect(tooMany.code).toBe("BUS_UNAVAILABLE");
    stage.server.comeBack();
    await stage.pass(5_000);
    expect(new Set(waiting.map(({ code }) => code))).toEqual(new Set(["ok"]));
    expect(stage.server.probe()).toMatchObject([
      { process: "caller", connections: 1, subscriptions: 1, openRequests: 0, waitingMessages: 0, waitingBytes: 0 },
      { process: "host", connections: 1, subscriptions: 3 },
    ]);
  });

  it("says after an outage for some time that those who listen may not be back yet", async () => {
    const stage = new Stage();
    const caller = await stage.connect("caller");
    stage.server.goAway();
    await stage.pass(10);
    stage.server.comeBack();
    await stage.pass(1_200);
    const asked = caller.request("a.nobody", EMPTY, { timeoutMs: 500 }).catch((error: unknown) => error);
    await stage.pass(1_000);
    expect(await asked).toMatchObject({ code: "UNAVAILABLE", facts: { noResponders: true, away: true } });
    await stage.pass(BUS_GATHER_MS);
    const later = caller.request("a.nobody", EMPTY, { timeoutMs: 500 }).catch((error: unknown) => error);
    await stage.pass(10);
    expect(await later).toMatchObject({ code: "UNAVAILABLE", facts: { noResponders: true } });
  });

  it("F10: a server that stands still is given up, and taken back", async () => {
    const stage = new Stage();
    const [host, caller] = [await stage.connect("host"), await stage.connect("caller")];
    host.subscribe("a.echo", echo(host));
    await stage.pass(5);
    stage.server.standStill();
    const short = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 2_000 }));
    const long = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 60_000 }));
    await stage.pass(15_000);
    expect([short.code, long.code]).toEqual(["DEADLINE_EXCEEDED", "BUS_UNAVAILABLE"]);
    stage.server.goOn();
    await stage.pass(10_000);
    const back = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 1_000 }));
    await stage.pass(1_000);
    expect(back.code).toBe("ok");
    expect(stage.counted("away")).toBeGreaterThan(0);
  });

  it("knows at once that a killed process is gone, and only by its pings that a machine is", async () => {
    for (const death of ["killed", "power"] as const) {
      const stage = new Stage();
      const [host, caller] = [await stage.connect("host"), await stage.connect("caller")];
      host.subscribe("a.echo", echo(host));
      await stage.pass(5);
      host.process.die(death);
      await stage.pass(2);
      const first = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 1_000 }));
      await stage.pass(1_100);
      expect(first.code).toBe(death === "killed" ? "UNAVAILABLE" : "DEADLINE_EXCEEDED");
      await stage.pass(15_000);
      const second = ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 1_000 }));
      await stage.pass(1_100);
      expect(second.code).toBe("UNAVAILABLE");
    }
  });

  it("forgets what a machine had before it came back, with the first message that finds out", async () => {
    const stage = new Stage();
    const [before, caller] = [await stage.connect("host"), await stage.connect("caller")];
    before.subscribe("a.echo", echo(before), { queue: "host" });
    await stage.pass(5);
    before.process.die("power");
    const after = await stage.connect("host", 2);
    after.subscribe("a.echo", echo(after), { queue: "host" });
    await stage.pass(5);
    const asked = Array.from({ length: 40 }, () => ending(stage, caller.request("a.echo", EMPTY, { timeoutMs: 500 })));
    await stage.pass(1_000);
    const codes = asked.map(({ code }) => code);
    expect(codes.filter((code) => code === "DEADLINE_EXCEEDED")).toHaveLength(1);
    expect(codes.filter((code) => code === "ok")).toHaveLength(39);
  });

  it("keeps the messages of a process that is paused, and gives it up when that lasts", async () => {
    for (const pauseMs of [4_000, 30_000]) {
      const stage = new Stage();
      const [host, caller] = [await stage.connect("host"), await stage.connect("caller")];
      const heard: string[] = [];
      host.subscribe("a.*", ({ subject }) => void heard.push(subject));
      await stage.pass(5);
      host.process.pause(pauseMs);
      caller.publish("a.first", EMPTY);
      await stage.pass(20_000);
      caller.publish("a.second", EMPTY);
      await stage.pass(pauseMs);
      caller.publish("a.third", EMPTY);
      await stage.pass(100);
      expect(heard).toEqual(pauseMs < 10_000 ? ["a.first", "a.second", "a.third"] : ["a.third"]);
    }
  });

  it("what a process sent before it was killed arrives; of a machine that lost power, what had left it", async () => {
    for (const [death, count] of [
      ["killed", 1],
      ["power", 0],
    ] as const) {
      const stage = new Stage();
      const [sender, other] = [await stage.connect("sender"), await stage.connect("other")];
      const heard: string[] = [];
      other.subscribe("a.last", ({ subject }) => void heard.push(subject));
      await stage.pass(5);
      sender.publish("a.last", EMPTY);
      sender.process.die(death);
      await stage.pass(10);
      expect(heard).toHaveLength(count);
    }
  });

  it("a connection that cannot be made is refused, at once or after a time", async () => {
    const stage = new Stage();
    stage.server.goAway();
    const refused = ending(stage, stage.server.connect(new SimulatedProcess(stage.world, "one", 1), { log }));
    await stage.pass(10);
    expect(refused.code).toBe("BUS_UNAVAILABLE");
    stage.server.comeBack();
    stage.server.standStill();
    const silent = ending(stage, stage.server.connect(new SimulatedProcess(stage.world, "one", 2), { log }));
    await stage.pass(10);
    expect(silent.code).toBe("open");
    await stage.pass(10_000);
    expect(silent.code).toBe("BUS_UNAVAILABLE");
  });
});
