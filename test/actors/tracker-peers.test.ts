/** Several trackers: one that starts knows who is there before it is asked, and each goes on when another is gone. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type nodeReport, tracker } from "../../src/actors/tracker/contract.ts";
import { client } from "../../src/bus/client.ts";
import { defineContract, request } from "../../src/bus/contract.ts";
import { host } from "../../src/bus/host.ts";
import { RESTART_BACKOFF_MIN_MS, TRACKER_LISTENING_PERCENT } from "../../src/core/limits.ts";
import { type Log, SILENT_LOG } from "../../src/core/log.ts";
import { readableLog } from "../bus/theatre.ts";
import { HEARTBEAT_MS, OFFLINE_AFTER_MS, type StartedTracker, Trackers } from "../support/trackers.ts";

const LISTENING_MS = (HEARTBEAT_MS * TRACKER_LISTENING_PERCENT) / 100;

/** What `promise` came to while time stood still; `undefined` when it has not settled. */
async function soon<T>(trackers: Trackers, promise: Promise<T>): Promise<T | undefined> {
  let result: T | undefined;
  promise.then(
    (value) => {
      result = value;
    },
    () => undefined,
  );
  await trackers.clock.advance(0);
  return result;
}

/** Another version of a tracker, which says of its table what a test wants. */
async function hostPeer(trackers: Trackers, answer: (cursor: string | undefined) => unknown) {
  const loose = defineContract({
    name: "tracker",
    doc: "Of another version.",
    subject: "troupe.v1.tracker",
    requests: {
      table: request({
        doc: "The table.",
        input: z.object({ cursor: z.string().optional(), limit: z.int() }),
        output: z.looseObject({}),
        errors: [],
        to: "all",
      }),
    },
  });
  const bus = trackers.medium.connect();
  await host(bus, loose, {}, { clock: trackers.clock, random: trackers.random, log: SILENT_LOG }, async () => ({
    handlers: { table: ({ cursor }) => answer(cursor) as Record<string, unknown> },
  }));
  return bus;
}

const REPORT: z.output<typeof nodeReport> = {
  nodeId: "a",
  group: "group001",
  zone: "zone",
  version: "9",
  startedMs: 5,
  totalBytes: 10,
  freeBytes: 5,
  closedToUploads: false,
  state: "active",
  left: false,
  joinedMs: 7,
  silentMs: 1_000,
};

