/** What each fault of the bus does, that it is counted, and that everything works again once it is over. */
import { describe, expect, it } from "vitest";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, Topology } from "../fault.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { BUS_FAULTS } from "./faults.ts";
import type { SimulatedBus } from "./simulated-bus.ts";
import { SimulatedBusServer } from "./simulated-bus-server.ts";

const EMPTY = new Uint8Array();
const NAMES = ["one", "two", "three", "four"] as const;
const TOPOLOGY: Topology = {
  trackers: ["one"],
  allocators: ["two"],
  catalogs: ["three"],
  storages: ["four"],
  gateways: [],
  clients: [],
};
const TRAFFIC_EVERY_MS = 40;
/** Connections are made again, and messages on ways of their own have come. */
const QUIET_MS = 25_000;

interface Heard {
  readonly index: number;
  readonly atMs: number;
}

/** Four processes that ask each other all the time, each in turn. */
class Traffic {
  readonly world: World;
  readonly server: SimulatedBusServer;
  /** As far as faults of the bus look at it. */
  readonly cluster: Cluster;
  readonly buses: SimulatedBus[] = [];
  readonly endings = new Map<string, number>();
  /** What each process heard, in this order. */
  readonly heard: Heard[][] = NAMES.map(() => []);
  #asked = 0;

  constructor(seed: number) {
    this.world = new World(seed);
    this.server = new SimulatedBusServer(this.world);
    this.cluster = { world: this.world, bus: this.server } as unknown as Cluster;
  }

  get askedCount(): number {
    return this.#asked;
  }

  async begin(): Promise<void> {
    const connecting = NAMES.map((name) => this.server.connect(new SimulatedProcess(this.world, name, 1), { log: SILENT_LOG }));
    await this.pass(20);
    this.buses.push(...(await Promise.all(connecting)));
    for (const [index, bus] of this.buses.entries()) {
      bus.subscribe(`a.${NAMES[index]}`, ({ payload, reply }) => {
        this.heard[index]?.push({ index: new DataView(payload.buffer).getUint32(0), atMs: this.world.nowMs });
        // As hosts do: an answer that cannot be sent is nobody's.
        if (reply !== undefined) this.#attempt(() => bus.publish(reply, EMPTY));
      });
    }
    await this.pass(20);
  }

  async pass(timeMs: number): Promise<void> {
    await this.world.scheduler.runUntil(this.world.nowMs + timeMs);
  }

  async flow(timeMs: number): Promise<void> {
    const untilMs = this.world.nowMs + timeMs;
    while (this.world.nowMs < untilMs) {
      this.ask();
      await this.pass(TRAFFIC_EVERY_MS);
    }
  }

  /** Each asks the next. */
  ask(): void {
    for (const [index, bus] of this.buses.entries()) {
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, this.#asked++);
      const end = (how: string): void => void this.endings.set(how, (this.endings.get(how) ?? 0) + 1);
      bus.request(`a.${NAMES[(index + 1) % NAMES.length]}`, payload, { timeoutMs: 1_000 }).then(
        () => end("ok"),
        (error: { code: string }) => end(error.code),
      );
    }
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch {
      // The bus is away.
    }
  }
}

function drawn(kind: FaultKind, seed: number): Fault {
  const random = new World(seed).random.stream("plan", kind.kind);
  return { kind: kind.kind, atMs: 0, ...kind.draw(random, TOPOLOGY) };
}

const kindOf = (name: string): FaultKind => BUS_FAULTS.find(({ kind }) => kind === name) as FaultKind;

/** Traffic while the fault lasts, then quiet. */
async function under(fault: Fault, seed = 1): Promise<Traffic> {
  const traffic = new Traffic(seed);
  await traffic.begin();
  const kind = kindOf(fault.kind);
  kind.begin(traffic.cluster, fault);
  await traffic.flow(fault.forMs);
  kind.end?.(traffic.cluster, fault);
  await traffic.pass(QUIET_MS);
  return traffic;
}

