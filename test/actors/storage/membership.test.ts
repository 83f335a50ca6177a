/** How a storage node stays known to several trackers, under a clock that the test moves. */
import { describe, expect, it, onTestFinished } from "vitest";
import { openDataDirectory } from "../../../src/actors/storage/data-directory.ts";
import { Membership } from "../../../src/actors/storage/membership.ts";
import { type NodeAnnouncement, tracker } from "../../../src/actors/tracker/contract.ts";
import { playStorage, type Undo } from "../../../src/bin/cast.ts";
import { client } from "../../../src/bus/client.ts";
import type { LoopbackBus } from "../../../src/bus/loopback.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { HEARTBEAT_ANSWERS_PERCENT } from "../../../src/core/limits.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import { TokenMint } from "../../../src/data-plane/token.ts";
import { NodeDisk } from "../../../src/store/node-disk.ts";
import { type LogLine, readableLog } from "../../bus/theatre.ts";
import { InlineHasher } from "../../support/inline-hasher.ts";
import { NO_HTTP } from "../../support/no-http.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { HEARTBEAT_MS, OFFLINE_AFTER_MS, Trackers } from "../../support/trackers.ts";

const ANSWERS_MS = (HEARTBEAT_MS * HEARTBEAT_ANSWERS_PERCENT) / 100;

interface PlayedNode {
  /** Told each time the name is given up. */
  readonly lost: string[];
  /** Heartbeats that no tracker answered well. */
  missed: number;
  readonly membership: Membership;
  readonly bus: LoopbackBus;
  readonly lines: LogLine[];
  /** What the disk does when it is asked for its space. */
  space: () => Promise<number>;
}

function playNode(trackers: Trackers, changes: Partial<NodeAnnouncement> = {}): PlayedNode {
  const bus = trackers.medium.connect();
  const { log, lines } = readableLog();
  const node: PlayedNode = {
    bus,
    lines,
    lost: [],
    missed: 0,
    space: async () => 500,
    membership: new Membership(client(bus, tracker), trackers.clock, log, {
      heartbeatMs: HEARTBEAT_MS,
      missed: () => {
        node.missed += 1;
      },
      nameLost: (refusal) => node.lost.push(refusal.code),
      announce: async () => ({
        nodeId: "a",
        group: "group001",
        zone: "zone",
        version: "1",
        startedMs: 5,
        directoryMadeMs: 3,
        totalBytes: 1_000,
        freeBytes: await node.space(),
        closedToUploads: false,
        ...changes,
      }),
    }),
  };
  onTestFinished(async () => {
    bus.disconnect();
    await node.membership.stop();
  });
  return node;
}

/** A whole storage node on a real directory. */
async function startNode(trackers: Trackers, root: string, dataUrl: string): Promise<AsyncDisposable & { kill(): Promise<void> }> {
  const bus = trackers.medium.connect();
  const { clock, random } = trackers;
  const disk = new NodeDisk();
  const undo: Undo = [];
  const directory = await openDataDirectory({ disk, clock, random }, root, undefined);
  const kill = async (): Promise<void> => {
    bus.disconnect();
    // What the operating system would take back, without a word to anybody.
    for (const step of undo.splice(0).reverse()) await trackers.now(step()).catch(() => undefined);
    await directory.release();
  };
  const stage = {
    clock,
    random,
    undo,
    log: SILENT_LOG,
    nodeId: directory.nodeId,
    version: "1.0.0",
    isAlone: true,
    connect: async () => bus,
  };
  const role = {
    disk,
    directory,
    dataUrl,
    hasher: new InlineHasher(disk),
    tokens: new TokenMint(clock, random),
    http: NO_HTTP,
    group: "group001",
    zone: "zone",
    heartbeatMs: HEARTBEAT_MS,
    verifyAgeMs: 0,
    deleteGraceMs: 0,
    diskReserveBytes: 0,
    fileBytesMax: 1_000,
    idleExpiryMs: 60_000,
    onNameLost: () => undefined,
  };
  try {
    await trackers.now(playStorage(stage, role));
  } catch (error) {
    await kill();
    throw error;
  }
  return { kill, [Symbol.asyncDispose]: kill };
}

const complaints = (node: PlayedNode) => node.lines.filter(({ level }) => level === "error").map(({ sentence }) => sentence);

