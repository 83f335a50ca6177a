/** Several trackers on one bus under a virtual clock, with one database, and nodes that are played by the test. */
import type { NodeAnnouncement } from "../../src/actors/tracker/contract.ts";
import { tracker } from "../../src/actors/tracker/contract.ts";
import { type HostedTrackerOptions, hostTracker } from "../../src/actors/tracker/hosted.ts";
import type { TrackerTables } from "../../src/actors/tracker/tables.ts";
import type { HostedActor } from "../../src/bus/actor.ts";
import { type Client, client } from "../../src/bus/client.ts";
import { type LoopbackBus, LoopbackMedium } from "../../src/bus/loopback.ts";
import { type Log, SILENT_LOG } from "../../src/core/log.ts";
import type { Database } from "../../src/core/ports/database.ts";
import { openTestDatabase } from "./database.ts";
import { SeededRandom } from "./seeded-random.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const HEARTBEAT_MS = 3_000;
export const OFFLINE_AFTER_MS = 10_000;

export interface StartedTracker {
  readonly bus: LoopbackBus;
  readonly hosted: HostedActor;
  /** No goodbye, as when a process dies. */
  kill(): void;
  stop(): Promise<void>;
}

export class Trackers implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly random = new SeededRandom(5);
  readonly medium: LoopbackMedium;
  /** Of whoever asks, and of the nodes. */
  readonly bus: LoopbackBus;
  readonly clients: Client<typeof tracker>;
  readonly #database: Database<TrackerTables>;
  readonly #started: StartedTracker[] = [];

  static async open(): Promise<Trackers> {
    const clock = new VirtualClock();
    return new Trackers(clock, await openTestDatabase<TrackerTables>("tracker", { clock }));
  }

  private constructor(clock: VirtualClock, database: Database<TrackerTables>) {
    this.clock = clock;
    this.#database = database;
    this.medium = new LoopbackMedium({ clock, random: this.random });
    this.bus = this.medium.connect();
    this.clients = client(this.bus, tracker);
  }

  async start(options: Partial<HostedTrackerOptions> = {}, log: Log = SILENT_LOG): Promise<StartedTracker> {
    const bus = this.medium.connect();
    const ports = { clock: this.clock, random: this.random, log };
    const database = this.#database;
    const times = { heartbeatMs: HEARTBEAT_MS, offlineAfterMs: OFFLINE_AFTER_MS };
    const hosted = await hostTracker(bus, ports, { ...ports, ...times, database, ...options });
    const started = {
      bus,
      hosted,
      kill: () => {
        this.#started.splice(this.#started.indexOf(started), 1);
        bus.disconnect();
      },
      stop: async () => {
        this.#started.splice(this.#started.indexOf(started), 1);
        await this.now(hosted.stop());
        await this.now(bus.drain());
      },
    };
    this.#started.push(started);
    return started;
  }

  /** Lets everything that is due happen until the promise has settled: time stands still. */
  async now<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    // It is awaited below; until then a rejection must not count as unhandled.
    settled.catch(() => undefined);
    while (!isSettled) await this.clock.advance(0);
    return settled;
  }

  /** A node joins all trackers, and is heard once. */
  async bring(nodeId: string, changes: Partial<NodeAnnouncement> = {}): Promise<void> {
    const node = { nodeId, group: "group001", zone: "zone", version: "1", startedMs: 5, totalBytes: 10_000, freeBytes: 1_000, ...changes };
    const { startedMs, freeBytes } = node;
    // As many as are there: nobody knows how many, and time stands still.
    const all = { answersMax: Math.max(1, this.#started.length) };
    await this.now(this.clients.join(node, all));
    await this.now(this.clients.heartbeat({ nodeId, startedMs, freeBytes }, all));
  }

  /** What one of the trackers that answer knows: `name state`, in order. */
  async states(): Promise<string[]> {
    const { nodes } = await this.now(this.clients.nodes({ limit: 1000 }));
    return nodes.map(({ nodeId, state }) => `${nodeId} ${state}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const started of [...this.#started]) await started.stop();
    await this.now(this.bus.drain());
    await this.#database.close();
  }
}
