import { describe, expect, it } from "vitest";
import { World } from "./world.ts";

/** Names of events in the order in which they ran. */
async function orderOf(seed: number, set: (world: World, ran: (name: string) => () => void) => void): Promise<string[]> {
  const world = new World(seed);
  const order: string[] = [];
  set(world, (name) => () => void order.push(name));
  await world.scheduler.runUntil(1_000);
  return order;
}

describe("the scheduler", () => {
  it("runs events in order of time, whatever the order they were given in", async () => {
    const times = [50, 3, 20, 999, 20.5, 0, 7];
    const order = await orderOf(1, (world, ran) => {
      for (const atMs of times) world.scheduler.at(atMs, "event", ran(String(atMs)));
    });
    expect(order).toEqual([...times].sort((one, other) => one - other).map(String));
  });

  it("runs events of one moment in an order that the seed draws, the same each time", async () => {
    const set = (world: World, ran: (name: string) => () => void): void => {
      for (const name of "abcdefgh") world.scheduler.at(5, name, ran(name));
    };
    const orders = await Promise.all([1, 1, 2].map((seed) => orderOf(seed, set)));
    expect(orders[0]).toEqual(orders[1]);
    expect(orders[0]).not.toEqual(orders[2]);
    expect([...(orders[0] as string[])].sort().join("")).toBe("abcdefgh");
  });

  it("lets everything come to rest that an event has set going before the next one runs", async () => {
    const order = await orderOf(1, (world, ran) => {
      world.scheduler.at(1, "first", async () => {
        for (let turn = 0; turn < 500; turn += 1) await Promise.resolve();
        ran("first, at rest")();
      });
      world.scheduler.at(2, "second", ran("second"));
    });
    expect(order).toEqual(["first, at rest", "second"]);
  });

  it("does not run what was cancelled, and what is set for the past runs now", async () => {
    const order = await orderOf(1, (world, ran) => {
      const gone = world.scheduler.at(3, "gone", ran("gone"));
      world.scheduler.at(2, "cancels", () => gone.cancel());
      world.scheduler.at(4, "late", () => world.scheduler.at(1, "past", () => ran(`past at ${world.nowMs}`)()));
    });
    expect(order).toEqual(["past at 4"]);
  });

  it("stops at the event after which it is over, and goes on from there", async () => {
    const world = new World(1);
    let count = 0;
    for (let atMs = 1; atMs <= 5; atMs += 1) world.scheduler.at(atMs, "event", () => void (count += 1));
    await world.scheduler.runUntil(100, () => count === 2);
    expect([count, world.nowMs]).toEqual([2, 2]);
    await world.scheduler.runUntil(100);
    expect([count, world.nowMs]).toEqual([5, 100]);
  });

  it("has another trace as soon as one event has another time or name", async () => {
    const hashOf = async (atMs: number, label: string): Promise<string> => {
      const world = new World(1);
      world.scheduler.at(atMs, label, () => undefined);
      world.scheduler.at(50, "same", () => undefined);
      await world.scheduler.runUntil(100);
      return world.trace.hash;
    };
    expect(await hashOf(5, "a")).toBe(await hashOf(5, "a"));
    expect(new Set(await Promise.all([hashOf(5, "a"), hashOf(5.001, "a"), hashOf(5, "b")])).size).toBe(3);
  });
});
