/**
 * Who is alive: a table in memory, changed by what nodes say and by time that passes. Pure: time is passed in.
 *
 * M1: a node is live from its first heartbeat after a join until it leaves or is silent for `offlineAfterMs` of monotonic time; wall
 *     time is only shown.
 * M2: a node that left is unknown to heartbeats, so that one delayed on its way brings nobody back; it has to join. What an earlier
 *     process of a node still says is not taken for the later one's word.
 * M3: while a node is live, its name belongs to its data directory. A later start on the same directory takes over at once, wherever
 *     it is reached: the directory's lock says that the process before it has ended, and its marker which start is later, however the
 *     wall clock was set. Another directory, or an earlier start (a copy of the directory, or a message that was late), is refused
 *     until the node leaves or goes silent. This tells apart mistakes; strangers are kept out by the credentials that a join takes.
 * M4: the table is bounded: so many groups, so many nodes a group.
 * M5: what another tracker tells counts only where it is fresher than what was heard here.
 * M6: what state a node is in is what its statechart says (`machine.ts`); what another tracker tells is where it begins.
 */
import { TroupeError } from "../../core/errors.ts";
import { GROUP_NODES_MAX, GROUPS_MAX } from "../../core/limits.ts";
import { Standing, type StandingReport } from "../../core/standing.ts";
import type { NodeAnnouncement, NodeReport } from "./contract.ts";
import { NODE_TABLE, type NodeEvent, type NodePlace } from "./machine.ts";

export interface MembershipLimits {
  readonly offlineAfterMs: number;
  readonly groupsMax?: number;
  readonly groupNodesMax?: number;
}

export interface Heartbeat {
  readonly nodeId: string;
  readonly freeBytes: number;
  readonly closedToUploads: boolean;
  /** Of the process that speaks; absent: not told. */
  readonly startedMs?: number | undefined;
}

/** Both clocks at one moment. */
export interface Moment {
  /** Monotonic: decides. */
  readonly nowMs: number;
  /** Since 1970: shown. */
  readonly wallMs: number;
}

/** What became of a join; `refused` carries the typed answer. */
export type JoinOutcome = { readonly kind: "added" | "updated" } | { readonly kind: "refused"; readonly error: TroupeError };

interface Member {
  announcement: NodeAnnouncement;
  readonly standing: Standing<NodePlace, NodeEvent>;
  joinedMs: number;
  /** When it spoke last, on this process's monotonic clock. */
  heardMs: number;
}

export class Membership {
  readonly #offlineAfterMs: number;
  readonly #groupsMax: number;
  readonly #groupNodesMax: number;
  readonly #members = new Map<string, Member>();
  readonly #groups = new Map<string, Set<string>>();
  #checkedMs: number | undefined;

  constructor(limits: MembershipLimits) {
    this.#offlineAfterMs = limits.offlineAfterMs;
    this.#groupsMax = limits.groupsMax ?? GROUPS_MAX;
    this.#groupNodesMax = limits.groupNodesMax ?? GROUP_NODES_MAX;
  }

  join(announcement: NodeAnnouncement, moment: Moment): JoinOutcome {
    const known = this.#members.get(announcement.nodeId);
    const refusal = this.#refusal(announcement, known, moment.nowMs);
    if (refusal !== undefined) return { kind: "refused", error: refusal };
    const standing = known?.standing ?? new Standing(NODE_TABLE, moment.nowMs);
    const isSameProcess = known !== undefined && isOfStart(known, announcement.startedMs);
    standing.mustStep(isSameProcess ? "node.rejoined" : "node.joined", moment.nowMs);
    this.#set({ announcement, standing, joinedMs: moment.wallMs, heardMs: moment.nowMs });
    return { kind: known === undefined ? "added" : "updated" };
  }