describe("a node and its trackers", () => {
  it("is placed as soon as it has started, by whichever tracker is asked", async () => {
    await using trackers = await Trackers.open();
    for (let count = 0; count < 2; count += 1) await trackers.start({ isAlone: true });
    await trackers.now(playNode(trackers).membership.start());
    await trackers.clock.advance(ANSWERS_MS);
    for (let time = 0; time < 10; time += 1) expect(await trackers.states()).toEqual(["a active"]);
  });

  it("starts without waiting, also when a tracker is dead or none is there", async () => {
    await using trackers = await Trackers.open();
    const alone = playNode(trackers);
    await trackers.now(alone.membership.start());
    await trackers.start({ isAlone: true });
    // Who died without a goodbye is still on the list of those who are asked.
    trackers.medium.connect().subscribe("troupe.v1.tracker.*", () => undefined);
    await trackers.now(playNode(trackers, { nodeId: "b" }).membership.start());
    expect(await trackers.states()).toEqual(["b active"]);
    await trackers.clock.advance(HEARTBEAT_MS);
    expect(await trackers.states()).toEqual(["a active", "b active"]);
  });

  it("F26: is known soon to a tracker that knew it not, while the other goes on knowing it", async () => {
    await using trackers = await Trackers.open();
    const first = await trackers.start({ isAlone: true });
    await trackers.now(playNode(trackers).membership.start());
    // It has copied nothing: it begins as an empty one would.
    await trackers.start({ isAlone: true });
    await trackers.clock.advance(HEARTBEAT_MS + ANSWERS_MS);
    for (let time = 0; time < 10; time += 1) expect(await trackers.states()).toEqual(["a active"]);
    first.kill();
    expect(await trackers.states()).toEqual(["a active"]);
  });

  it("speaks every heartbeat, however long its trackers take to answer", async () => {
    await using trackers = await Trackers.open();
    let heard = 0;
    trackers.bus.subscribe("troupe.v1.tracker.heartbeat", () => void (heard += 1));
    await trackers.start({ isAlone: true });
    await trackers.now(playNode(trackers).membership.start());
    await trackers.clock.advance(ANSWERS_MS);
    heard = 0;
    await trackers.clock.advance(10 * HEARTBEAT_MS);
    expect(heard).toBe(10);
  });

  it("says when it leaves, and stops also when nobody can hear it", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    const node = playNode(trackers);
    await trackers.now(node.membership.start());
    await trackers.now(node.membership.stop());
    expect(await trackers.states()).toEqual(["a offline"]);
    const cut = playNode(trackers, { nodeId: "b" });
    await trackers.now(cut.membership.start());
    cut.bus.disconnect();
    await trackers.now(cut.membership.stop());
  });
});

describe("the log of a node", () => {
  it("F10: has one line when no tracker is reached, whatever it lasts, another when the reason changes, and one when it is over", async () => {
    await using trackers = await Trackers.open();
    const node = playNode(trackers);
    await trackers.now(node.membership.start());
    await trackers.clock.advance(10 * HEARTBEAT_MS);
    const ask = node.bus.requestMany.bind(node.bus);
    node.bus.requestMany = () => Promise.reject(new TroupeError("BUS_UNAVAILABLE"));
    await trackers.clock.advance(10 * HEARTBEAT_MS);
    node.bus.requestMany = ask;
    const { missed } = node;
    expect(missed).toBeGreaterThanOrEqual(18);
    await trackers.start({ isAlone: true });
    await trackers.clock.advance(10 * HEARTBEAT_MS);
    expect(node.missed).toBeLessThanOrEqual(missed + 1);
    expect(node.lines.map(({ level, sentence }) => `${level}: ${sentence}`)).toEqual([
      "warn: No tracker has taken this node in yet; it tries again at the next heartbeat.",
      "warn: The heartbeat did not reach a tracker; it is tried again.",
      "info: A tracker hears this node again.",
    ]);
  });
});

