/** The tracker with a real database: joining, placement, listings. Asked over the bus, as everybody does. */
import { describe, expect, it, onTestFinished } from "vitest";
import { startTracker } from "../../src/actors/tracker/actor.ts";
import { type NodeAnnouncement, tracker } from "../../src/actors/tracker/contract.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import { type CallOptions, client } from "../../src/bus/client.ts";
import type { InputOf, OutputOf, Verb } from "../../src/bus/contract.ts";
import { host } from "../../src/bus/host.ts";
import { LoopbackMedium } from "../../src/bus/loopback.ts";
import { DRAIN_MS_MAX } from "../../src/core/limits.ts";
import { SILENT_LOG } from "../../src/core/log.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { migrationsDirectory } from "../../src/store/sql/databases.ts";
import { openSqlite } from "../../src/store/sql/sqlite-database.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { StallingClock } from "../support/stalling-clock.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

type Tracker = typeof tracker;
const HEARTBEAT_MS = 3_000;
const OFFLINE_AFTER_MS = 10_000;

async function openDatabase(clock: VirtualClock): Promise<Database<TrackerTables>> {
  const database = await openSqlite<TrackerTables>({
    path: ":memory:",
    migrations: migrationsDirectory("tracker"),
    clock,
    random: new SeededRandom(7),
    log: SILENT_LOG,
  });
  onTestFinished(() => database.close());
  return database;
}

interface Setup {
  readonly clock?: VirtualClock;
  readonly database?: Database<TrackerTables>;
  readonly seed?: number;
  readonly groupsMax?: number;
  readonly groupNodesMax?: number;
}

/** There is one tracker on a test's bus: the first answer is all there are, and nobody need wait for more. */
const soloTracker = {
  ...tracker,
  requests: Object.fromEntries(Object.entries(tracker.requests).map(([verb, definition]) => [verb, { ...definition, to: "one" as const }])),
};

/** One tracker in its host on a loopback bus, asked through its client. */
async function start(setup: Setup = {}) {
  const clock = setup.clock ?? new VirtualClock();
  const database = setup.database ?? (await openDatabase(clock));
  const { seed = 1, groupsMax, groupNodesMax } = setup;
  const ports = { clock, random: new SeededRandom(seed), log: SILENT_LOG };
  const bus = new LoopbackMedium(ports).connect();
  const options = { ...ports, database, heartbeatMs: HEARTBEAT_MS, offlineAfterMs: OFFLINE_AFTER_MS };
  const bounds = { ...(groupsMax === undefined ? {} : { groupsMax }), ...(groupNodesMax === undefined ? {} : { groupNodesMax }) };
  const hosted = await host(bus, tracker, {}, ports, startTracker({ ...options, ...bounds }));
  const stop = () => until(clock, hosted.stop());
  onTestFinished(async () => {
    await stop();
    await until(clock, bus.drain());
  });
  const trackers = client(bus, soloTracker);
  async function ask<V extends Verb<Tracker>>(verb: V, input: InputOf<Tracker, V>, owner?: string): Promise<OutputOf<Tracker, V>> {
    const call = trackers[verb] as (input: unknown, options: CallOptions) => Promise<OutputOf<Tracker, V>>;
    return until(clock, call(input, owner === undefined ? {} : { principal: { owner } }));
  }
  const join = (nodeId: string, changes: Partial<NodeAnnouncement> = {}) =>
    ask("join", { nodeId, group: "group001", zone: "zone", version: "1", startedMs: 5, totalBytes: 10_000, freeBytes: 1_000, ...changes });
  /** Joins and is heard once. */
  const bring = async (nodeId: string, changes: Partial<NodeAnnouncement> = {}): Promise<void> => {
    await join(nodeId, changes);
    await ask("heartbeat", { nodeId, freeBytes: changes.freeBytes ?? 1_000, closedToUploads: changes.closedToUploads ?? false });
  };
  return { clock, database, hosted, ask, join, bring, stop };
}

