/** What each fault of the network does, that it is counted, and that everything works again once it is over. */
import { beforeEach, describe, expect, it } from "vitest";
import { TroupeError, toTroupeError } from "../../../src/core/errors.ts";
import { CONNECT_TIMEOUT_MS } from "../../../src/core/limits.ts";
import type { HttpClient } from "../../../src/core/ports/http-exchange.ts";
import { problemResponse } from "../../../src/core/problem.ts";
import { collect, collectUntilError } from "../../contract/data-plane.ts";
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultKind, FaultValue, Topology } from "../fault.ts";
import { RandomStreams } from "../random-streams.ts";
import { NETWORK_FAULTS } from "./faults.ts";
import { NetworkStage, PORT, type Watched } from "./network-rig.ts";

const TOPOLOGY: Topology = {
  trackers: [],
  allocators: [],
  catalogs: [],
  storages: ["storage1", "storage2"],
  gateways: ["gateway1", "gateway2"],
  clients: ["client1", "client2"],
};
const PAIR = { client: "client1", server: "gateway1" };
const BODY = Buffer.alloc(300_000, "body");

let stage: NetworkStage;
let cluster: Cluster;
let http: HttpClient;
/** Requests that were carried out. */
let doneCount: number;

beforeEach(() => begin(1));

async function begin(seed: number): Promise<void> {
  stage = new NetworkStage(seed);
  // As far as faults of the network look at it.
  cluster = { world: stage.world, network: stage.network } as unknown as Cluster;
  doneCount = 0;
  await stage.serve("gateway1", async ({ body }) => {
    const { bytes, error } = await collectUntilError(body);
    if (error !== undefined) return problemResponse(toTroupeError(error));
    doneCount += 1;
    return { status: 200, headers: {}, body: bytes };
  });
  http = stage.network.client(stage.process("client1"));
}

async function put(body: Uint8Array | string = BODY): Promise<number> {
  const answer = await http.exchange({ method: "PUT", url: `http://gateway1:${PORT}`, body });
  const bytes = await collect(answer.body);
  // A body that stood still for long.
  if (answer.status === 408) throw new TroupeError("REQUEST_TIMEOUT");
  return bytes.length;
}

const kindOf = (name: string): FaultKind => NETWORK_FAULTS.find(({ kind }) => kind === name) as FaultKind;
const faultOf = (kind: string, with_: Record<string, FaultValue>): Fault => ({ kind, atMs: 0, forMs: 0, with: { ...PAIR, ...with_ } });
const effects = (kind: string): number => stage.world.counts.of(`fault.${kind}`);

/** @returns what takes it back */
function strike(kind: string, with_: Record<string, FaultValue>): () => void {
  const fault = faultOf(kind, with_);
  kindOf(kind).begin(cluster, fault);
  return () => kindOf(kind).end?.(cluster, fault);
}

async function settledOf(promise: Promise<number>, withinMs: number): Promise<Watched<number>> {
  const watched = stage.watch(promise);
  await stage.pass(withinMs);
  return watched;
}

async function expectWell(): Promise<void> {
  for (let index = 0; index < 3; index += 1) expect((await settledOf(put(), 100)).value).toBe(BODY.length);
}

describe("every fault of the network", () => {
  it("says all about itself in a plan, takes effect, and is over once it has ended", async () => {
    const random = new RandomStreams(1).stream("test", "faults");
    for (const { kind, draw, begin: strikes, end } of NETWORK_FAULTS) {
      await begin(2);
      let heavy = 0;
      for (let index = 0; index < 8; index += 1) {
        const drawn = draw(random, TOPOLOGY);
        expect(JSON.parse(JSON.stringify(drawn))).toEqual(drawn);
        expect(drawn.forMs).toBeGreaterThan(0);
        const fault: Fault = { kind, atMs: stage.world.nowMs, ...drawn, with: { ...drawn.with, ...PAIR } };
        strikes(cluster, fault);
        const outcomes = Array.from({ length: 4 }, () => stage.watch(put()));
        await stage.pass(drawn.forMs);
        end?.(cluster, fault);
        // Twice is as once.
        end?.(cluster, fault);
        await stage.pass(60_000);
        for (const outcome of outcomes) {
          expect(outcome.atMs).toBeDefined();
          if (outcome.error === undefined) expect(outcome.value).toBe(BODY.length);
          else expect(["UNAVAILABLE", "REQUEST_TIMEOUT"]).toContain(toTroupeError(outcome.error).code);
        }
        heavy = Math.max(heavy, stage.network.probe("gateway1").answeringCount);
        await expectWell();
      }
      expect({ kind, isCounted: effects(kind) > 0, heavy }).toEqual({ kind, isCounted: true, heavy: 0 });
    }
  });

  it("is drawn the same from the same seed, and leaves other lines and other times alone", async () => {
    const traceOf = async (isStruck: boolean): Promise<string[]> => {
      await begin(4);
      await stage.serve("gateway2", async () => ({ status: 200, headers: {}, body: "well" }));
      const takeBack = isStruck ? strike("network.truncate", { probability: 0.5 }) : () => undefined;
      const others = stage.network.client(stage.process("client2"));
      for (let index = 0; index < 20; index += 1) {
        stage.watch(put());
        stage.watch(others.exchange({ method: "GET", url: `http://gateway2:${PORT}` }));
        await stage.pass(50);
      }
      takeBack();
      return stage.lines.filter((line) => line.includes("client2") || line.includes("gateway2"));
    };
    const quiet = await traceOf(false);
    expect(await traceOf(true)).toEqual(quiet);
    expect(quiet.length).toBeGreaterThan(30);
  });
});