describe("a slow disk", () => {
  it("F8: one that takes ten seconds to tell its space makes nobody silent", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    const node = playNode(trackers);
    await trackers.now(node.membership.start());
    let asked = 0;
    node.space = () => {
      asked += 1;
      return new Promise((resolve) => void trackers.clock.setTimer(10_000, () => resolve(400)));
    };
    for (let passedMs = 0; passedMs < 5 * OFFLINE_AFTER_MS; passedMs += 500) {
      await trackers.clock.advance(500);
      const { nodes } = await trackers.now(trackers.clients.nodes({}));
      expect(nodes[0]?.state).toBe("active");
      expect(nodes[0]?.silentMs).toBeLessThanOrEqual(HEARTBEAT_MS + ANSWERS_MS);
    }
    expect((await trackers.now(trackers.clients.nodes({}))).nodes[0]?.freeBytes).toBe(400);
    // One question at a time.
    expect(asked).toBeLessThanOrEqual(5);
  });

  it("F4: one that does not tell its space takes no uploads, and the node stays", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    const node = playNode(trackers);
    await trackers.now(node.membership.start());
    node.space = () => Promise.reject(new Error("the disk is broken"));
    await trackers.clock.advance(2 * OFFLINE_AFTER_MS);
    expect((await trackers.now(trackers.clients.nodes({}))).nodes).toMatchObject([{ state: "active", closedToUploads: true }]);
    node.space = async () => 300;
    await trackers.clock.advance(HEARTBEAT_MS);
    expect((await trackers.now(trackers.clients.nodes({}))).nodes).toMatchObject([{ closedToUploads: false, freeBytes: 300 }]);
  });
});

describe("one name", () => {
  it("F1: a node that was killed and starts again elsewhere is back at once", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    await trackers.start({ isAlone: true });
    const killed = playNode(trackers, { dataUrl: "http://127.0.0.1:1" });
    await trackers.now(killed.membership.start());
    killed.bus.disconnect();
    const again = playNode(trackers, { startedMs: 6, dataUrl: "http://127.0.0.1:2" });
    await trackers.now(again.membership.start());
    await trackers.clock.advance(ANSWERS_MS);
    for (let time = 0; time < 10; time += 1) {
      const { nodes } = await trackers.now(trackers.clients.locate({ group: "group001" }));
      expect(nodes).toEqual([{ nodeId: "a", dataUrl: "http://127.0.0.1:2" }]);
    }
  });

  it("F1, F9: a node that was killed and starts again with the wall clock set back is back at once", async () => {
    await using root = await temporaryDirectory();
    await using trackers = await Trackers.open();
    for (let count = 0; count < 2; count += 1) await trackers.start({ isAlone: true });
    await using killed = await startNode(trackers, root.path, "http://127.0.0.1:1");
    await killed.kill();
    trackers.clock.jumpWall(-3_600_000);
    await using _again = await startNode(trackers, root.path, "http://127.0.0.1:2");
    await trackers.clock.advance(ANSWERS_MS);
    for (let time = 0; time < 10; time += 1) {
      const { nodes } = await trackers.now(trackers.clients.locate({ group: "group001" }));
      expect(nodes).toMatchObject([{ dataUrl: "http://127.0.0.1:2" }]);
    }
  });

  it("I17: a second node of a live one's name does not start, says why, and the first stays placed", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    await trackers.start({ isAlone: true });
    await trackers.now(playNode(trackers).membership.start());
    const starting = playNode(trackers, { directoryMadeMs: 4, startedMs: 9 }).membership.start();
    starting.catch(() => undefined);
    await trackers.clock.advance(HEARTBEAT_MS);
    await expect(starting).rejects.toMatchObject({ code: "FORBIDDEN", detail: expect.stringContaining("A live node is called a") });
    for (let passedMs = 0; passedMs < 2 * OFFLINE_AFTER_MS; passedMs += 1_000) {
      await trackers.clock.advance(1_000);
      const { nodes } = await trackers.now(trackers.clients.nodes({}));
      expect(nodes).toMatchObject([{ state: "active", startedMs: 5 }]);
    }
  });

  it("I17: of two processes on copies of one directory the earlier is told in words, and the later stays", async () => {
    await using trackers = await Trackers.open();
    await trackers.start({ isAlone: true });
    const earlier = playNode(trackers);
    await trackers.now(earlier.membership.start());
    const later = playNode(trackers, { startedMs: 6 });
    await trackers.now(later.membership.start());
    for (let passedMs = 0; passedMs < 2 * OFFLINE_AFTER_MS; passedMs += 1_000) {
      await trackers.clock.advance(1_000);
      expect((await trackers.now(trackers.clients.nodes({}))).nodes).toMatchObject([{ startedMs: 6 }]);
    }
    expect(complaints(earlier).at(-1)).toContain("Two nodes have one name");
    expect(complaints(later)).toEqual([]);
  });
});
