/** Faults of processes that overlap: each does its own, and takes back its own. */
import { describe, expect, it } from "vitest";
import type { Cluster } from "../cluster.ts";
import type { Fault, FaultValue } from "../fault.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { PROCESS_FAULTS } from "./faults.ts";

/** One process that something comes to each millisecond. */
class Stage {
  readonly world = new World(1);
  readonly process = new SimulatedProcess(this.world, "storage1", 1);
  readonly cluster: Cluster;
  heldBack = 0;

  constructor() {
    this.cluster = {
      world: this.world,
      life: () => (this.process.isAlive ? this.process : undefined),
      holdBack: () => void (this.heldBack += 1),
      letGo: () => void (this.heldBack -= 1),
    } as unknown as Cluster;
    for (let atMs = 0; atMs < 1_000; atMs += 1) this.process.later(atMs, "step", () => undefined);
  }

  async pass(forMs: number): Promise<void> {
    await this.world.scheduler.runUntil(this.world.nowMs + forMs);
  }

  /** @returns what ends it */
  begin(kind: string, more: Record<string, FaultValue>): () => void {
    const found = PROCESS_FAULTS.find((one) => one.kind === kind);
    const fault: Fault = { kind, atMs: this.world.nowMs, forMs: 0, with: { process: "storage1", ...more } };
    found?.begin(this.cluster, fault);
    return () => found?.end?.(this.cluster, fault);
  }

  counted(kind: string): number {
    return this.world.counts.of(`fault.${kind}`);
  }
}

describe("faults of one process that overlap", () => {
  it("a death stays due when another that was due is over", async () => {
    const stage = new Stage();
    const endKilled = stage.begin("process.killed", { events: 300, downMs: 50 });
    const endPower = stage.begin("process.power", { events: 200, downMs: 50 });
    await stage.pass(100);
    endPower();
    await stage.pass(150);
    expect([stage.process.isAlive, stage.heldBack]).toEqual([true, 0]);
    await stage.pass(75);
    expect([stage.process.isAlive, stage.counted("process.killed"), stage.counted("process.power")]).toEqual([false, 1, 0]);
    expect(stage.heldBack).toBe(1);
    await stage.pass(50);
    expect(stage.heldBack).toBe(0);
    endKilled();
    expect(stage.heldBack).toBe(0);
  });

  it("of two deaths only the one that it died of took effect", async () => {
    const stage = new Stage();
    const ends = [
      stage.begin("process.killed", { events: 300, downMs: 9_000 }),
      stage.begin("process.power", { events: 200, downMs: 9_000 }),
    ];
    await stage.pass(500);
    expect([stage.counted("process.killed"), stage.counted("process.power"), stage.heldBack]).toEqual([0, 1, 1]);
    for (const end of ends) end();
    expect(stage.heldBack).toBe(0);
    await stage.pass(10_000);
    expect(stage.heldBack).toBe(0);
  });

  it("a clock that jumped twice is right when both are over, and not before", async () => {
    const stage = new Stage();
    const { clock } = stage.process;
    const rightMs = clock.wallMs();
    const [endFirst, endSecond] = [stage.begin("process.clock", { byMs: 1_000 }), stage.begin("process.clock", { byMs: -70 })];
    expect(clock.wallMs() - rightMs).toBe(930);
    endFirst();
    // Twice is as once.
    endFirst();
    expect(clock.wallMs() - rightMs).toBe(-70);
    endSecond();
    expect(clock.wallMs()).toBe(rightMs);
  });
});