describe("faults of the network, one by one", () => {
  it("F13: a partition holds what is on its way and lets nobody connect; afterwards what was held goes on", async () => {
    const other = stage.network.client(stage.process("client2"));
    await expectWell();
    const heal = strike("network.partition", { direction: "both" });
    const kept = stage.watch(put());
    const fresh = stage.watch(put());
    await stage.pass(CONNECT_TIMEOUT_MS + 10);
    // One of them had a connection already.
    expect(kept).toEqual({});
    expect(fresh.error).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    const elsewhere = stage.watch(other.exchange({ method: "PUT", url: `http://gateway1:${PORT}`, body: "a" }));
    await stage.pass(10_000);
    expect(elsewhere.value?.status).toBe(200);
    expect(kept).toEqual({});
    heal();
    await stage.pass(1_000);
    expect(kept.value).toBe(BODY.length);
    await expectWell();
  });

  it("F11: in a partition of one way requests arrive and are carried out, and answers wait", async () => {
    await expectWell();
    const before = doneCount;
    const heal = strike("network.partition", { direction: "back" });
    const asked = stage.watch(put("small"));
    await stage.pass(10_000);
    expect([asked, doneCount]).toEqual([{}, before + 1]);
    heal();
    await stage.pass(1_000);
    expect(asked.value).toBe(5);
    expect(doneCount).toBe(before + 1);
  });

  it("F11: a lost answer was carried out, and says so to nobody", async () => {
    const heal = strike("network.lost-answer", { probability: 1 });
    const body = (async function* () {
      yield BODY;
    })();
    // What comes back before the answer is no answer: the body was asked for.
    const asked = stage.watch(http.exchange({ method: "PUT", url: `http://gateway1:${PORT}`, body, expectContinue: true }));
    await stage.pass(100);
    expect(asked.error).toMatchObject({ code: "UNAVAILABLE", facts: {} });
    expect(doneCount).toBe(1);
    heal();
    await expectWell();
  });

  it("a truncated body never looks like a whole one", async () => {
    const heal = strike("network.truncate", { probability: 1 });
    const asked = await settledOf(put(), 100);
    expect(asked.error).toMatchObject({ code: "UNAVAILABLE" });
    expect(doneCount).toBe(0);
    expect(effects("network.truncate")).toBe(1);
    heal();
    await expectWell();
  });

  it("a connection that stands still goes on where it was; others are not touched", async () => {
    const heal = strike("network.stall", { probability: 1 });
    const asked = stage.watch(put());
    await stage.pass(30_000);
    expect(asked).toEqual({});
    heal();
    await stage.pass(1_000);
    expect(asked.value).toBe(BODY.length);
    expect(doneCount).toBe(1);
    await expectWell();
  });

  it("a reset breaks what is open for both, and kept connections cost another try", async () => {
    await expectWell();
    const heal = strike("network.reset", { probability: 0 });
    expect(effects("network.reset")).toBe(1);
    expect((await settledOf(put(), 100)).value).toBe(BODY.length);
    heal();
    expect(stage.network.probe("client1").connectionCount).toBe(1);
  });

  it("refused connections leave those there are alone", async () => {
    await expectWell();
    const heal = strike("network.refuse", {});
    const [kept, fresh] = [stage.watch(put()), stage.watch(put())];
    await stage.pass(100);
    expect(kept.value).toBe(BODY.length);
    expect(fresh.error).toMatchObject({ code: "UNAVAILABLE", facts: { unconnected: true } });
    heal();
    await expectWell();
  });

  it("a slow line takes its time for each segment and each byte, in order", async () => {
    await expectWell();
    const heal = strike("network.slow", { delayMs: 100, bytesPerMs: 100 });
    const beganMs = stage.world.nowMs;
    const asked = await settledOf(put(), 60_000);
    expect(asked.value).toBe(BODY.length);
    const tookMs = (asked.atMs ?? 0) - beganMs;
    expect(tookMs).toBeGreaterThan(2 * (50 + BODY.length / 100));
    expect(tookMs).toBeLessThan(2 * (150 + BODY.length / 100) + 1_000);
    heal();
    await expectWell();
  });
});
