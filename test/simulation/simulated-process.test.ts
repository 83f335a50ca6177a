import { describe, expect, it } from "vitest";
import { sleep } from "../../src/core/ports/clock.ts";
import { SimulatedProcess } from "./simulated-process.ts";
import { World } from "./world.ts";

const processOf = (world: World): SimulatedProcess => new SimulatedProcess(world, "storage1", 1);

describe("a simulated process", () => {
  it("hears nothing after its death: neither timers nor answers, though what it asked for happens", async () => {
    const world = new World(1);
    const process = processOf(world);
    const story: string[] = [];
    process.clock.setTimer(10, () => story.push("timer"));
    process.ask(10, "write", () => story.push("written")).then(() => story.push("answered"));
    process.onDeath((death) => story.push(death));
    world.scheduler.at(5, "dies", () => process.die("power"));
    await world.scheduler.runUntil(100);
    expect(story).toEqual(["power", "written"]);
  });

  it("dies at the await it was told to, and at each one there is", async () => {
    const reached: number[] = [];
    for (let events = 0; events < 5; events += 1) {
      const world = new World(1);
      const process = processOf(world);
      let steps = 0;
      void (async () => {
        for (; steps < 4; steps += 1) await process.ask(1, "step", () => undefined);
      })();
      process.dieAfterEvents(events, "killed");
      await world.scheduler.runUntil(100);
      reached.push(steps);
      expect(process.isAlive).toBe(events >= 4);
    }
    expect(reached).toEqual([0, 1, 2, 3, 4]);
  });

  it("does nothing while it is paused, then everything that came, in that order; its clock went on", async () => {
    const world = new World(1);
    const process = processOf(world);
    const story: string[] = [];
    const beganMs = process.clock.nowMs();
    for (const delayMs of [30, 10, 20])
      void sleep(process.clock, delayMs).then(() => story.push(`${delayMs} at ${Math.round(process.clock.nowMs() - beganMs)}`));
    process.ask(15, "read", () => story.push("read")).then(() => story.push("told"));
    process.pause(100);
    await world.scheduler.runUntil(1_000);
    expect(story).toEqual(["read", "10 at 100", "told", "20 at 100", "30 at 100"]);
  });

  it("P2: what comes while it catches up waits behind what came before, each in an event of its own", async () => {
    const world = new World(1);
    const process = processOf(world);
    const story: number[] = [];
    const events = new Set<number>();
    const tell = (index: number) => (): void => {
      story.push(index);
      events.add(world.scheduler.eventCount);
    };
    for (let index = 0; index < 20; index += 1) process.later(index + 1, "held", tell(index));
    process.pause(100);
    world.scheduler.at(100.005, "asks", () => void process.ask(0, "answer", () => undefined).then(tell(20)));
    world.scheduler.at(100.005, "sends", () => process.later(0.002, "new", tell(21)));
    // Paused again in the middle of it: what is left goes on waiting, and what comes behind it.
    world.scheduler.at(100.0105, "pauses", () => process.pause(50));
    process.later(120, "new", tell(22));
    await world.scheduler.runUntil(149);
    expect(story).toHaveLength(11);
    await world.scheduler.runUntil(1_000);
    expect(story).toEqual(Array.from({ length: 23 }, (_, index) => index));
    expect(events.size).toBe(23);
    const cancelled = process.later(1, "cancelled", tell(23));
    process.pause(10);
    world.scheduler.after(5, "cancels", () => cancelled.cancel());
    await world.scheduler.runUntil(2_000);
    expect(story).toHaveLength(23);
    expect(process.waitingCount).toBe(0);
  });

  it("dies of whichever is due first, and of none that was taken back", async () => {
    for (const [takenBack, dies] of [
      [[], 2],
      [["power"], 4],
      [["killed"], 2],
      [["power", "killed"], undefined],
    ] as const) {
      const world = new World(1);
      const process = processOf(world);
      const due: string[] = [];
      const spare = {
        killed: process.dieAfterEvents(4, "killed", () => due.push("killed")),
        power: process.dieAfterEvents(2, "power", () => due.push("power")),
      };
      for (const death of takenBack) spare[death]();
      let count = 0;
      for (let index = 0; index < 10; index += 1) process.later(index, "step", () => (count += 1));
      await world.scheduler.runUntil(100);
      expect(count).toBe(dies ?? 10);
      expect(due).toEqual(dies === undefined ? [] : [dies === 2 ? "power" : "killed"]);
    }
  });

  it("has a wall clock that jumps and a monotonic one that does not", async () => {
    const world = new World(1);
    const process = processOf(world);
    const [wallMs, monotonicMs] = [process.clock.wallMs(), process.clock.nowMs()];
    process.jumpWall(-3_600_000);
    await world.scheduler.runUntil(500);
    expect(process.clock.wallMs() - wallMs).toBe(-3_599_500);
    expect(process.clock.nowMs() - monotonicMs).toBe(500);
  });

  it("draws other numbers in its next life, and the same in the same life of the same seed", () => {
    const drawn = [
      new SimulatedProcess(new World(7), "a", 1),
      new SimulatedProcess(new World(7), "a", 1),
      new SimulatedProcess(new World(7), "a", 2),
    ].map(({ random }) => Buffer.from(random.bytes(8)).toString("hex"));
    expect(drawn[0]).toBe(drawn[1]);
    expect(drawn[0]).not.toBe(drawn[2]);
  });
});