/** The database, whose transactions wait while it is held. */
function gatedDatabase(database: Database<TrackerTables>) {
  let gate = Promise.resolve();
  let open = (): void => undefined;
  return {
    read: (work) => database.read(work),
    transact: (work) => gate.then(() => database.transact(work)),
    close: () => database.close(),
    hold(): void {
      gate = new Promise((resolve) => {
        open = resolve;
      });
    },
    release: () => open(),
  } satisfies Database<TrackerTables> & { hold(): void; release(): void };
}

/** Lets timers that are due run until the promise has settled: time itself stands still. */
async function until<T>(clock: VirtualClock, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = promise.finally(() => {
    isSettled = true;
  });
  // It is awaited below; until then a rejection must not count as unhandled.
  settled.catch(() => undefined);
  while (!isSettled) await clock.advance(0);
  return settled;
}

const place = { app: "default", user: "ann", bytes: 100 };

async function routes(database: Database<TrackerTables>): Promise<string[]> {
  const rows = await database.read((query) => query.selectFrom("t_router").selectAll().orderBy("user").execute());
  return rows.map((row) => [row.app, row.user, row.group_name].map((column) => Buffer.from(column).toString()).join(" "));
}

describe("joining", () => {
  it("is answered with the times to keep, records the group, and takes a heartbeat to count", async () => {
    const { ask, join, database } = await start();
    expect(await join("a")).toEqual({ heartbeatMs: HEARTBEAT_MS, offlineAfterMs: OFFLINE_AFTER_MS });
    await expect(ask("locate", { group: "group001" })).rejects.toMatchObject({ code: "NO_NODES" });
    await ask("heartbeat", { nodeId: "a", freeBytes: 900 });
    expect(await ask("locate", { group: "group001" })).toEqual({ group: "group001", nodes: [{ nodeId: "a" }] });
    const groups = await database.read((query) => query.selectFrom("t_group_info").select("group_name").execute());
    expect(groups.map((row) => Buffer.from(row.group_name).toString())).toEqual(["group001"]);
  });

  it("a heartbeat of an unknown node is NODE_NOT_FOUND, after a restart too, and joining mends it", async () => {
    const first = await start();
    await first.bring("a");
    await first.stop();
    const second = await start({ clock: first.clock, database: first.database });
    await expect(second.ask("heartbeat", { nodeId: "a", freeBytes: 1 })).rejects.toMatchObject({ code: "NODE_NOT_FOUND" });
    expect((await second.ask("groups", {})).groups).toMatchObject([{ group: "group001", nodeCount: 0, activeCount: 0 }]);
    await second.bring("a");
    expect((await second.ask("groups", {})).groups).toMatchObject([{ group: "group001", nodeCount: 1, activeCount: 1 }]);
  });

  it("a node that leaves is offline at once", async () => {
    const { ask, bring } = await start();
    await bring("a");
    await ask("leave", { nodeId: "a" });
    await expect(ask("locate", { group: "group001" })).rejects.toMatchObject({ code: "NO_NODES" });
    expect(await ask("leave", { nodeId: "nobody" })).toEqual({});
  });

  it("a silent node is offline after the time set, and back with its next heartbeat", async () => {
    const { ask, bring, clock } = await start();
    await bring("a");
    await clock.advance(OFFLINE_AFTER_MS - 1_000);
    expect((await ask("nodes", {})).nodes).toMatchObject([{ nodeId: "a", state: "active" }]);
    await clock.advance(1_000 + HEARTBEAT_MS);
    expect((await ask("nodes", {})).nodes).toMatchObject([{ nodeId: "a", state: "offline" }]);
    await ask("heartbeat", { nodeId: "a", freeBytes: 900 });
    expect((await ask("nodes", {})).nodes).toMatchObject([{ nodeId: "a", state: "active", silentMs: 0 }]);
  });

  it.each([3_600_000, -3_600_000])("F9: a wall clock that jumps by %i ms makes nobody offline and keeps nobody alive", async (jumpMs) => {
    const { ask, bring, clock } = await start();
    await bring("a");
    clock.jumpWall(jumpMs);
    await clock.advance(HEARTBEAT_MS);
    expect((await ask("nodes", {})).nodes).toMatchObject([{ state: "active", silentMs: HEARTBEAT_MS }]);
    await clock.advance(OFFLINE_AFTER_MS);
    expect((await ask("nodes", {})).nodes).toMatchObject([{ state: "offline" }]);
  });

  it("F8: a tracker that stood still for a minute before it had looked once holds it against nobody", async () => {
    const clock = new StallingClock();
    const { ask, bring } = await start({ clock });
    await bring("a");
    clock.stall(60_000);
    await clock.advance(HEARTBEAT_MS);
    expect(await ask("locate", { group: "group001" })).toEqual({ group: "group001", nodes: [{ nodeId: "a" }] });
  });

  it("I17: a join, heartbeat or leave on behalf of a person is refused", async () => {
    const { ask, bring } = await start();
    await bring("a");
    const forged = { nodeId: "a", group: "group001", zone: "zone", version: "1", startedMs: 5, totalBytes: 1, freeBytes: 1 };
    await expect(ask("join", forged, "ann")).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(ask("heartbeat", { nodeId: "a", freeBytes: 0 }, "ann")).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(ask("leave", { nodeId: "a" }, "ann")).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect((await ask("nodes", {})).nodes).toMatchObject([{ nodeId: "a", state: "active", freeBytes: 1_000 }]);
  });

  it("I17: a join that moves a live node to another address is refused, and the first stays", async () => {
    const { ask, bring, join } = await start();
    await bring("a", { dataUrl: "http://127.0.0.1:1" });
    await expect(join("a", { dataUrl: "http://127.0.0.1:2" })).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect((await ask("locate", { group: "group001" })).nodes).toEqual([{ nodeId: "a", dataUrl: "http://127.0.0.1:1" }]);
  });

  it("I16: an identity that could not stand in a subject is refused by the contract", async () => {
    const { join } = await start();
    for (const nodeId of ["*", ">", "a.b", "..", "", "a b", "x".repeat(4096)]) {
      await expect(join(nodeId)).rejects.toThrow();
      await expect(join("a", { group: nodeId })).rejects.toThrow();
    }
  });

  it("groups and nodes of a group are bounded, and a refused join records nothing", async () => {
    const { join, database, ask } = await start({ groupsMax: 2, groupNodesMax: 1 });
    const outcomes = await Promise.allSettled([
      join("a", { group: "g1" }),
      join("b", { group: "g2" }),
      join("c", { group: "g3" }),
      join("d", { group: "g1" }),
    ]);
    expect(outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason.code : "joined"))).toEqual([
      "joined",
      "joined",
      "TOO_MANY",
      "TOO_MANY",
    ]);
    expect(await database.read((query) => query.selectFrom("t_group_info").select("group_name").execute())).toHaveLength(2);
    expect((await ask("nodes", {})).nodes.map((node) => node.nodeId)).toEqual(["a", "b"]);
  });

  it("a join that waits for the database when the tracker stops gets a retryable answer", async () => {
    const clock = new VirtualClock();
    const gated = gatedDatabase(await openDatabase(clock));
    gated.hold();
    const { join, hosted } = await start({ clock, database: gated });
    const outcome = join("a").catch((error: unknown) => error);
    await clock.advance(0);
    const stopping = hosted.stop();
    await clock.advance(DRAIN_MS_MAX);
    expect(await outcome).toMatchObject({ code: "UNAVAILABLE" });
    await stopping;
    gated.release();
  });

  it("a database that does not answer a join keeps no heartbeat waiting", async () => {
    const clock = new VirtualClock();
    const gated = gatedDatabase(await openDatabase(clock));
    const { ask, bring, join } = await start({ clock, database: gated });
    await bring("a");
    gated.hold();
    const joining = join("b", { group: "group002" });
    expect(await ask("heartbeat", { nodeId: "a", freeBytes: 800 })).toEqual({});
    gated.release();
    await joining;
    expect((await ask("groups", {})).groups.map(({ group }) => group)).toEqual(["group001", "group002"]);
  });
});

