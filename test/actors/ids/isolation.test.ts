/** Several allocators over one database server, each with connections of its own. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { raiseCounter, stepCounter } from "../../../src/actors/ids/counter-row.ts";
import type { IdsTables } from "../../../src/actors/ids/tables.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { type PrivateMariadb, privateMariadb } from "../../support/mariadb.ts";
import { PausingClock } from "../../support/pausing-clock.ts";
import { codes, inEveryOrder, values } from "../../support/pausing-database.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { TestAllocator } from "./rig.ts";

let server: PrivateMariadb;
let handles: readonly [Database<IdsTables>, Database<IdsTables>];
let keyCount = 0;

beforeAll(async () => {
  server = await privateMariadb();
  handles = [
    await server.databases.openPart<IdsTables>("ids", { clock: new PausingClock() }),
    await server.databases.openPart<IdsTables>("ids", { clock: new PausingClock() }),
  ];
});

afterAll(async () => {
  await Promise.all(handles.map((database) => database.close()));
  await server[Symbol.asyncDispose]();
});

const step = (key: string) => (database: Database<IdsTables>) => stepCounter(database, key, { step: 100, count: 1, floor: 0 }, 1);

describe("of two allocators at once", () => {
  test("F27: each that steps a counter, new or not, gets a block of its own", async () => {
    for (const isNew of [true, false]) {
      await inEveryOrder(server.databases, handles, async () => {
        const key = `key ${keyCount++}`;
        if (!isNew) await step(key)(handles[0]);
        return {
          first: step(key),
          second: step(key),
          check: (...outcomes) => {
            expect(codes(...outcomes)).toEqual([]);
            const starts = values(...outcomes).map(({ next, end }) => [next, end]);
            const base = isNew ? 0 : 100;
            expect(starts.sort(([a = 0], [b = 0]) => a - b)).toEqual([
              [base, base + 100],
              [base + 100, base + 200],
            ]);
          },
        };
      });
    }
  });

  test("F16: a block stepped while the counter is raised begins above what was raised, unless it was there first", async () => {
    await inEveryOrder<IdsTables, void, { next: number; end: number }>(server.databases, handles, async () => {
      const key = `key ${keyCount++}`;
      return {
        first: (database) => raiseCounter(database, key, { highest: 5_000, floor: 0 }, 1),
        second: step(key),
        check: async (raised, stepped) => {
          expect(codes(raised, stepped)).toEqual([]);
          expect([0, 5_001]).toContain(values(stepped)[0]?.next);
          expect((await step(key)(handles[0])).next).toBeGreaterThan(5_000);
        },
      };
    });
  });

  test("F27: a million IDs are a million", async () => {
    const random = new SeededRandom(17);
    const leases: { first: number; count: number }[] = [];
    let leased = 0;
    const take = async (allocator: TestAllocator): Promise<void> => {
      while (leased < 1_000_000) {
        const lease = await allocator.next(1 + random.integer(3_000));
        leases.push(lease);
        leased += lease.count;
      }
    };
    const allocators = handles.map((database) => new TestAllocator(database, 100));
    await Promise.all(allocators.flatMap((allocator) => Array.from({ length: 4 }, () => take(allocator))));
    leases.sort((a, b) => a.first - b.first);
    for (const [index, { first }] of leases.entries()) {
      const before = leases[index - 1];
      if (before !== undefined) expect(first).toBeGreaterThanOrEqual(before.first + before.count);
    }
    expect(leased).toBeGreaterThanOrEqual(1_000_000);
  });
});
