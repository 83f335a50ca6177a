import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { startIds } from "../../../src/actors/ids/actor.ts";
import { ids } from "../../../src/actors/ids/contract.ts";
import type { IdsTables } from "../../../src/actors/ids/tables.ts";
import { client } from "../../../src/bus/client.ts";
import { host } from "../../../src/bus/host.ts";
import { LoopbackBus } from "../../../src/bus/loopback.ts";
import { bytesOf } from "../../../src/core/byte-text.ts";
import { BLOB_ID_LIMIT, ID_BLOCK_KEPT_MS, ID_RAISE_MAX } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { LOCAL_PRINCIPAL } from "../../../src/core/principal.ts";
import { openTestDatabase } from "../../support/database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HeldDatabase, type Outcome, TestAllocator } from "./rig.ts";

const open = () => openTestDatabase<IdsTables>("ids");
const setRow = (database: Database<IdsTables>, next_value: number) =>
  database.transact(async (transaction) => {
    await transaction.insertIfAbsent("t_id_gen", { id_key: bytesOf("blob"), next_value, create_time: 0, update_time: 0 });
    await transaction.query.updateTable("t_id_gen").set({ next_value }).where("id_key", "=", bytesOf("blob")).execute();
  });
const rowOf = (database: Database<IdsTables>, key = "blob") =>
  database.read(
    async (query) =>
      (await query.selectFrom("t_id_gen").select("next_value").where("id_key", "=", bytesOf(key)).executeTakeFirst())?.next_value,
  );