const fault = (kind: string, parameters: Fault["with"], forMs = 2_000): Fault => ({ kind, atMs: 0, forMs, with: parameters });

function isRising(heard: readonly Heard[]): boolean {
  return heard.every(({ index }, at) => at === 0 || index > (heard[at - 1] as Heard).index);
}

const hasTwice = (heard: readonly Heard[]): boolean => new Set(heard.map(({ index }) => index)).size < heard.length;

describe("faults of the bus", () => {
  it.each(BUS_FAULTS.map((kind) => [kind.kind, kind] as const))(
    "%s takes effect, is counted, and everything works after it",
    async (_name, kind) => {
      let effects = 0;
      for (let seed = 1; seed <= 6; seed += 1) {
        const traffic = await under(drawn(kind, seed), seed);
        effects += traffic.world.counts.of(`fault.${kind.kind}`);
        traffic.endings.clear();
        for (let round = 0; round < 10; round += 1) traffic.ask();
        await traffic.pass(1_000);
        expect(Object.fromEntries(traffic.endings), `seed ${seed}`).toEqual({ ok: 40 });
        expect(
          traffic.server.probe().map(({ connections, openRequests, waitingMessages }) => [connections, openRequests, waitingMessages]),
        ).toEqual(NAMES.map(() => [1, 0, 0]));
      }
      expect(effects).toBeGreaterThan(0);
    },
  );

  it("the same plan goes the same way twice", async () => {
    for (const kind of BUS_FAULTS) {
      const [first, again] = [await under(drawn(kind, 3), 9), await under(drawn(kind, 3), 9)];
      expect(again.world.trace.hash, kind.kind).toBe(first.world.trace.hash);
    }
  });

  it("a fault that takes nothing away leaves the delays of everything else as they were", async () => {
    const [calm, doubled] = [
      await under(fault("bus.doubling", { process: "one", direction: "in", probability: 0, leastMs: 0, mostMs: 0 })),
      await under(fault("bus.doubling", { process: "one", direction: "in", probability: 0.5, leastMs: 0, mostMs: 5_000 })),
    ];
    expect(doubled.heard[2]).toEqual(calm.heard[2]);
    expect(hasTwice(doubled.heard[0] ?? [])).toBe(true);
  });

  it("a slow way keeps the order and makes nobody else wait", async () => {
    const traffic = await under(fault("bus.delay", { process: "one", direction: "out", probability: 1, leastMs: 200, mostMs: 900 }));
    expect(traffic.heard.every(isRising)).toBe(true);
    // Of `four`, to `one`: not slowed down, though its answers are.
    expect(traffic.heard[0]?.every(({ index, atMs }) => atMs - 40 - Math.floor(index / 4) * TRAFFIC_EVERY_MS < 5)).toBe(true);
    expect(traffic.heard[1]?.every(({ index, atMs }) => atMs - 40 - Math.floor(index / 4) * TRAFFIC_EVERY_MS > 200)).toBe(true);
  });

  it("reordering changes the order and loses nothing", async () => {
    const traffic = await under(fault("bus.reordering", { process: "one", direction: "in", probability: 0.3, leastMs: 0, mostMs: 300 }));
    expect(isRising(traffic.heard[0] ?? [])).toBe(false);
    expect(Object.fromEntries(traffic.endings)).toEqual({ ok: traffic.askedCount });
  });

  it("of lost messages, requests and answers are lost, each of one process only", async () => {
    const traffic = await under(fault("bus.loss", { process: "one", direction: "in", probability: 1, leastMs: 0, mostMs: 0 }));
    expect(traffic.heard[0]).toEqual([]);
    expect(traffic.heard[1]).toHaveLength(traffic.askedCount / 4);
    expect(Object.fromEntries(traffic.endings)).toEqual({ DEADLINE_EXCEEDED: traffic.askedCount / 2, ok: traffic.askedCount / 2 });
  });

  it("late answers come past the deadline; what was asked has been done", async () => {
    const traffic = await under(
      fault("bus.late-reply", { process: "one", direction: "in", probability: 1, leastMs: 1_500, mostMs: 3_000 }),
    );
    expect(traffic.heard[1]).toHaveLength(traffic.askedCount / 4);
    expect(traffic.endings.get("DEADLINE_EXCEEDED")).toBe(traffic.askedCount / 4);
  });

  it("whoever is told that nobody listens has not been heard", async () => {
    const traffic = await under(fault("bus.no-responders", { process: "one", direction: "out", probability: 0.5, leastMs: 0, mostMs: 0 }));
    const refused = traffic.endings.get("UNAVAILABLE") ?? 0;
    expect(refused).toBeGreaterThan(0);
    expect(traffic.heard[1]).toHaveLength(traffic.askedCount / 4 - refused);
  });

  it("a way that is cut for a moment makes everything late, and loses nothing", async () => {
    for (const direction of ["in", "out", "both"]) {
      const traffic = await under(fault("bus.cut", { process: "one", direction }, 900));
      expect(Object.fromEntries(traffic.endings), direction).toEqual({ ok: traffic.askedCount });
      expect(traffic.heard.every(isRising), direction).toBe(true);
    }
  });

  it("a way that is cut for long ends the connection on both sides, and what waited is lost", async () => {
    const traffic = await under(fault("bus.cut", { process: "one", direction: "in" }, 25_000));
    expect(traffic.endings.get("DEADLINE_EXCEEDED")).toBeGreaterThan(0);
    // Once the server has given it up.
    expect(traffic.endings.get("UNAVAILABLE")).toBeGreaterThan(0);
    // Its own requests, once it has given the server up.
    expect(traffic.endings.get("BUS_UNAVAILABLE")).toBeGreaterThan(0);
    expect(hasTwice(traffic.heard[1] ?? [])).toBe(false);
  });

  it("a partition of two stops their messages, one way or both, and nobody else's; later they do not hear of each other", async () => {
    for (const oneWay of [true, false]) {
      const traffic = await under(fault("bus.partition", { from: "two", to: "one", oneWay, noticedAfterMs: 1_000 }));
      const ofOne = traffic.askedCount / 4;
      // One way, `two` hears and its answers do not come back.
      expect(traffic.heard[1]?.length).toBe(oneWay ? ofOne : 0);
      expect(traffic.endings.get("ok")).toBe(3 * ofOne);
      expect(traffic.endings.get("UNAVAILABLE") ?? 0).toBe(oneWay ? 0 : ofOne / 2);
    }
  });

  it("a process that reads slowly loses what waits for it and its connection, once", async () => {
    const traffic = await under(fault("bus.slow-consumer", { process: "one", messages: 3 }));
    expect(traffic.world.counts.of("fault.bus.slow-consumer")).toBe(1);
    expect(traffic.endings.get("BUS_UNAVAILABLE")).toBeGreaterThan(0);
    const heard = traffic.heard[0] ?? [];
    expect(heard.length).toBeGreaterThan(traffic.askedCount / 4 - 8);
    expect(heard.length).toBeLessThan(traffic.askedCount / 4);
  });

  it("faults of one kind on one process overlap, and the last takes all back", async () => {
    const traffic = new Traffic(1);
    await traffic.begin();
    for (const { kind, begin, end } of BUS_FAULTS) {
      const [first, second] = [drawn(kindOf(kind), 1), drawn(kindOf(kind), 1)];
      begin(traffic.cluster, first);
      begin(traffic.cluster, second);
      await traffic.flow(500);
      end?.(traffic.cluster, first);
      end?.(traffic.cluster, first);
      await traffic.flow(500);
      end?.(traffic.cluster, second);
    }
    await traffic.pass(QUIET_MS);
    traffic.endings.clear();
    traffic.ask();
    await traffic.pass(1_000);
    expect(Object.fromEntries(traffic.endings)).toEqual({ ok: 4 });
  });
});
