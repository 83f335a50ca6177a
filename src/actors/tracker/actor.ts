/**
 * The tracker: who is alive (in memory only), which groups there are and where users' uploads go (in the database).
 *
 * Any number of trackers are active at once and each hears every join and heartbeat, so none is a master. After a restart the table is
 * empty: it is copied from another tracker, and a node that is still missing joins when its next heartbeat is answered NODE_NOT_FOUND.
 *
 * T1: a node counts only after its group stands in the database.
 * T2: only the system itself may speak for nodes: a join on behalf of a person is refused.
 * T3: a database that does not answer stops nobody's heartbeat: it is asked outside the turn.
 * T4: nobody is told who is there before this tracker knows: questions wait, joins and heartbeats are taken at once.
 */
import type { Activation, Later, Self, Turn } from "../../bus/actor.ts";
import { mustBeSystem } from "../../bus/system-only.ts";
import { TroupeError } from "../../core/errors.ts";
import { GROUPS_MAX, NODE_CHANGES_TOLD_MAX, TRACKER_LISTENING_PERCENT } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import { METRICS } from "../../core/metrics.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import { askDatabase, type Database } from "../../core/ports/database.ts";
import { type Metrics, SILENT_METRICS } from "../../core/ports/metrics.ts";
import type { Random } from "../../core/ports/random.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { toldStanding } from "../../core/standing.ts";
import type { NodeAnnouncement, NodeReport, tracker } from "./contract.ts";
import { Membership } from "./membership.ts";
import { type PageRequest, pageOf } from "./page.ts";
import { fromRandomStart, Placement } from "./placement.ts";
import { copyTable, type Peers } from "./table-copy.ts";
import type { TrackerTables } from "./tables.ts";

export interface TrackerOptions {
  readonly database: Database<TrackerTables>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly heartbeatMs: number;
  readonly offlineAfterMs: number;
  readonly groupsMax?: number;
  readonly groupNodesMax?: number;
  /** Absent: nothing is measured. */
  readonly metrics?: Metrics | undefined;
  /** All trackers, this one among them. Absent: no other can be there, and a start waits for nothing. */
  readonly peers?: Peers;
  /** Called at each start, when the tracker knows who is there (T4). */
  readonly onKnowing?: () => void;
}

/** T2. */
const NODES_ONLY = "Only a storage node speaks for itself.";

const NODE_STATES = METRICS.troupe_nodes.labels.state;

type JoinAnswer = { heartbeatMs: number; offlineAfterMs: number };

/** @returns what the actor's host calls at each start: it loads the groups, then answers */
export function startTracker(options: TrackerOptions): (self: Self) => Promise<Activation<typeof tracker>> {
  return async (self) => {
    const actor = new Tracker(options, self);
    await actor.start();
    return actor.activation();
  };
}

class Tracker {
  readonly #options: TrackerOptions;
  readonly #self: Self;
  readonly #membership: Membership;
  readonly #placement: Placement;
  /** When each group was first announced, wall time; the same groups as in the membership. */
  readonly #createdMs = new Map<string, number>();
  /** Groups on their way into the database. */
  readonly #recording = new Map<string, Promise<number>>();
  readonly #groupsMax: number;
  /** T4. */
  readonly #knowing = Promise.withResolvers<void>();
  #knows = false;
  /** When a node spoke last, on the monotonic clock; and whether it was logged that none does. */
  #heardMs: number;
  #hearsNobody = false;
  #timer: Timer | undefined;
  #endReading: (() => void) | undefined;

  constructor(options: TrackerOptions, self: Self) {
    this.#options = options;
    this.#self = self;
    this.#heardMs = options.clock.nowMs();
    this.#groupsMax = options.groupsMax ?? GROUPS_MAX;
    this.#membership = new Membership(options);
    this.#placement = new Placement({ ...options, membership: this.#membership });
  }

