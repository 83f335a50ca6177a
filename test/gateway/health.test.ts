import { expect, test } from "vitest";
import { catalog } from "../../src/actors/catalog/contract.ts";
import { ids } from "../../src/actors/ids/contract.ts";
import { tracker } from "../../src/actors/tracker/contract.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { READINESS_GRACE_MS, READINESS_TIMEOUT_MS } from "../../src/core/limits.ts";
import { Readiness } from "../../src/gateway/readiness.ts";
import { healthRoutesOf } from "../../src/gateway/routes/health.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { Rig } from "./rig.ts";

const OK = { ok: true };
const ALL_WELL = { bus: OK, tracker: OK, ids: OK, catalog: OK, database: OK, storage: OK, disk: OK };

test("a gateway is ready when every part is there", async () => {
  await using rig = await Rig.start();
  const answer = await rig.ask("GET", "/readyz");
  expect(answer).toMatchObject({ status: 200, json: { ready: true } });
  expect(answer.json["checks"]).toEqual(ALL_WELL);
});

test("a part that is away is named with its reason, and the others are told as they are", async () => {
  await using rig = await Rig.start();
  rig.isTrackerThere = false;
  const away = { ok: false, code: "UNAVAILABLE", reason: "The tracker is away." };
  const answer = await rig.ask("GET", "/readyz");
  expect(answer).toMatchObject({ status: 503, fields: { "retry-after": "1" }, json: { ready: false } });
  expect(answer.json["checks"]).toEqual({ ...ALL_WELL, tracker: away, storage: away, disk: away });
});

test("F10: a database that is away is named, with those who miss it, and nothing of where it is", async () => {
  await using rig = await Rig.start();
  for (const role of ["ids", "catalog"]) rig.readyFaults.set(role, "DATABASE_UNAVAILABLE");
  const { status, json, bytes } = await rig.ask("GET", "/readyz");
  expect(status).toBe(503);
  const away = { ok: false, code: "DATABASE_UNAVAILABLE", reason: "The database does not answer; try again." };
  expect(json["checks"]).toEqual({
    ...ALL_WELL,
    ids: away,
    catalog: away,
    database: { ...away, reason: "The database does not answer: ids, catalog." },
  });
  expect(bytes.toString()).not.toContain("10.0.0.1");
});

test("nothing is said of a database that nobody can be asked about", async () => {
  await using rig = await Rig.start();
  for (const role of ["tracker", "ids", "catalog"]) rig.readyFaults.set(role, "UNAVAILABLE");
  expect((await rig.ask("GET", "/readyz")).json["checks"]).toMatchObject({ database: { ok: false, code: "UNAVAILABLE" } });
});

test("F3, F5: that no disk takes uploads is told with what keeps each from it, and reads go on", async () => {
  await using rig = await Rig.start();
  rig.areNodesClosed = true;
  rig.suspects.add("node2");
  const disk = async (): Promise<unknown> => {
    const { status, json } = await rig.ask("GET", "/readyz");
    expect(status).toBe(200);
    return (json["checks"] as Record<string, unknown>)["disk"];
  };
  expect(await disk()).toEqual({
    ok: false,
    code: "DISK_FAILED",
    reason: "No storage node of the 2 that are up takes uploads: 1 full, 1 with a suspect disk. Reads go on.",
  });
  rig.suspects.clear();
  expect(await disk()).toMatchObject({ code: "DISK_FULL", reason: expect.stringContaining("2 full") });
  // Nothing is to be emptied where there is room.
  rig.nodeFreeBytes = 10;
  expect(await disk()).toMatchObject({ code: "NO_NODES", reason: expect.stringContaining("2 stopping or starting") });
});

test("without a storage node that is up it is not ready", async () => {
  await using rig = await Rig.start();
  rig.nodeState = "offline";
  const none: { ok: false; code: ErrorCode } = { ok: false, code: "NO_NODES" };
  expect((await rig.ask("GET", "/readyz")).json).toMatchObject({ ready: false, checks: { storage: none, disk: none } });
});

test("asking changes nothing: no place is recorded and no ID is taken", async () => {
  await using rig = await Rig.start();
  const asked = new Set<string>();
  rig.bus.subscribe("troupe.v1.>", ({ subject }) => void asked.add(subject));
  await rig.ask("GET", "/readyz");
  const readOnly = [tracker, ids, catalog].flatMap(({ subject, requests }) =>
    Object.entries(requests).flatMap(([verb, request]) => (request.readOnly ? [`${subject}.${verb}`] : [])),
  );
  expect([...asked].sort()).toEqual(["catalog.ready", "ids.ready", "tracker.nodes", "tracker.ready"].map((name) => `troupe.v1.${name}`));
  for (const subject of asked) expect(readOnly).toContain(subject);
});

test("however many ask at once, each part is asked once, and again for those who come later", async () => {
  const clock = new VirtualClock();
  const readiness = new Readiness(clock);
  let asked = 0;
  const answers: (() => void)[] = [];
  readiness.add(() => {
    asked += 1;
    const answered = new Promise<undefined>((resolve) => answers.push(() => resolve(undefined)));
    return { database: answered };
  });
  const both = [readiness.report(), readiness.report()];
  answers[0]?.();
  expect(await Promise.all(both)).toEqual([
    { ready: true, checks: { database: OK } },
    { ready: true, checks: { database: OK } },
  ]);
  const third = readiness.report();
  answers[1]?.();
  await third;
  expect(asked).toBe(2);
});

test("a part that says nothing is told of as such, within the time", async () => {
  const clock = new VirtualClock();
  const readiness = new Readiness(clock);
  readiness.add(() => ({ bus: new Promise<never>(() => undefined), disk: Promise.resolve(undefined) }));
  const report = readiness.report();
  await clock.advance(READINESS_TIMEOUT_MS + READINESS_GRACE_MS);
  expect(await report).toMatchObject({ ready: false, checks: { bus: { ok: false, code: "DEADLINE_EXCEEDED" }, disk: OK } });
  expect(clock.timerCount).toBe(0);
});

test("of a process with several roles, a part is well when it is for all of them", async () => {
  const readiness = new Readiness(new VirtualClock());
  const fault = { code: "DATABASE_UNAVAILABLE", reason: "away" } as const;
  readiness.add(() => ({ bus: Promise.resolve(undefined), database: Promise.resolve(fault) }));
  readiness.add(() => ({ bus: Promise.resolve(undefined), database: Promise.resolve(undefined) }));
  expect(await readiness.report()).toEqual({ ready: false, checks: { bus: OK, database: { ok: false, ...fault } } });
});

test("any process can answer both addresses, without an actor behind", async () => {
  const readiness = new Readiness(new VirtualClock());
  readiness.add(() => ({ disk: Promise.resolve({ code: "DISK_FULL", reason: "full" }) }));
  const [alive, ready] = healthRoutesOf(readiness);
  const exchange = {} as Parameters<NonNullable<typeof alive>["endpoint"]>[0];
  expect(await alive?.endpoint(exchange)).toMatchObject({ status: 200, body: "ok\n" });
  // Without room for uploads it still serves reads.
  expect(await ready?.endpoint(exchange)).toMatchObject({ status: 200 });
});
