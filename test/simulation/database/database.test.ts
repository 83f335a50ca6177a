import { describe, expect, test } from "vitest";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { DATABASE_LOCK_WAIT_MS_MAX, DATABASE_SILENCE_MS_MAX } from "../../../src/core/limits.ts";
import { type ContractTables, databaseContract } from "../../contract/database.ts";
import type { SimulatedProcess } from "../simulated-process.ts";
import { DatabaseRig, failure, insert } from "./rig.ts";

databaseContract("simulated", async () => {
  const rig = new DatabaseRig();
  const database = await rig.open();
  return { database, openSecond: () => rig.open(), [Symbol.asyncDispose]: () => database.close() };
});

const row = (name: string) => ({ name: bytesOf(name), amount: 1, content: null, live: null });

/** One transaction that inserts a row, and stands still until it is told to go on. */
async function holding(rig: DatabaseRig, process: SimulatedProcess) {
  const database = await rig.time.until(rig.server.open<ContractTables>(process));
  const held = Promise.withResolvers<void>();
  const goesOn = Promise.withResolvers<void>();
  const work = database.transact(async (transaction) => {
    await transaction.insertIfAbsent("t_row", row("held"));
    held.resolve();
    await goesOn.promise;
    await transaction.insertIfAbsent("t_row", row("held too"));
  });
  work.catch(() => undefined);
  await rig.time.until(held.promise);
  return { work, goOn: () => void process.later(0, "goes on", goesOn.resolve) };
}

describe("a process in the middle of a transaction", () => {
  test("F1: one that is killed leaves nothing, and nobody waits for it", async () => {
    const rig = new DatabaseRig();
    const process = rig.process();
    await holding(rig, process);
    const other = await rig.open();
    process.die("killed");
    const askedMs = rig.world.nowMs;
    await insert(other, "next");
    expect(rig.world.nowMs - askedMs).toBeLessThan(20);
    expect(rig.names()).toEqual(["next"]);
  });

  test("F1: one whose machine loses power keeps its lock until the server misses it", async () => {
    const rig = new DatabaseRig();
    const process = rig.process();
    await holding(rig, process);
    const other = await rig.open();
    process.die("power");
    const askedMs = rig.world.nowMs;
    const ended = await insert(other, "next").then(
      () => "done",
      (error: unknown) => error,
    );
    expect(rig.world.nowMs - askedMs).toBeGreaterThan(DATABASE_LOCK_WAIT_MS_MAX / 2);
    if (ended !== "done") expect(ended).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: { busy: true } });
    await rig.time.pass(3 * DATABASE_LOCK_WAIT_MS_MAX);
    await insert(other, "after");
    expect(rig.names()).not.toContain("held");
  });

  test("F2: one that stands still makes others wait within bounds, and goes on where it was", async () => {
    const rig = new DatabaseRig();
    const process = rig.process();
    const { work, goOn } = await holding(rig, process);
    const other = await rig.open();
    process.pause(10_000);
    goOn();
    expect(await failure(insert(other, "early"))).toMatchObject({ facts: { busy: true } });
    expect(await other.read((query) => query.selectFrom("t_row").selectAll().execute())).toEqual([]);
    await rig.time.until(work);
    await insert(other, "late");
    expect(rig.names()).toEqual(["held", "held too", "late"]);
  });

  test("F2: one that stands still for longer than the server bears it has lost its transaction, and hears so", async () => {
    const rig = new DatabaseRig();
    const process = rig.process();
    const { work, goOn } = await holding(rig, process);
    const other = await rig.open();
    process.pause(100_000);
    goOn();
    expect(await failure(insert(other, "early"))).toMatchObject({ facts: { busy: true } });
    await rig.time.pass(DATABASE_SILENCE_MS_MAX);
    await insert(other, "late");
    expect(await failure(rig.time.until(work))).toMatchObject({ facts: { lost: true } });
    expect(rig.names()).toEqual(["late"]);
  });

  test("F2: one that stood still for so long has lost its transaction also when nobody waited for it", async () => {
    const rig = new DatabaseRig();
    const process = rig.process();
    const { work, goOn } = await holding(rig, process);
    process.pause(DATABASE_SILENCE_MS_MAX + 1_000);
    goOn();
    expect(await failure(rig.time.until(work))).toMatchObject({ facts: { lost: true } });
    expect(rig.names()).toEqual([]);
  });

  test("F1: a transaction of which COMMIT was sent is done as a whole, and otherwise not at all, when its process is killed", async () => {
    const ends = new Set<string>();
    for (let seed = 1; seed <= 20; seed += 1) ends.add((await namesAfterKill(seed)).join());
    expect([...ends].sort()).toEqual(["", "held,held too"]);
  });

  const namesAfterKill = async (seed: number): Promise<string[]> => {
    const rig = new DatabaseRig(seed);
    const process = rig.process();
    const { goOn } = await holding(rig, process);
    goOn();
    // In the middle of what its last statement may take; COMMIT follows.
    await rig.time.pass(0.6);
    process.die("killed");
    await rig.time.pass(10);
    return rig.names();
  };
});

test("a transaction that runs is never seen half", async () => {
  const rig = new DatabaseRig();
  const one = await rig.open();
  const other = await rig.open();
  const seen: number[] = [];
  const works = Array.from({ length: 10 }, (_, index) =>
    one.transact(async (transaction) => {
      for (const half of ["a", "b"]) await transaction.insertIfAbsent("t_row", row(`${index} ${half}`));
    }),
  );
  const looking = (async () => {
    for (let look = 0; look < 40; look += 1) {
      seen.push(await other.read(async (query) => (await query.selectFrom("t_row").select("name").execute()).length));
      seen.push(rig.names().length);
    }
  })();
  await Promise.all([...works, looking]);
  expect(seen.filter((count) => count % 2 === 1)).toEqual([]);
  expect(new Set(seen).size).toBeGreaterThan(4);
});

test("the same seed tells the same story", async () => {
  const story = async (): Promise<string> => {
    const rig = new DatabaseRig(7);
    const [one, other] = [await rig.open(), await rig.open()];
    await rig.time.until(Promise.all(Array.from({ length: 20 }, (_, index) => insert(index % 2 ? one : other, `${index}`))));
    return rig.world.trace.hash;
  };
  expect(await story()).toBe(await story());
});