  async start(): Promise<void> {
    const rows = await this.#options.database.read((query) =>
      query.selectFrom("t_group_info").select(["group_name", "create_time"]).orderBy("group_name").limit(this.#groupsMax).execute(),
    );
    for (const row of rows) this.#addGroup(Buffer.from(row.group_name).toString(), safeInteger(row.create_time));
    // From now on it is known how long it stood still.
    this.#membership.check(this.#options.clock.nowMs(), this.#options.heartbeatMs);
    this.#checkLater();
    this.#getToKnow();
    const { metrics = SILENT_METRICS } = this.#options;
    this.#endReading = metrics.read("troupe_nodes", () => {
      const counts = this.#membership.countByState();
      return NODE_STATES.map((state) => ({ labels: { state }, value: counts.get(state) ?? 0 }));
    });
  }

  activation(): Activation<typeof tracker> {
    return {
      handlers: {
        join: (announcement, turn) => this.#join(announcement, turn),
        heartbeat: (heartbeat, turn) => {
          mustBeSystem(turn, NODES_ONLY);
          this.#heard();
          if (!this.#membership.heartbeat(heartbeat, this.#options.clock.nowMs())) throw new TroupeError("NODE_NOT_FOUND");
          return {};
        },
        leave: (leaving, turn) => {
          mustBeSystem(turn, NODES_ONLY);
          // The table on its way here may still hold a node that this tracker has not heard of.
          return this.#leave(leaving) || this.#knows
            ? {}
            : this.#once(turn, "leave", () => {
                this.#leave(leaving);
                return {};
              });
        },
        place: (placing, turn) => turn.later(this.#whileActive(this.#knowing.promise.then(() => this.#placement.place(placing)))),
        ready: (_, turn) => turn.later(this.#whileActive(this.#knowing.promise.then(() => askDatabase(this.#options.database)))),
        locate: ({ group }, turn) => this.#once(turn, "locate", () => this.#locate(group)),
        groups: (request, turn) => this.#once(turn, "groups", () => this.#groups(request)),
        nodes: ({ group, ...request }, turn) => this.#once(turn, "nodes", () => this.#inspected(this.#nodes(group, request))),
        table: (request, turn) => this.#once(turn, "table", () => this.#nodes(undefined, request)),
      },
      stop: () => {
        this.#timer?.cancel();
        this.#endReading?.();
      },
    };
  }

  /** Ends within a bound (C1), or with the activation. */
  #getToKnow(): void {
    const { peers, clock, log, heartbeatMs, onKnowing } = this.#options;
    const know = (): void => {
      this.#knows = true;
      this.#knowing.resolve();
      onKnowing?.();
    };
    if (peers === undefined) return know();
    const { signal } = this.#self;
    const listeningMs = Math.ceil((heartbeatMs * TRACKER_LISTENING_PERCENT) / 100);
    copyTable({ peers, clock, log, listeningMs, signal, take: (nodes, askedMs) => this.#adopt(nodes, askedMs) })
      .catch((error: unknown) => {
        if (!signal.aborted) log.error({ err: error }, "What another tracker told could not be taken over; nodes join by themselves.");
        return false;
      })
      .then((isCopied) =>
        this.#self.post("know who is there", () => {
          log.info({ isCopied, groups: this.#createdMs.size }, "The tracker knows who is there.");
          know();
        }),
      );
  }

  async #adopt(nodes: readonly NodeReport[], askedMs: number): Promise<void> {
    // T1: a group that was announced since this tracker read them.
    const groups = new Set(nodes.map((node) => node.group).filter((group) => !this.#createdMs.has(group)));
    const recorded = await Promise.all([...groups].map(async (group) => [group, await this.#recorded(group)] as const));
    await this.#inTurn("another tracker's table", () => {
      for (const [group, createdMs] of recorded) this.#addGroup(group, createdMs);
      for (const node of nodes) if (this.#createdMs.has(node.group)) this.#membership.adopt(node, askedMs);
    });
  }

  /** @returns whether the node was there */
  #leave({ nodeId, startedMs }: { readonly nodeId: string; readonly startedMs?: number | undefined }): boolean {
    const wasThere = this.#membership.leave(nodeId, this.#options.clock.nowMs(), startedMs);
    if (wasThere) this.#options.log.info({ nodeId }, "A node left.");
    return wasThere;
  }

  /** T4: answers now, or in a turn of its own when the tracker knows. */
  #once<T>(turn: Turn, name: string, answer: () => T): T | Later<T> {
    if (this.#knows) return answer();
    return turn.later(this.#whileActive(this.#knowing.promise.then(() => this.#inTurn(name, answer))));
  }

  #join(announcement: NodeAnnouncement, turn: Turn): JoinAnswer | Later<JoinAnswer> {
    mustBeSystem(turn, NODES_ONLY);
    const { group } = announcement;
    if (this.#createdMs.has(group)) return this.#admit(announcement);
    if (!this.#recording.has(group) && this.#createdMs.size + this.#recording.size >= this.#groupsMax) {
      throw new TroupeError("TOO_MANY", `There are ${this.#groupsMax} groups already.`);
    }
    // T1, T3: the join goes on in a turn of its own, once the group is recorded.
    const admitted = this.#recorded(group).then((createdMs) =>
      this.#inTurn("group recorded", () => {
        this.#addGroup(group, createdMs);
        return this.#admit(announcement);
      }),
    );
    return turn.later(this.#whileActive(admitted));
  }

  #admit(announcement: NodeAnnouncement): JoinAnswer {
    const { clock, log, heartbeatMs, offlineAfterMs } = this.#options;
    const { nodeId, group } = announcement;
    const outcome = this.#membership.join(announcement, { nowMs: clock.nowMs(), wallMs: clock.wallMs() });
    if (outcome.kind === "refused") {
      log.warn({ nodeId, group, code: outcome.error.code }, "A join was refused.");
      throw outcome.error;
    }
    log.info({ nodeId, group, outcome: outcome.kind }, "A node joined.");
    return { heartbeatMs, offlineAfterMs };
  }

  /** When the group was first announced; nodes that announce a new group at the same time wait for one answer. */
  #recorded(group: string): Promise<number> {
    const underWay = this.#recording.get(group);
    if (underWay !== undefined) return underWay;
    const recording = this.#recordGroup(group).finally(() => this.#recording.delete(group));
    this.#recording.set(group, recording);
    return recording;
  }

  #recordGroup(group: string): Promise<number> {
    const name = Buffer.from(group);
    const nowMs = this.#options.clock.wallMs();
    return this.#options.database.transact(async (transaction) => {
      const isNew = await transaction.insertIfAbsent("t_group_info", { group_name: name, create_time: nowMs, update_time: nowMs });
      if (isNew) return nowMs;
      const query = transaction.query.selectFrom("t_group_info").select("create_time").where("group_name", "=", name);
      return safeInteger((await transaction.lock(query).executeTakeFirstOrThrow()).create_time);
    });
  }

  #addGroup(group: string, createdMs: number): void {
    if (this.#membership.addGroup(group)) this.#createdMs.set(group, createdMs);
  }

  #locate(group: string): { group: string; nodes: ReturnType<typeof fromRandomStart> } {
    if (!this.#membership.hasGroup(group)) throw new TroupeError("GROUP_NOT_FOUND");
    const nodes = this.#membership.live(group);
    if (nodes.length === 0) throw new TroupeError("NO_NODES", `No storage node of ${group} is up.`);
    return { group, nodes: fromRandomStart(nodes, this.#options.random) };
  }

  #groups(request: PageRequest) {
    const { items, ...next } = pageOf(this.#membership.groups(), (group) => [group], 1, request);
    return {
      groups: items.map((group) => ({ group, createdMs: this.#createdMs.get(group) ?? 0, ...totals(this.#reports(group)) })),
      ...next,
    };
  }

  #nodes(group: string | undefined, request: PageRequest) {
    const groups = group === undefined ? this.#membership.groups() : [group];
    const { items, ...next } = pageOf(
      groups.flatMap((name) => this.#reports(name)),
      (node) => [node.group, node.nodeId],
      2,
      request,
    );
    return { nodes: items, ...next };
  }

  /** As many as fit into one answer with a page of nodes. */
  #inspected({ nodes, ...next }: { readonly nodes: readonly NodeReport[]; readonly cursor?: string }) {
    const nowMs = this.#options.clock.nowMs();
    const inspected = nodes.map((node) => {
      const { sinceMs, recent } = toldStanding(this.#membership.standing(node.nodeId), nowMs);
      return { ...node, sinceMs, recent: recent.slice(-NODE_CHANGES_TOLD_MAX) };
    });
    return { nodes: inspected, ...next };
  }

  #reports(group: string): NodeReport[] {
    return this.#membership.nodes(group, this.#options.clock.nowMs());
  }

  #heard(): void {
    this.#heardMs = this.#options.clock.nowMs();
    if (this.#hearsNobody) this.#options.log.info({}, "Nodes are heard again.");
    this.#hearsNobody = false;
  }

  #checkLater(): void {
    const { clock, log, heartbeatMs } = this.#options;
    this.#timer = clock.setTimer(heartbeatMs, () => {
      this.#self.post("check for silent nodes", () => {
        const silent = this.#membership.check(clock.nowMs(), heartbeatMs);
        // While nobody is heard, it may well be this tracker that is cut off: one event, and not one a node.
        if (clock.nowMs() - this.#heardMs <= 2 * heartbeatMs)
          for (const nodeId of silent) log.warn({ nodeId }, "A node is silent and counts as offline.");
        else if (silent.length > 0 && !this.#hearsNobody) {
          this.#hearsNobody = true;
          log.warn({ nodeIds: silent }, "No node is heard any more: silent ones count as offline, or this tracker is cut off.");
        }
      });
      this.#checkLater();
    });
  }

  /** Goes on in a turn of this activation. A typed error in `work` is the caller's answer, not a crash. */
  #inTurn<T>(name: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#self.post(name, () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error);
          if (!(error instanceof TroupeError)) throw error;
        }
      });
    });
  }

  /** What the effect gives; a retryable error when this activation ends first, so that no caller waits for a turn that never comes. */
  #whileActive<T>(effect: Promise<T>): Promise<T> {
    const { signal } = this.#self;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new TroupeError("UNAVAILABLE", "The tracker is stopping or starting again."));
      signal.addEventListener("abort", onAbort, { once: true });
      effect.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
      if (signal.aborted) onAbort();
    });
  }
}

function totals(nodes: readonly NodeReport[]) {
  const live = nodes.filter((node) => node.state === "active");
  return {
    nodeCount: nodes.length,
    activeCount: live.length,
    freeBytes: sumBytes(live.map((node) => node.freeBytes)),
    totalBytes: sumBytes(live.map((node) => node.totalBytes)),
  };
}

/** What nodes claim may add up to more than a number holds exactly. */
function sumBytes(sizes: readonly number[]): number {
  return Math.min(
    Number.MAX_SAFE_INTEGER,
    sizes.reduce((sum, size) => sum + size, 0),
  );
}
