/** A storage node as a tracker sees it: every state with every event, and what the table of members makes of it. */
import { describe, expect, it } from "vitest";
import type { NodeAnnouncement } from "../../src/actors/tracker/contract.ts";
import { NODE_PLACES, NODE_TABLE, type NodeEvent, type NodePlace } from "../../src/actors/tracker/machine.ts";
import { Membership } from "../../src/actors/tracker/membership.ts";

const EVENTS: readonly NodeEvent[] = ["node.joined", "node.rejoined", "heartbeat.heard", "silence.noticed", "node.left"];

/** Every event that a state does not name cannot come in it, or is answered with what it means that it does. */
const TABLE: Readonly<Record<NodePlace, Partial<Record<NodeEvent, NodePlace>>>> = {
  unknown: { "node.joined": "joined" },
  joined: {
    "node.joined": "joined",
    "node.rejoined": "joined",
    "heartbeat.heard": "active",
    "silence.noticed": "offline",
    "node.left": "left",
  },
  active: {
    "node.joined": "joined",
    "node.rejoined": "active",
    "heartbeat.heard": "active",
    "silence.noticed": "offline",
    "node.left": "left",
  },
  offline: { "node.joined": "joined", "node.rejoined": "joined", "heartbeat.heard": "active", "node.left": "left" },
  left: { "node.joined": "joined", "node.rejoined": "joined", "node.left": "left" },
};

const ANNOUNCEMENT: NodeAnnouncement = {
  nodeId: "a",
  group: "group001",
  zone: "zone",
  version: "1",
  startedMs: 5,
  totalBytes: 1000,
  freeBytes: 500,
  closedToUploads: false,
};
const at = (nowMs: number) => ({ nowMs, wallMs: 1_700_000_000_000 + nowMs });
const beat = { nodeId: "a", freeBytes: 400, closedToUploads: false };

describe("the statechart of a node", () => {
  it.each(NODE_PLACES)("%s", (place) => {
    for (const event of EVENTS) expect(NODE_TABLE.next(place, event), event).toBe(TABLE[place][event]);
  });
});

describe("the standing of a node", () => {
  it("tells how it came to its state; heartbeats push nothing out", () => {
    const membership = new Membership({ offlineAfterMs: 10_000 });
    membership.join(ANNOUNCEMENT, at(1));
    for (let nowMs = 3_000; nowMs <= 300_000; nowMs += 3_000) membership.heartbeat(beat, nowMs);
    membership.join(ANNOUNCEMENT, at(300_001));
    expect(membership.standing("a")).toEqual({
      state: "active",
      sinceMs: 3_000,
      recent: [
        { state: "unknown", atMs: 1 },
        { state: "joined", event: "node.joined", atMs: 1 },
        { state: "active", event: "heartbeat.heard", atMs: 3_000 },
      ],
    });
    membership.check(310_001, 3_000);
    membership.heartbeat(beat, 311_000);
    membership.leave("a", 312_000);
    expect(membership.standing("a").recent.slice(3)).toEqual([
      { state: "offline", event: "silence.noticed", atMs: 310_001 },
      { state: "active", event: "heartbeat.heard", atMs: 311_000 },
      { state: "left", event: "node.left", atMs: 312_000 },
    ]);
  });

  it("begins where another tracker tells it is", () => {
    const membership = new Membership({ offlineAfterMs: 10_000 });
    membership.adopt({ ...ANNOUNCEMENT, state: "offline", left: true, joinedMs: 1, silentMs: 20 }, 100);
    expect(membership.standing("a")).toEqual({ state: "left", sinceMs: 80, recent: [{ state: "left", atMs: 80 }] });
    expect(membership.heartbeat(beat, 200)).toBe(false);
    membership.join({ ...ANNOUNCEMENT, startedMs: 6 }, at(300));
    expect(membership.standing("a").state).toBe("joined");
  });
});
