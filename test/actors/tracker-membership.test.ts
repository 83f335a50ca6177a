/** Who is alive, as a table changed by messages and by time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { NodeAnnouncement } from "../../src/actors/tracker/contract.ts";
import { Membership } from "../../src/actors/tracker/membership.ts";

const OFFLINE_AFTER_MS = 10_000;
const INTERVAL_MS = 3_000;

function announcement(nodeId: string, changes: Partial<NodeAnnouncement> = {}): NodeAnnouncement {
  return {
    nodeId,
    group: "group001",
    zone: "zone",
    version: "1",
    startedMs: 5,
    totalBytes: 1000,
    freeBytes: 500,
    closedToUploads: false,
    ...changes,
  };
}

const at = (nowMs: number) => ({ nowMs, wallMs: 1_700_000_000_000 + nowMs });
const beat = (nodeId: string) => ({ nodeId, freeBytes: 400, closedToUploads: false });

function joined(...nodeIds: string[]): Membership {
  const membership = new Membership({ offlineAfterMs: OFFLINE_AFTER_MS });
  for (const nodeId of nodeIds) membership.join(announcement(nodeId), at(0));
  return membership;
}

const stateOf = (membership: Membership, nodeId: string, nowMs = 0) =>
  membership.nodes("group001", nowMs).find((node) => node.nodeId === nodeId)?.state;
const liveIds = (membership: Membership) => membership.live("group001").map((node) => node.nodeId);

describe("membership", () => {
  it("a node is live only from its first heartbeat", () => {
    const membership = joined("a");
    expect(stateOf(membership, "a")).toBe("joined");
    expect(liveIds(membership)).toEqual([]);
    expect(membership.heartbeat(beat("a"), 10)).toBe(true);
    expect(stateOf(membership, "a")).toBe("active");
    expect(liveIds(membership)).toEqual(["a"]);
  });

  it("a heartbeat carries the free space, and whether uploads are taken", () => {
    const membership = joined("a");
    membership.heartbeat({ nodeId: "a", freeBytes: 7, closedToUploads: true }, 10);
    expect(membership.live("group001")[0]).toMatchObject({ freeBytes: 7, closedToUploads: true, totalBytes: 1000 });
  });

  it("an unknown node's heartbeat is not taken", () => {
    expect(joined("a").heartbeat(beat("b"), 0)).toBe(false);
  });

  it("a silent node is offline after the time set, not before, and told once", () => {
    const membership = joined("a", "b");
    membership.heartbeat(beat("a"), 0);
    membership.heartbeat(beat("b"), 0);
    for (let nowMs = INTERVAL_MS; nowMs < OFFLINE_AFTER_MS; nowMs += INTERVAL_MS) {
      membership.heartbeat(beat("b"), nowMs);
      expect(membership.check(nowMs, INTERVAL_MS)).toEqual([]);
    }
    expect(membership.check(12_000, INTERVAL_MS)).toEqual(["a"]);
    expect(membership.check(15_000, INTERVAL_MS)).toEqual([]);
    expect(liveIds(membership)).toEqual(["b"]);
  });

  it("a node that joined and never sent a heartbeat goes offline too", () => {
    const membership = joined("a");
    expect(membership.check(OFFLINE_AFTER_MS, INTERVAL_MS)).toEqual(["a"]);
  });

  it("a silent node that is heard again is live at once", () => {
    const membership = joined("a");
    membership.check(OFFLINE_AFTER_MS, INTERVAL_MS);
    expect(membership.heartbeat(beat("a"), 11_000)).toBe(true);
    expect(liveIds(membership)).toEqual(["a"]);
  });

  it("F8: a tracker that stood still for a minute holds it against nobody", () => {
    const membership = joined("a");
    membership.heartbeat(beat("a"), 0);
    membership.check(3_000, INTERVAL_MS);
    expect(membership.check(63_000, INTERVAL_MS)).toEqual([]);
    expect(liveIds(membership)).toEqual(["a"]);
    expect(membership.check(66_000, INTERVAL_MS)).toEqual([]);
    expect(membership.check(69_000, INTERVAL_MS)).toEqual(["a"]);
  });

  it("F11: a heartbeat that arrives after the node left brings it not back", () => {
    const membership = joined("a");
    membership.heartbeat(beat("a"), 0);
    expect(membership.leave("a", 0)).toBe(true);
    expect(membership.leave("a", 0)).toBe(false);
    expect(liveIds(membership)).toEqual([]);
    expect(membership.heartbeat(beat("a"), 1)).toBe(false);
    expect(stateOf(membership, "a")).toBe("offline");
    expect(membership.join(announcement("a"), at(2))).toEqual({ kind: "updated" });
    expect(membership.heartbeat(beat("a"), 3)).toBe(true);
    expect(liveIds(membership)).toEqual(["a"]);
  });

  it("F11: the same join again changes nothing; a restarted node has to be heard first", () => {
    const membership = joined("a");
    membership.heartbeat(beat("a"), 0);
    expect(membership.join(announcement("a"), at(1))).toEqual({ kind: "updated" });
    expect(stateOf(membership, "a")).toBe("active");
    membership.join(announcement("a", { startedMs: 6 }), at(2));
    expect(stateOf(membership, "a")).toBe("joined");
    expect(membership.nodes("group001", 2)).toHaveLength(1);
  });

  it.each([
    ["group", { group: "group002" }],
    ["address", { dataUrl: "http://127.0.0.1:1" }],
  ])("I17: a join that gives a live node's name another %s is refused until that node is silent", (_, changes) => {
    const membership = joined("a");
    membership.heartbeat(beat("a"), 1_000);
    const refused = membership.join(announcement("a", changes), at(4_000));
    expect(refused).toMatchObject({ kind: "refused", error: { code: "FORBIDDEN", facts: { retryAfterMs: 7_000 } } });
    expect(membership.live("group001")[0]).toMatchObject({ nodeId: "a", group: "group001" });
    expect(membership.live("group001")[0]?.dataUrl).toBeUndefined();
    expect(membership.join(announcement("a", changes), at(11_000))).toEqual({ kind: "updated" });
  });

  it("F1: a node killed and started again on its directory is taken back at once, at another address and in another group", () => {
    const membership = new Membership({ offlineAfterMs: OFFLINE_AFTER_MS });
    const first = announcement("a", { directoryMadeMs: 3, startedMs: 5, dataUrl: "http://127.0.0.1:1" });
    membership.join(first, at(0));
    membership.heartbeat({ ...beat("a"), startedMs: 5 }, 1);
    const second = { ...first, startedMs: 6, group: "group002", dataUrl: "http://127.0.0.1:2" };
    expect(membership.join(second, at(10))).toEqual({ kind: "updated" });
    expect(membership.heartbeat({ ...beat("a"), startedMs: 6 }, 11)).toBe(true);
    expect(membership.live("group001")).toEqual([]);
    expect(membership.live("group002")).toMatchObject([{ nodeId: "a", dataUrl: "http://127.0.0.1:2" }]);
  });

  it.each([
    ["another directory, though it started later", { directoryMadeMs: 4, startedMs: 9 }],
    ["an earlier start of the same directory", { directoryMadeMs: 3, startedMs: 4 }],
  ])("I17: a live node's name is refused to %s, until the node is silent", (_, changes) => {
    const membership = new Membership({ offlineAfterMs: OFFLINE_AFTER_MS });
    membership.join(announcement("a", { directoryMadeMs: 3 }), at(0));
    membership.heartbeat(beat("a"), 1_000);
    expect(membership.join(announcement("a", changes), at(4_000))).toMatchObject({
      kind: "refused",
      error: { code: "FORBIDDEN", facts: { retryAfterMs: 7_000 } },
    });
    expect(membership.join(announcement("a", changes), at(11_000))).toEqual({ kind: "updated" });
  });

  it("F11: what an earlier process of a node still says counts no more, once the later one has joined", () => {
    const membership = joined("a");
    membership.join(announcement("a", { startedMs: 6 }), at(1));
    expect(membership.heartbeat({ ...beat("a"), startedMs: 5 }, 2)).toBe(false);
    expect(membership.leave("a", 3, 5)).toBe(false);
    expect(membership.heartbeat({ ...beat("a"), startedMs: 6 }, 4)).toBe(true);
    expect(liveIds(membership)).toEqual(["a"]);
  });

  it("F26: a later process of a node has to join where only its heartbeat was heard", () => {
    const membership = joined("a");
    membership.heartbeat({ ...beat("a"), startedMs: 5 }, 1);
    expect(membership.heartbeat({ ...beat("a"), startedMs: 6 }, 2)).toBe(false);
  });

  it("F26: what another tracker tells counts where it is fresher, and a node that left stays left", () => {
    const there = joined("a", "b", "c");
    for (const nodeId of ["a", "b", "c"]) there.heartbeat(beat(nodeId), 1_000);
    there.leave("b", 2_000);
    const told = there.nodes("group001", 3_000);

    // Another clock: this process began later.
    const here = joined("a");
    here.heartbeat({ nodeId: "a", freeBytes: 1, closedToUploads: true }, 500);
    expect(told.map((report) => here.adopt(report, 600))).toEqual([false, true, true]);
    expect(here.nodes("group001", 600)).toMatchObject([
      { nodeId: "a", freeBytes: 1, silentMs: 100 },
      { nodeId: "b", state: "offline", left: true },
      { nodeId: "c", state: "active", silentMs: 2_000 },
    ]);
    expect(here.heartbeat(beat("b"), 700)).toBe(false);
    // Of one that is gone in the meantime nothing more is heard.
    expect(here.check(8_500, INTERVAL_MS)).toEqual([]);
    expect(here.check(8_700, INTERVAL_MS)).toEqual(["c"]);
  });

  it("what another tracker tells is bounded too", () => {
    const there = joined("a", "b");
    const here = new Membership({ offlineAfterMs: OFFLINE_AFTER_MS, groupNodesMax: 1 });
    expect(there.nodes("group001", 0).map((report) => here.adopt(report, 0))).toEqual([true, false]);
  });

  it("a node that left may move to another group, and is then in that one only", () => {
    const membership = joined("a");
    membership.leave("a", 0);
    membership.join(announcement("a", { group: "group002" }), at(1));
    expect(membership.nodes("group001", 1)).toEqual([]);
    expect(membership.nodes("group002", 1).map((node) => node.nodeId)).toEqual(["a"]);
    expect(membership.groups()).toEqual(["group001", "group002"]);
  });

  it("groups, and nodes of a group, are bounded", () => {
    const membership = new Membership({ offlineAfterMs: 10, groupsMax: 2, groupNodesMax: 2 });
    const join = (nodeId: string, group: string) => membership.join(announcement(nodeId, { group }), at(0));
    expect([join("a", "g1"), join("b", "g1"), join("c", "g2")].map((outcome) => outcome.kind)).toEqual(["added", "added", "added"]);
    expect(join("d", "g1")).toMatchObject({ kind: "refused", error: { code: "TOO_MANY" } });
    expect(join("d", "g3")).toMatchObject({ kind: "refused", error: { code: "TOO_MANY" } });
    expect(join("b", "g1")).toEqual({ kind: "updated" });
    expect(membership.addGroup("g3")).toBe(false);
    expect(membership.addGroup("g1")).toBe(true);
  });

  it("whatever is said in whatever order, a node is in one group, and live only if it was heard within the time", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("join" as const), node: fc.integer({ min: 0, max: 3 }), group: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constantFrom("heartbeat" as const, "leave" as const), node: fc.integer({ min: 0, max: 3 }) }),
      fc.record({ kind: fc.constant("pass" as const), intervals: fc.integer({ min: 1, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const membership = new Membership({ offlineAfterMs: OFFLINE_AFTER_MS, groupNodesMax: 2 });
        const heardMs = new Map<string, number>();
        let nowMs = 0;
        for (const event of steps) {
          if (event.kind === "pass") {
            for (let count = 0; count < event.intervals; count += 1) {
              nowMs += INTERVAL_MS;
              membership.check(nowMs, INTERVAL_MS);
            }
            continue;
          }
          const nodeId = `n${event.node}`;
          if (event.kind === "join") membership.join(announcement(nodeId, { group: `g${event.group}` }), at(nowMs));
          else if (event.kind === "leave") membership.leave(nodeId, nowMs);
          else if (membership.heartbeat(beat(nodeId), nowMs)) heardMs.set(nodeId, nowMs);
          if (event.kind === "leave") heardMs.delete(nodeId);
        }
        const all = membership.groups().flatMap((group) => membership.nodes(group, nowMs));
        expect(new Set(all.map((node) => node.nodeId)).size).toBe(all.length);
        for (const group of membership.groups()) expect(membership.nodes(group, nowMs).length).toBeLessThanOrEqual(2);
        for (const node of all) {
          if (node.state !== "active") continue;
          expect(heardMs.has(node.nodeId)).toBe(true);
          expect(node.silentMs).toBeLessThan(OFFLINE_AFTER_MS + INTERVAL_MS);
        }
      }),
    );
  });
});
