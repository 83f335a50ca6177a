/**
 * The tracker: who is alive (in memory only), which groups there are and where users' uploads go (in the database).
 *
 * Any number of trackers are active at once and each hears every join and heartbeat, so none is a master and none copies another:
 * after a restart the table is empty, the next heartbeat of each node is answered NODE_NOT_FOUND, and the node joins.
 *
 * T1: a node counts only after its group stands in the database.
 * T2: only the system itself may speak for nodes: a join on behalf of a person is refused.
 * T3: a database that does not answer stops nobody's heartbeat: it is asked outside the turn.
 */
import type { Activation, Later, Self, Turn } from "../../bus/actor.ts";
import { SYSTEM_OWNER } from "../../bus/client.ts";
import { TroupeError } from "../../core/errors.ts";
import { GROUPS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Database } from "../../core/ports/database.ts";
import type { Random } from "../../core/ports/random.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import type { NodeAnnouncement, NodeReport, tracker } from "./contract.ts";
import { Membership } from "./membership.ts";
import { type PageRequest, pageOf } from "./page.ts";
import { fromRandomStart, Placement } from "./placement.ts";
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
}

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
  #timer: Timer | undefined;

  constructor(options: TrackerOptions, self: Self) {
    this.#options = options;
    this.#self = self;
    this.#groupsMax = options.groupsMax ?? GROUPS_MAX;
    this.#membership = new Membership(options);
    this.#placement = new Placement({ ...options, membership: this.#membership });
  }

  async start(): Promise<void> {
    const rows = await this.#options.database.read((query) =>
      query.selectFrom("t_group_info").select(["group_name", "create_time"]).orderBy("group_name").limit(this.#groupsMax).execute(),
    );
    for (const row of rows) this.#addGroup(Buffer.from(row.group_name).toString(), safeInteger(row.create_time));
    this.#checkLater();
  }

  activation(): Activation<typeof tracker> {
    return {
      handlers: {
        join: (announcement, turn) => this.#join(announcement, turn),
        heartbeat: (heartbeat, turn) => {
          mustBeSystem(turn);
          if (!this.#membership.heartbeat(heartbeat, this.#options.clock.nowMs())) throw new TroupeError("NODE_NOT_FOUND");
          return {};
        },
        leave: ({ nodeId }, turn) => {
          mustBeSystem(turn);
          if (this.#membership.leave(nodeId)) this.#options.log.info({ nodeId }, "A node left.");
          return {};
        },
        place: (placing, turn) => turn.later(this.#whileActive(this.#placement.place(placing))),
        locate: ({ group }) => this.#locate(group),
        groups: (request) => this.#groups(request),
        nodes: ({ group, ...request }) => this.#nodes(group, request),
      },
      stop: () => this.#timer?.cancel(),
    };
  }

  #join(announcement: NodeAnnouncement, turn: Turn): JoinAnswer | Later<JoinAnswer> {
    mustBeSystem(turn);
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

  #reports(group: string): NodeReport[] {
    return this.#membership.nodes(group, this.#options.clock.nowMs());
  }

  #checkLater(): void {
    const { clock, log, heartbeatMs } = this.#options;
    this.#timer = clock.setTimer(heartbeatMs, () => {
      this.#self.post("check for silent nodes", () => {
        for (const nodeId of this.#membership.check(clock.nowMs(), heartbeatMs))
          log.warn({ nodeId }, "A node is silent and counts as offline.");
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

/** T2. */
function mustBeSystem(turn: Turn): void {
  if (turn.principal.owner !== SYSTEM_OWNER) throw new TroupeError("FORBIDDEN", "Only a storage node speaks for itself.");
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