describe("placement", () => {
  it("without a live node it is NO_NODES, and nothing is recorded", async () => {
    const { ask, join, database } = await start();
    await expect(ask("place", place)).rejects.toMatchObject({ code: "NO_NODES" });
    await join("a");
    await expect(ask("place", place)).rejects.toMatchObject({ code: "NO_NODES" });
    expect(await routes(database)).toEqual([]);
  });

  it("a user's first group is recorded and stays the first choice", async () => {
    const { ask, bring, database } = await start();
    await bring("a", { group: "g1" });
    await bring("b", { group: "g2" });
    const first = await ask("place", place);
    for (let count = 0; count < 10; count += 1) expect((await ask("place", place)).group).toBe(first.group);
    expect(await routes(database)).toEqual([`default ann ${first.group}`]);
  });

  it("users whose names differ in case or trailing space are different users, and an app is part of the key", async () => {
    const { ask, bring, database } = await start();
    await bring("a");
    for (const user of ["ann", "Ann", "ann ", "änn"]) await ask("place", { ...place, user });
    await ask("place", { ...place, app: "other" });
    expect(await routes(database)).toHaveLength(5);
  });

  it("first choices are spread by free space", async () => {
    const { ask, bring } = await start();
    await bring("a", { group: "g1", freeBytes: 1_000 });
    await bring("b", { group: "g2", freeBytes: 3_000 });
    let toSecond = 0;
    for (let count = 0; count < 400; count += 1) if ((await ask("place", { ...place, user: `u${count}` })).group === "g2") toSecond += 1;
    expect(toSecond).toBeGreaterThan(250);
    expect(toSecond).toBeLessThan(350);
  });

  it("two trackers that choose at once agree: the database decides", async () => {
    const clock = new VirtualClock();
    const database = await openDatabase(clock);
    const trackers = [await start({ clock, database, seed: 1 }), await start({ clock, database, seed: 99 })];
    for (const each of trackers) for (const group of ["g1", "g2", "g3", "g4"]) await each.bring(`node-${group}`, { group });
    for (let count = 0; count < 20; count += 1) {
      const placed = await Promise.all(trackers.map((each) => each.ask("place", { ...place, user: `u${count}` })));
      expect(placed[0]?.group).toBe(placed[1]?.group);
    }
    expect(await routes(database)).toHaveLength(20);
  });

  it.each([
    ["full", { freeBytes: 50, closedToUploads: false }],
    ["closed to uploads", { freeBytes: 5_000, closedToUploads: true }],
  ])("a group that is %s yields to the roomiest other, and the record stays", async (_, heartbeat) => {
    const { ask, bring, database } = await start();
    await bring("a", { group: "g1" });
    await ask("place", place);
    await bring("b", { group: "g2", freeBytes: 500 });
    await bring("c", { group: "g3", freeBytes: 900 });
    await ask("heartbeat", { nodeId: "a", ...heartbeat });
    expect((await ask("place", place)).group).toBe("g3");
    expect(await routes(database)).toEqual(["default ann g1"]);
    await ask("heartbeat", { nodeId: "a", freeBytes: 100 });
    expect((await ask("place", place)).group).toBe("g1");
  });

  it("a group whose nodes are all away yields too", async () => {
    const { ask, bring } = await start();
    await bring("a", { group: "g1" });
    await ask("place", place);
    await bring("b", { group: "g2" });
    await ask("leave", { nodeId: "a" });
    expect((await ask("place", place)).group).toBe("g2");
  });

  it("when the nodes that are up have room and are closed to uploads it is NO_NODES, however little is wanted", async () => {
    const { ask, bring } = await start();
    await bring("a", { group: "g1", closedToUploads: true });
    await bring("b", { group: "g2", closedToUploads: true });
    await expect(ask("place", { ...place, bytes: 0 })).rejects.toMatchObject({
      code: "NO_NODES",
      message: expect.stringContaining("up: 2"),
    });
    // What is closed has not to be emptied.
    await expect(ask("place", { ...place, bytes: 1_000_000 })).rejects.toMatchObject({ code: "NO_NODES" });
    await ask("heartbeat", { nodeId: "b", freeBytes: 0, closedToUploads: true });
    await expect(ask("place", { ...place, bytes: 0 })).rejects.toMatchObject({ code: "DISK_FULL" });
  });

  it("when no node has the space it is DISK_FULL", async () => {
    const { ask, bring, database } = await start();
    await bring("a");
    await expect(ask("place", { ...place, bytes: 1_001 })).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(await routes(database)).toEqual([]);
    expect((await ask("place", { ...place, bytes: 1_000 })).group).toBe("group001");
  });

  it("only nodes with the space are named, at most three, beginning anywhere", async () => {
    const { ask, bring } = await start();
    for (const nodeId of ["a", "b", "c", "d", "e"]) await bring(nodeId);
    await bring("small", { freeBytes: 10 });
    const firsts = new Set<string>();
    for (let count = 0; count < 60; count += 1) {
      const { nodes } = await ask("place", place);
      expect(nodes).toHaveLength(3);
      expect(new Set(nodes.map((node) => node.nodeId)).size).toBe(3);
      expect(nodes.map((node) => node.nodeId)).not.toContain("small");
      firsts.add(nodes[0]?.nodeId ?? "");
    }
    expect([...firsts].sort()).toEqual(["a", "b", "c", "d", "e"]);
  });
});