  /** How many nodes there are in each state. */
  countByState(): ReadonlyMap<NodePlace, number> {
    const counts = new Map<NodePlace, number>();
    for (const { standing } of this.#members.values()) counts.set(standing.state, (counts.get(standing.state) ?? 0) + 1);
    return counts;
  }

  /**
   * Takes over what another tracker knows of a node (M5).
   * @param atMs when it was asked: an entry is never taken for fresher than it is
   * @returns whether the entry was news
   */
  adopt({ state, left, joinedMs, silentMs, ...announcement }: NodeReport, atMs: number): boolean {
    const { nodeId, group } = announcement;
    const known = this.#members.get(nodeId);
    const heardMs = atMs - silentMs;
    if (known !== undefined && known.heardMs >= heardMs) return false;
    if (this.#shortage(nodeId, group) !== undefined) return false;
    this.#set({ announcement, standing: new Standing(NODE_TABLE, heardMs, left ? "left" : state), joinedMs, heardMs });
    return true;
  }

  /** @returns whether the node is known; one that is not has to join (M2) */
  heartbeat(heartbeat: Heartbeat, nowMs: number): boolean {
    const member = this.#members.get(heartbeat.nodeId);
    if (member === undefined || !isOfStart(member, heartbeat.startedMs)) return false;
    if (!member.standing.step("heartbeat.heard", nowMs)) return false;
    member.heardMs = nowMs;
    member.announcement = { ...member.announcement, freeBytes: heartbeat.freeBytes, closedToUploads: heartbeat.closedToUploads };
    return true;
  }

  /**
   * @param startedMs of the process that leaves; absent: whichever there is
   * @returns whether it was known and not yet offline
   */
  leave(nodeId: string, nowMs: number, startedMs?: number): boolean {
    const member = this.#members.get(nodeId);
    if (member === undefined || !isOfStart(member, startedMs)) return false;
    const wasThere = isThere(member);
    member.standing.mustStep("node.left", nowMs);
    member.heardMs = nowMs;
    return wasThere;
  }

  /**
   * Marks silent nodes offline. Called every `intervalMs`; when it comes late, this process was the one that stood still, and the
   * time in which it could hear nobody is not held against the nodes.
   * @returns the nodes that went offline now
   */
  check(nowMs: number, intervalMs: number): string[] {
    const lateMs = this.#checkedMs === undefined ? 0 : nowMs - this.#checkedMs - intervalMs;
    this.#checkedMs = nowMs;
    if (lateMs > intervalMs) for (const member of this.#members.values()) member.heardMs = Math.min(nowMs, member.heardMs + lateMs);
    const gone: string[] = [];
    for (const [nodeId, member] of this.#members) {
      if (this.#isSilent(member, nowMs) && member.standing.step("silence.noticed", nowMs)) gone.push(nodeId);
    }
    return gone;
  }

  /** A group that was recorded before, if only by another tracker. @returns whether there was room for it */
  addGroup(group: string): boolean {
    if (!this.#groups.has(group) && this.#groups.size >= this.#groupsMax) return false;
    this.#nodesOf(group);
    return true;
  }

  hasGroup(group: string): boolean {
    return this.#groups.has(group);
  }

  /** Names of all groups, sorted. */
  groups(): string[] {
    return [...this.#groups.keys()].sort();
  }

  /** The nodes of a group by name. */
  nodes(group: string, nowMs: number): NodeReport[] {
    return [...(this.#groups.get(group) ?? [])].sort().map((nodeId) => report(this.#members.get(nodeId) as Member, nowMs));
  }

  /** The nodes of a group that may be asked, by name (M1). */
  live(group: string): NodeAnnouncement[] {
    return [...(this.#groups.get(group) ?? [])]
      .sort()
      .map((nodeId) => this.#members.get(nodeId) as Member)
      .filter((member) => member.standing.state === "active")
      .map((member) => member.announcement);
  }

  /** In which state a node is, and how it came there. @param nodeId of one that was heard of */
  standing(nodeId: string): StandingReport<NodePlace, NodeEvent> {
    return (this.#members.get(nodeId) as Member).standing.report();
  }

  #refusal(announcement: NodeAnnouncement, known: Member | undefined, nowMs: number): TroupeError | undefined {
    const { nodeId, group } = announcement;
    const isLive = known !== undefined && isThere(known) && !this.#isSilent(known, nowMs);
    if (isLive && !maySucceed(announcement, known.announcement)) {
      return new TroupeError(
        "FORBIDDEN",
        `A live node is called ${nodeId}: an earlier start, or another group, address or data directory, is taken once it has left or is silent.`,
        { facts: { retryAfterMs: known.heardMs + this.#offlineAfterMs - nowMs } },
      );
    }
    return this.#shortage(nodeId, group);
  }

  /** M4: why there is no room for a node in a group. */
  #shortage(nodeId: string, group: string): TroupeError | undefined {
    const nodes = this.#groups.get(group);
    if (nodes === undefined && this.#groups.size >= this.#groupsMax)
      return new TroupeError("TOO_MANY", `There are ${this.#groupsMax} groups already.`);
    if (nodes !== undefined && !nodes.has(nodeId) && nodes.size >= this.#groupNodesMax) {
      return new TroupeError("TOO_MANY", `${group} has ${this.#groupNodesMax} nodes already.`);
    }
    return undefined;
  }

  #set(member: Member): void {
    const { nodeId, group } = member.announcement;
    const known = this.#members.get(nodeId);
    if (known !== undefined) this.#groups.get(known.announcement.group)?.delete(nodeId);
    this.#members.set(nodeId, member);
    this.#nodesOf(group).add(nodeId);
  }

  #isSilent(member: Member, nowMs: number): boolean {
    return nowMs - member.heardMs >= this.#offlineAfterMs;
  }

  #nodesOf(group: string): Set<string> {
    const nodes = this.#groups.get(group) ?? new Set<string>();
    this.#groups.set(group, nodes);
    return nodes;
  }
}

/** M3: whether a join may take the place of a live node's. */
function maySucceed(next: NodeAnnouncement, live: NodeAnnouncement): boolean {
  if (next.directoryMadeMs !== live.directoryMadeMs) return false;
  if (next.startedMs !== live.startedMs) return next.startedMs > live.startedMs;
  return next.group === live.group && next.dataUrl === live.dataUrl;
}

function isThere({ standing }: Member): boolean {
  return standing.state === "joined" || standing.state === "active";
}

function isOfStart(member: Member, startedMs: number | undefined): boolean {
  return startedMs === undefined || startedMs === member.announcement.startedMs;
}

function report(member: Member, nowMs: number): NodeReport {
  const { state } = member.standing;
  // One that left is told as offline, as it was before there was a word of its own.
  const told = state === "joined" || state === "active" ? state : "offline";
  return {
    ...member.announcement,
    state: told,
    left: state === "left",
    joinedMs: member.joinedMs,
    silentMs: Math.max(0, Math.round(nowMs - member.heardMs)),
  };
}
