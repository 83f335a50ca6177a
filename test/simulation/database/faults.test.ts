import { describe, expect, test } from "vitest";
import {
  DATABASE_AWAY_MS_MAX,
  DATABASE_BUSY_MS_MAX,
  DATABASE_LOCK_WAIT_MS_MAX,
  DATABASE_STATEMENT_MS_MAX,
} from "../../../src/core/limits.ts";
import { isOutcomeUnknown } from "../../../src/core/ports/database.ts";
import { World } from "../world.ts";
import { DATABASE_FAULTS } from "./faults.ts";
import { DatabaseRig, failure, insert } from "./rig.ts";

describe("F14: a transaction that the server refuses", () => {
  test("for a deadlock runs again as a whole, and bounded", async () => {
    const rig = new DatabaseRig();
    const database = await rig.open();
    const fault = rig.begin("database.deadlock", { probability: 0.2 });
    for (let time = 0; time < 20; time += 1) await insert(database, `${time} a`, `${time} b`);
    expect(rig.names()).toHaveLength(40);
    expect(rig.count("database.deadlock")).toBeGreaterThan(5);
    rig.server.faults.end(fault);
    rig.begin("database.deadlock", { probability: 1 });
    expect(await failure(insert(database, "never"))).toMatchObject({ code: "DATABASE_UNAVAILABLE", facts: { busy: true } });
    expect(rig.names()).toHaveLength(40);
  });

  test("for a lock that somebody keeps waits as long as the server lets it, and keeps nobody else from writing", async () => {
    const rig = new DatabaseRig();
    const [one, other] = [await rig.open(), await rig.open()];
    const fault = rig.begin("database.lock-wait", { probability: 1 });
    const askedMs = rig.world.nowMs;
    const refused = failure(insert(one, "a"));
    await rig.time.pass(100);
    rig.server.faults.end(fault);
    await insert(other, "b");
    expect(rig.world.nowMs - askedMs).toBeLessThan(DATABASE_LOCK_WAIT_MS_MAX);
    expect(await refused).toBeUndefined();
    expect(rig.world.nowMs - askedMs).toBeGreaterThan(DATABASE_LOCK_WAIT_MS_MAX);
    expect(rig.names()).toEqual(["a", "b"]);
    rig.begin("database.lock-wait", { probability: 1 });
    const againMs = rig.world.nowMs;
    expect(await failure(insert(one, "never"))).toMatchObject({ facts: { busy: true } });
    expect(rig.world.nowMs - againMs).toBeLessThan(DATABASE_BUSY_MS_MAX + 2 * DATABASE_LOCK_WAIT_MS_MAX);
  });
});

describe("F15: a connection that is lost", () => {
  test("before COMMIT costs another attempt and leaves nothing half", async () => {
    const rig = new DatabaseRig();
    const database = await rig.open();
    rig.begin("database.lost-before-commit", { probability: 0.2 });
    for (let time = 0; time < 20; time += 1) await insert(database, `${time} a`, `${time} b`);
    expect(rig.names()).toHaveLength(40);
    expect(rig.count("database.lost-before-commit")).toBeGreaterThan(5);
  });

  test.each([
    ["database.lost-at-commit-not-done", []],
    ["database.lost-at-commit-done", ["a", "b"]],
  ] as const)("during COMMIT leaves an unknown outcome: %s", async (kind, expected) => {
    const hasBeenLate = new Set<boolean>();
    for (let seed = 1; seed <= 10; seed += 1) {
      const rig = new DatabaseRig(seed);
      const [one, other] = [await rig.open(), await rig.open()];
      const fault = rig.begin(kind, { probability: 1 });
      expect(isOutcomeUnknown(await failure(insert(one, "a", "b")))).toBe(true);
      rig.server.faults.end(fault);
      const toldMs = rig.world.nowMs;
      // What decides waits for whatever is to become of the other.
      const seen = await other.transact((transaction) => transaction.lock(transaction.query.selectFrom("t_row").select("name")).execute());
      hasBeenLate.add(rig.world.nowMs - toldMs > 10);
      expect(seen).toHaveLength(expected.length);
      expect(rig.names()).toEqual(expected);
      expect(rig.count(kind)).toBe(1);
    }
    expect(hasBeenLate.size).toBe(2);
  });
});

describe("a server that is away", () => {
  test("for a moment costs time and no error", async () => {
    const rig = new DatabaseRig();
    const database = await rig.open();
    await insert(database, "before");
    const fault = rig.begin("database.away", { isSilent: false });
    const works = Promise.all([insert(database, "a"), database.read((query) => query.selectFrom("t_row").selectAll().execute())]);
    await rig.time.pass(500);
    rig.server.faults.end(fault);
    await works;
    expect(rig.names()).toEqual(["a", "before"]);
  });

  test.each([
    [false, DATABASE_AWAY_MS_MAX],
    [true, DATABASE_STATEMENT_MS_MAX + DATABASE_AWAY_MS_MAX],
  ])("for long is an error in time (silent: %s), and there again afterwards", async (isSilent, withinMs) => {
    const rig = new DatabaseRig();
    const database = await rig.open();
    await insert(database, "before");
    const fault = rig.begin("database.away", { isSilent });
    const askedMs = rig.world.nowMs;
    expect(await failure(insert(database, "a"))).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    expect(rig.world.nowMs - askedMs).toBeLessThanOrEqual(withinMs);
    expect(await failure(rig.open())).toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    rig.server.faults.end(fault);
    await insert(await rig.open(), "other");
    await insert(database, "b");
    expect(rig.names()).toEqual(["b", "before", "other"]);
  });

  test("takes what was under way with it", async () => {
    const rig = new DatabaseRig();
    const database = await rig.open();
    const works = Array.from({ length: 10 }, (_, index) => failure(insert(database, `${index} a`, `${index} b`)));
    await rig.time.pass(3);
    const fault = rig.begin("database.away", { isSilent: false });
    await rig.time.pass(300);
    rig.server.faults.end(fault);
    const failures = (await Promise.all(works)).filter((error) => error !== undefined);
    expect(failures.every(isOutcomeUnknown)).toBe(true);
    expect(rig.names().length).toBe(2 * (10 - failures.length));
  });
});

test("a slow server takes longer, and does the same", async () => {
  const rig = new DatabaseRig();
  const database = await rig.open();
  rig.begin("database.slow", { extraMs: 400 });
  const askedMs = rig.world.nowMs;
  await insert(database, "a", "b", "c");
  expect(rig.world.nowMs - askedMs).toBeGreaterThan(200);
  expect(rig.names()).toEqual(["a", "b", "c"]);
});

test("F16: a database that is rewound has what it had, and its users hear of it", async () => {
  const rig = new DatabaseRig();
  const database = await rig.open();
  await insert(database, "a");
  const snapshot = rig.server.takeSnapshot();
  await insert(database, "b");
  let heard = 0;
  rig.server.onRewind(() => {
    heard += 1;
  });
  const open = failure(insert(database, "c", "d"));
  await rig.time.pass(0.7);
  rig.server.rewind(snapshot);
  expect(rig.names()).toEqual(["a"]);
  expect(heard).toBe(1);
  expect(await open).toBeUndefined();
  expect(rig.names()).toEqual(["a", "c", "d"]);
});

test("every kind of fault is drawn the same for the same numbers", () => {
  const topology = { trackers: [], allocators: [], catalogs: [], storages: [], gateways: [], clients: [] };
  const drawn = () => DATABASE_FAULTS.map((kind) => kind.draw(new World(3).random.stream("plan", kind.kind), topology));
  expect(drawn()).toEqual(drawn());
});