describe("a tracker that starts", () => {
  it("F26: knows at once what another knows, and answers alone when that one is gone", async () => {
    await using trackers = await Trackers.open();
    const first = await trackers.start({ isAlone: true });
    await trackers.bring("a", { dataUrl: "http://127.0.0.1:1" });
    await trackers.bring("b", { group: "group002" });
    await trackers.bring("c");
    await trackers.now(trackers.clients.leave({ nodeId: "c" }, { answersMax: 1 }));
    await trackers.clock.advance(1_000);
    expect(await soon(trackers, trackers.start())).toBeDefined();
    first.kill();
    expect(await trackers.states()).toEqual(["a active", "c offline", "b active"]);
    const { nodes } = await trackers.now(trackers.clients.nodes({}));
    expect(nodes[0]).toMatchObject({ dataUrl: "http://127.0.0.1:1", silentMs: 1_000 });
    const groups = await trackers.now(trackers.clients.groups({}));
    expect(groups.groups.every(({ createdMs }) => createdMs > 0)).toBe(true);
    // One that left is not brought back by a heartbeat that was late.
    const [late] = await trackers.now(trackers.clients.heartbeat({ nodeId: "c", freeBytes: 1 }, { answersMax: 1 }));
    expect(late).toMatchObject({ ok: false, error: { code: "NODE_NOT_FOUND" } });
  });

  it("F26: is not asked before it has listened for as long as every living node needs to speak", async () => {
    await using trackers = await Trackers.open();
    const starting = trackers.start();
    await trackers.clock.advance(LISTENING_MS - 500);
    await expect(trackers.now(trackers.clients.place({ app: "default", user: "ann", bytes: 1 }))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      facts: { noResponders: true },
    });
    await trackers.bring("a");
    expect(await soon(trackers, starting)).toBeUndefined();
    await trackers.clock.advance(500);
    expect(await soon(trackers, starting)).toBeDefined();
    expect(await trackers.states()).toEqual(["a active"]);
  });

  it("alone by its settings waits for nothing", async () => {
    await using trackers = await Trackers.open();
    expect(await soon(trackers, trackers.start({ isAlone: true }))).toBeDefined();
  });

  it("beside another that starts: each listens for itself, and neither waits longer for the other", async () => {
    await using trackers = await Trackers.open();
    const first = trackers.start();
    await trackers.clock.advance(1_000);
    const second = trackers.start();
    await trackers.bring("a");
    await trackers.clock.advance(LISTENING_MS - 1_000);
    expect(await soon(trackers, first)).toBeDefined();
    // The first one knows now, and has told the second.
    expect(await soon(trackers, second)).toBeDefined();
    (await first).kill();
    expect(await trackers.states()).toEqual(["a active"]);
  });

  it("F26: keeps what it heard itself while it was told something older", async () => {
    await using trackers = await Trackers.open();
    let answer = (_: unknown): void => undefined;
    const told = new Promise((resolve) => {
      answer = resolve;
    });
    await hostPeer(trackers, () => told);
    const starting = trackers.start();
    await trackers.clock.advance(100);
    await trackers.bring("a", { startedMs: 6, freeBytes: 77 });
    await trackers.clock.advance(100);
    answer({ nodes: [REPORT, { ...REPORT, nodeId: "b", silentMs: 0 }] });
    expect(await soon(trackers, starting)).toBeDefined();
    const { nodes } = await trackers.now(trackers.clients.nodes({}));
    expect(nodes).toMatchObject([
      { nodeId: "a", startedMs: 6, freeBytes: 77, silentMs: 100 },
      { nodeId: "b", freeBytes: 5, silentMs: 200 },
    ]);
  });

  it("F11: hears a node leave before it is told that the node was there", async () => {
    await using trackers = await Trackers.open();
    let answer = (_: unknown): void => undefined;
    const told = new Promise((resolve) => {
      answer = resolve;
    });
    await hostPeer(trackers, () => told);
    const starting = trackers.start();
    await trackers.clock.advance(100);
    for (const nodeId of ["a", "b"]) void trackers.clients.leave({ nodeId, startedMs: nodeId === "a" ? 5 : 4 }, { answersMax: 1 });
    await trackers.clock.advance(100);
    answer({ nodes: [REPORT, { ...REPORT, nodeId: "b" }] });
    await trackers.now(starting);
    // The leave of b was its earlier process's.
    expect(await trackers.states()).toEqual(["a offline", "b active"]);
  });

  it("takes what it understands from a tracker of a later version", async () => {
    await using trackers = await Trackers.open();
    await hostPeer(trackers, () => ({ nodes: [{ ...REPORT, colour: "red" }], mood: "fine" }));
    expect(await soon(trackers, trackers.start())).toBeDefined();
    expect(await trackers.states()).toEqual(["a active"]);
  });

  it("is told by somebody whom it does not understand: it listens, and starts", async () => {
    await using trackers = await Trackers.open();
    let asked = 0;
    await hostPeer(trackers, () => {
      asked += 1;
      return { nodes: [{ ...REPORT, state: "dreaming" }] };
    });
    const starting = trackers.start();
    await trackers.clock.advance(LISTENING_MS - 1);
    expect(await soon(trackers, starting)).toBeUndefined();
    await trackers.clock.advance(1);
    expect(await soon(trackers, starting)).toBeDefined();
    expect(asked).toBeLessThan(100);
  });

  it("F1: a tracker that dies while it tells its table costs the time to listen, and what it told stays", async () => {
    await using trackers = await Trackers.open();
    const peer = await hostPeer(trackers, (cursor) => {
      if (cursor === undefined) return { nodes: [REPORT], cursor: "group001.a" };
      peer.disconnect();
      return {};
    });
    const starting = trackers.start();
    await trackers.clock.advance(LISTENING_MS);
    expect(await soon(trackers, starting)).toBeDefined();
    expect(await trackers.states()).toEqual(["a active"]);
  });

  it("copies a table of several pages, and a copied node that is gone goes offline by its silence", async () => {
    await using trackers = await Trackers.open();
    const first = await trackers.start({ isAlone: true, groupNodesMax: 2_000 });
    for (let count = 0; count < 1_100; count += 1) await trackers.bring(`n${count}`);
    expect(await soon(trackers, trackers.start({ groupNodesMax: 2_000 }))).toBeDefined();
    first.kill();
    expect((await trackers.now(trackers.clients.groups({}))).groups).toMatchObject([{ nodeCount: 1_100, activeCount: 1_100 }]);
    await trackers.clock.advance(OFFLINE_AFTER_MS + HEARTBEAT_MS);
    expect((await trackers.now(trackers.clients.groups({}))).groups).toMatchObject([{ nodeCount: 1_100, activeCount: 0 }]);
  });
});