describe("listings", () => {
  it("groups come in pages, with their space and how many of their nodes are active", async () => {
    const { ask, bring, join } = await start();
    await bring("a", { group: "g1", freeBytes: 10, totalBytes: 20 });
    await bring("b", { group: "g1", freeBytes: 5, totalBytes: 20 });
    await join("c", { group: "g1" });
    await join("d", { group: "g2" });
    await join("e", { group: "g3" });
    const first = await ask("groups", { limit: 2 });
    expect(first.groups).toMatchObject([
      { group: "g1", nodeCount: 3, activeCount: 2, freeBytes: 15, totalBytes: 40 },
      { group: "g2", nodeCount: 1, activeCount: 0, freeBytes: 0 },
    ]);
    const second = await ask("groups", { limit: 2, cursor: first.cursor });
    expect(second.groups.map(({ group }) => group)).toEqual(["g3"]);
    expect(second.cursor).toBeUndefined();
  });

  it("nodes come in pages of one order, whatever their names, and each once", async () => {
    const { ask, join } = await start();
    const named = ["g-1 a", "g a", "g b", "g1 a", "g_1 -a", "g_1 0", "g_1 _"].map((text) => text.split(" ") as [string, string]);
    for (const [group, nodeId] of named) await join(`${group}-${nodeId}`, { group });
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await ask("nodes", { limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.nodes.map((node) => node.nodeId));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen).toEqual([...new Set(seen)]);
    expect(seen).toHaveLength(named.length);
    expect((await ask("nodes", { group: "g" })).nodes.map((node) => node.nodeId)).toEqual(["g-a", "g-b"]);
    expect((await ask("nodes", { group: "nowhere" })).nodes).toEqual([]);
  });

  it("a cursor of another make is BAD_CURSOR", async () => {
    const { ask } = await start();
    for (const cursor of ["", "a b", "a.b.c", "../x"]) {
      await expect(ask("nodes", { cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
      await expect(ask("groups", { cursor })).rejects.toMatchObject({ code: "BAD_CURSOR" });
    }
  });

  it("an unknown group is GROUP_NOT_FOUND", async () => {
    const { ask } = await start();
    await expect(ask("locate", { group: "nowhere" })).rejects.toMatchObject({ code: "GROUP_NOT_FOUND" });
  });

  it("what nodes claim may be absurd and is still answered", async () => {
    const { ask, bring } = await start();
    for (const nodeId of ["a", "b"]) await bring(nodeId, { freeBytes: Number.MAX_SAFE_INTEGER, totalBytes: Number.MAX_SAFE_INTEGER });
    expect((await ask("groups", {})).groups).toMatchObject([{ freeBytes: Number.MAX_SAFE_INTEGER }]);
    expect((await ask("place", place)).group).toBe("group001");
  });
});
