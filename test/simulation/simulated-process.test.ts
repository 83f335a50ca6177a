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
