/**
 * How both ends of a connection find out that the other is not there: by pings that stay unanswered. Instead of an event for each ping there
 * is one a round, in which all connections are looked at.
 */
import { BUS_PING_MS, BUS_PINGS_UNANSWERED_MAX } from "../../../src/core/limits.ts";
import type { RandomStream } from "../random-streams.ts";
import type { World } from "../world.ts";
import type { BusSession } from "./bus-session.ts";

/** As in deploy/nats.conf. */
const SERVER_PING_MS = 5_000;
const SERVER_PINGS_UNANSWERED_MAX = 2;

export class PingRounds {
  readonly #world: World;
  readonly #sessions: ReadonlySet<BusSession>;
  readonly #onSilent: (session: BusSession) => void;
  /** Processes do not ping at one moment. */
  readonly #phases: RandomStream;
  #hasBegun = false;

  /** @param onSilent the server has waited long enough for a process's answer */
  constructor(world: World, sessions: ReadonlySet<BusSession>, onSilent: (session: BusSession) => void) {
    this.#world = world;
    this.#sessions = sessions;
    this.#onSilent = onSilent;
    this.#phases = world.random.stream("bus", "ping phase");
  }

  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#again(SERVER_PING_MS, "bus pings", () => this.#serverRound());
    this.#again(BUS_PING_MS, "bus is pinged", () => this.#processRound());
  }

  #again(everyMs: number, label: string, round: () => void): void {
    this.#world.scheduler.after(everyMs, label, () => {
      round();
      this.#again(everyMs, label, round);
    });
  }

  #serverRound(): void {
    for (const session of [...this.#sessions]) {
      const { process, way, unansweredPings } = session;
      if (!session.isHeldByServer) continue;
      const isThere = session.isHeldByProcess && process.isAlive && !process.isPaused && !way.isCut;
      unansweredPings.server = isThere ? 0 : unansweredPings.server + 1;
      if (unansweredPings.server > SERVER_PINGS_UNANSWERED_MAX) this.#onSilent(session);
    }
  }

  #processRound(): void {
    for (const session of [...this.#sessions]) {
      const { process, way, unansweredPings } = session;
      if (!session.isHeldByProcess || !process.isAlive || process.isPaused) continue;
      unansweredPings.process = session.isHeldByServer && !way.isCut ? 0 : unansweredPings.process + 1;
      if (unansweredPings.process <= BUS_PINGS_UNANSWERED_MAX) continue;
      unansweredPings.process = 0;
      session.tellStale(this.#phases.between(0, BUS_PING_MS));
    }
  }
}