describe("a tracker that crashed", () => {
  /** A log that breaks the turn in which a node called `breaker` joins. */
  const breaking: Log = {
    ...SILENT_LOG,
    info(facts) {
      if (facts["nodeId"] === "breaker") throw new Error("the log is broken");
    },
    child: () => SILENT_LOG,
  };

  async function crash(trackers: Trackers): Promise<void> {
    const bus = trackers.medium.connect();
    void client(bus, tracker).join({ ...REPORT, nodeId: "breaker" }, { answersMax: 1 });
    // The pause before it is started again.
    await trackers.clock.advance(RESTART_BACKOFF_MIN_MS * 2);
    await trackers.now(bus.drain());
  }

  it("F1: is asked nothing in vain: it answers when it has another's table", async () => {
    await using trackers = await Trackers.open();
    const other = await trackers.start({ isAlone: true });
    const breaker: StartedTracker = await trackers.now(trackers.start({}, breaking));
    await trackers.bring("a");
    await crash(trackers);
    expect(breaker.hosted.statistics.crashes).toBe(1);
    other.kill();
    expect(await trackers.states()).toEqual(["a active", "breaker joined"]);
  });

  it("F1: and is alone now: questions wait until it has listened, and are answered then", async () => {
    await using trackers = await Trackers.open();
    const starting = trackers.start({}, breaking);
    await trackers.clock.advance(LISTENING_MS);
    const breaker = await starting;
    await trackers.bring("a");
    await crash(trackers);
    expect(breaker.hosted.statistics.crashes).toBe(1);
    const locating = trackers.clients.locate({ group: "group001" });
    expect(await soon(trackers, locating)).toBeUndefined();
    await trackers.bring("a");
    await trackers.clock.advance(LISTENING_MS);
    expect(await trackers.now(locating)).toMatchObject({ nodes: [{ nodeId: "a" }] });
  });
});

describe("the log of a tracker", () => {
  const NODES = ["a", "b", "c"];
  const beat = (trackers: Trackers, nodeId: string) =>
    trackers.now(trackers.clients.heartbeat({ nodeId, startedMs: 5, freeBytes: 1 }, { answersMax: 1 }));

  it("F10: has one line when it hears nobody any more, for it may be cut off itself, and one when that is over", async () => {
    await using trackers = await Trackers.open();
    const { log, lines } = readableLog();
    await trackers.start({ isAlone: true }, log);
    // They do not all speak at the same moment.
    for (const nodeId of NODES) {
      await trackers.bring(nodeId);
      await trackers.clock.advance(HEARTBEAT_MS / 2);
    }
    lines.length = 0;
    await trackers.clock.advance(3 * OFFLINE_AFTER_MS);
    expect(await trackers.states()).toEqual(["a offline", "b offline", "c offline"]);
    for (const nodeId of NODES) await beat(trackers, nodeId);
    expect(await trackers.states()).toEqual(["a active", "b active", "c active"]);
    expect(lines.map(({ level, sentence }) => `${level}: ${sentence}`)).toEqual([
      "warn: No node is heard any more: silent ones count as offline, or this tracker is cut off.",
      "info: Nodes are heard again.",
    ]);
  });

  it("F1: names each node that is silent while others speak", async () => {
    await using trackers = await Trackers.open();
    const { log, lines } = readableLog();
    await trackers.start({ isAlone: true }, log);
    for (const nodeId of NODES) await trackers.bring(nodeId);
    lines.length = 0;
    for (let passedMs = 0; passedMs < 2 * OFFLINE_AFTER_MS; passedMs += HEARTBEAT_MS) {
      await beat(trackers, "b");
      await trackers.clock.advance(HEARTBEAT_MS);
    }
    expect(lines.map(({ facts, sentence }) => `${facts["nodeId"]}: ${sentence}`)).toEqual([
      "a: A node is silent and counts as offline.",
      "c: A node is silent and counts as offline.",
    ]);
  });
});