describe("the ID allocator", () => {
  test("starts at 0, and the row says what has been handed out: 100, 200, 300", async () => {
    const database = await open();
    const allocator = new TestAllocator(database, 100);
    const seen: [number, bigint | undefined][] = [];
    for (let index = 0; index <= 200; index += 1) {
      const { first } = await allocator.next();
      if (index % 100 === 0) seen.push([first, await rowOf(database)]);
    }
    expect(seen).toEqual([
      [0, 100n],
      [100, 200n],
      [200, 300n],
    ]);
    await database.close();
  });

  test("refuses a step below 10", () => {
    for (const step of [9, 0, -100, 10.5]) {
      expect(() => startIds({ database: {} as Database<IdsTables>, clock: new VirtualClock(), log: SILENT_LOG, step })).toThrow(
        "SETTING_INVALID",
      );
    }
  });

  test("a lease larger than what is left takes a fresh block; one larger than a step steps by as much", async () => {
    const database = await open();
    const allocator = new TestAllocator(database, 100);
    expect(await allocator.next(60)).toMatchObject({ first: 0, count: 60 });
    expect(await allocator.next(60)).toMatchObject({ first: 100, count: 60 });
    expect(await allocator.next(250)).toMatchObject({ first: 200, count: 250 });
    expect(await rowOf(database)).toBe(450n);
    expect(await allocator.next()).toMatchObject({ first: 450 });
    await database.close();
  });

  test("requests that come during a step share it, and are answered in order", async () => {
    const real = await open();
    const database = new HeldDatabase(real);
    const allocator = new TestAllocator(database, 100);
    const leases = Promise.all(Array.from({ length: 100 }, () => allocator.next()));
    await Promise.resolve();
    await database.release(0, "commit");
    expect(database.held).toHaveLength(0);
    expect((await leases).map(({ first }) => first)).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(await rowOf(real)).toBe(100n);
    await database.close();
  });

  test("those that wait for the database while it steps are served by one more step together", async () => {
    const real = await open();
    const database = new HeldDatabase(real);
    const allocator = new TestAllocator(database, 100);
    const first = allocator.next();
    await Promise.resolve();
    const others = Promise.all(Array.from({ length: 10 }, () => allocator.next(300)));
    await database.release(0, "commit");
    expect(await first).toMatchObject({ first: 0 });
    await database.release(0, "commit");
    expect(database.held).toHaveLength(0);
    expect((await others).map((lease) => lease.first)).toEqual(Array.from({ length: 10 }, (_, index) => 100 + 300 * index));
    expect(await rowOf(real)).toBe(3_100n);
    await database.close();
  });

  test("F15: a step whose outcome is unknown is an error to who waited, a gap at most, and the next request steps again", async () => {
    for (const outcome of ["lose", "fail"] as const) {
      const database = new HeldDatabase(await open());
      const allocator = new TestAllocator(database, 100);
      const waiting = [allocator.next(), allocator.next()].map((lease) => lease.catch((error: unknown) => error));
      await Promise.resolve();
      await database.release(0, outcome);
      expect(await Promise.all(waiting)).toMatchObject([{ code: "DATABASE_UNAVAILABLE" }, { code: "DATABASE_UNAVAILABLE" }]);
      const next = allocator.next();
      await Promise.resolve();
      await database.releaseAll();
      expect(await next).toMatchObject({ first: outcome === "lose" ? 100 : 0 });
      await database.close();
    }
  });

  test("the last IDs are given out, and then ID_SPACE_EXHAUSTED, for good", async () => {
    const database = await open();
    const allocator = new TestAllocator(database, 100);
    await setRow(database, BLOB_ID_LIMIT - 30);
    const answers = await Promise.all([allocator.next(31), allocator.next(29)].map((lease) => lease.catch((error: unknown) => error)));
    expect(answers).toMatchObject([{ code: "ID_SPACE_EXHAUSTED" }, { first: BLOB_ID_LIMIT - 30 }]);
    expect(await allocator.next()).toMatchObject({ first: BLOB_ID_LIMIT - 1 });
    await expect(allocator.next()).rejects.toMatchObject({ code: "ID_SPACE_EXHAUSTED" });
    await allocator.raise(BLOB_ID_LIMIT);
    await expect(new TestAllocator(database, 100).next()).rejects.toMatchObject({ code: "ID_SPACE_EXHAUSTED" });
    expect(await rowOf(database)).toBe(BigInt(BLOB_ID_LIMIT));
    await database.close();
  });

  test("F16: after a database came back empty, a raise lifts memory and row above what a node has seen", async () => {
    const database = await open();
    const [first, second] = [new TestAllocator(database, 100), new TestAllocator(database, 100)];
    await Promise.all([first.next(), second.next()]);
    await Promise.all([first.raise(7_777), second.raise(7_777)]);
    const leases = await Promise.all([first.next(), second.next(), new TestAllocator(database, 100).next()]);
    expect(leases.every((lease) => lease.first > 7_777)).toBe(true);
    expect(new Set(leases.map((lease) => lease.first)).size).toBe(3);
    await database.close();
  });

  test("F16: a raise too high to be believed changes nothing, also in memory; one from far above, near the row, is taken", async () => {
    const database = await open();
    const [allocator, fresh] = [new TestAllocator(database, 100), new TestAllocator(database, 100)];
    await allocator.next();
    for (const highest of [BLOB_ID_LIMIT, 100 + ID_RAISE_MAX + 1])
      await expect(allocator.raise(highest)).rejects.toMatchObject({ code: "BAD_REQUEST", detail: expect.stringContaining("disk") });
    expect(await rowOf(database)).toBe(100n);
    expect(await allocator.next()).toMatchObject({ first: 1 });
    await allocator.raise(100 + ID_RAISE_MAX);
    expect(await allocator.next()).toMatchObject({ first: 101 + ID_RAISE_MAX });
    // This one knows of the row what the database says.
    await fresh.raise(2 * ID_RAISE_MAX);
    expect(await fresh.next()).toMatchObject({ first: 2 * ID_RAISE_MAX + 1 });
    await database.close();
  });

  test("F16: what it was raised by holds in memory also when the database could not be told", async () => {
    const database = new HeldDatabase(await open());
    const allocator = new TestAllocator(database, 100);
    const lease = allocator.next();
    const raise = allocator.raise(5_000).catch((error: unknown) => error);
    await Promise.resolve();
    await database.release(0, "commit");
    // The block came from below; another step is under way, from above.
    await database.release(1, "commit");
    expect(await lease).toMatchObject({ first: 5_001 });
    await database.release(0, "fail");
    expect(await raise).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    const large = allocator.next(500);
    await Promise.resolve();
    await database.releaseAll();
    expect((await large).first).toBeGreaterThan(5_000);
    await database.close();
  });

  test("F16: a database put back to yesterday while allocators live gives none of them an ID it had before", async () => {
    const database = await open();
    const allocator = new TestAllocator(database, 100);
    const before = await allocator.next(250);
    await setRow(database, 10);
    const after = await allocator.next(100);
    expect(after.first).toBeGreaterThanOrEqual(before.first + before.count);
    expect(await rowOf(database)).toBe(BigInt(after.first + 100));
    await database.close();
  });

  test("F16: an allocator that was away during a raise gives out nothing below it once its block is old", async () => {
    const database = await open();
    const clock = new VirtualClock();
    const [away, there] = [new TestAllocator(database, 100, clock), new TestAllocator(database, 100, clock)];
    await away.next();
    await there.raise(5_000);
    await clock.advance(ID_BLOCK_KEPT_MS);
    expect((await away.next()).first).toBeGreaterThan(5_000);
    await database.close();
  });

  test("F27: any order of requests, steps, lost answers and crashes of two allocators leaves gaps and never repeats", async () => {
    const command = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant("next" as const),
          who: fc.nat(1),
          count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 40 })),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant("release" as const),
          index: fc.nat(5),
          outcome: fc.constantFrom<Outcome>("commit", "commit", "lose", "fail"),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), who: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("raise" as const), who: fc.nat(1), highest: fc.nat(300) }) },
    );
    let leaseCount = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 60 }), async (commands) => {
        const database = new HeldDatabase(await open());
        const allocators = [new TestAllocator(database, 10), new TestAllocator(database, 10)];
        const given = new Set<number>();
        /** What each living allocator was raised by, and what the database surely was. */
        const floors = [0, 0];
        let kept = 0;
        const answers: Promise<void>[] = [];
        for (const next of commands) {
          if (next.kind === "release") await database.release(next.index, next.outcome);
          if (next.kind === "crash") {
            await allocators[next.who]?.crash();
            floors[next.who] = kept;
          }
          if (next.kind === "raise") {
            const { who, highest } = next;
            const raised = allocators[who]?.raise(highest) ?? Promise.resolve();
            floors[who] = Math.max(floors[who] ?? 0, highest + 1);
            answers.push(
              raised.then(
                () => void (kept = Math.max(kept, highest + 1)),
                () => {},
              ),
            );
          }
          if (next.kind === "next") {
            const { who, count } = next;
            const lease = allocators[who]?.next(count) ?? Promise.reject(new Error("nobody"));
            answers.push(
              lease.then(
                (got) => {
                  expect(got.count).toBe(count);
                  expect(got.first).toBeGreaterThanOrEqual(floors[who] ?? 0);
                  for (let id = got.first; id < got.first + count; id += 1) {
                    expect(given.has(id)).toBe(false);
                    given.add(id);
                    leaseCount += 1;
                  }
                },
                (error: unknown) => expect(error).toMatchObject({ name: "TroupeError" }),
              ),
            );
          }
          for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
        }
        await database.releaseAll();
        await Promise.all(answers);
        await database.close();
      }),
      { numRuns: 200 },
    );
    expect(leaseCount).toBeGreaterThan(1_000);
  });

  test("F27: answers on the bus; one that is started again after its end leaves a gap", async () => {
    const clock = new VirtualClock();
    const random = new SeededRandom(7);
    const bus = new LoopbackBus({ clock, random });
    const database = await open();
    const start = () => host(bus, ids, {}, { clock, random, log: SILENT_LOG }, startIds({ database, clock, log: SILENT_LOG }));
    const first = await start();
    const calls = client(bus, ids);
    expect(await calls.next({ key: "blob", count: 3 })).toEqual({ key: "blob", first: 0, count: 3 });
    expect(await calls.state({})).toEqual({ step: 100, blocks: [{ key: "blob", next: 3, end: 100 }] });
    await first.stop();
    const second = await start();
    expect(await calls.next({ key: "blob" })).toMatchObject({ first: 100 });
    const raising = calls.raise({ key: "blob", highest: 1_000 }, { timeoutMs: 50 });
    await clock.advance(50);
    expect(await raising).toEqual([{ ok: true, output: {} }]);
    expect(await calls.next({ key: "blob" })).toMatchObject({ first: 1_001 });
    const byPerson = await calls.raise({ key: "blob", highest: 2_000 }, { principal: LOCAL_PRINCIPAL, answersMax: 1 });
    expect(byPerson).toMatchObject([{ ok: false, error: { code: "FORBIDDEN" } }]);
    expect(await calls.next({ key: "blob" })).toMatchObject({ first: 1_002 });
    await expect(calls.next({ key: "" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    await second.stop();
    await bus.drain();
    await database.close();
  });
});
