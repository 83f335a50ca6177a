/**
 * The actors that a process hosts, for whoever wants to see them.
 *
 * D1: what an actor has counted stays counted when it is gone.
 */
import type { ActorStatus } from "./actor.ts";

export interface ListedActor {
  readonly status: ActorStatus;
}

/** Of all actors of one contract. */
export interface ActorTally {
  /** Those there are now, and what waits for them. */
  readonly actors: number;
  readonly waiting: number;
  /** At the one with most. */
  readonly waitingMax: number;
  readonly deferred: number;
  /** Of those there ever were (D1). */
  readonly turns: number;
  readonly crashes: number;
  readonly deadLetters: number;
}

const NONE: ActorTally = { actors: 0, waiting: 0, waitingMax: 0, deferred: 0, turns: 0, crashes: 0, deadLetters: 0 };

export class ActorDirectory {
  readonly #actors = new Set<ListedActor>();
  /** By the contract's name (D1). */
  readonly #gone = new Map<string, ActorTally>();

  add(actor: ListedActor): void {
    this.#actors.add(actor);
  }

  delete(actor: ListedActor): void {
    if (!this.#actors.delete(actor)) return;
    const { status } = actor;
    const gone = this.#gone.get(status.actor) ?? NONE;
    this.#gone.set(status.actor, counted(gone, status));
  }

  /** By the contract's name. */
  tallies(): ReadonlyMap<string, ActorTally> {
    const tallies = new Map(this.#gone);
    for (const { status } of this.#actors) {
      const known = tallies.get(status.actor) ?? NONE;
      tallies.set(status.actor, {
        ...counted(known, status),
        actors: known.actors + 1,
        waiting: known.waiting + status.waiting,
        waitingMax: Math.max(known.waitingMax, status.waiting),
        deferred: known.deferred + status.deferred,
      });
    }
    return tallies;
  }

  /** In no order. */
  list(): ActorStatus[] {
    return [...this.#actors].map(({ status }) => status);
  }
}

function counted(tally: ActorTally, { turns, crashes, deadLetters }: ActorStatus): ActorTally {
  return {
    ...tally,
    turns: tally.turns + turns,
    crashes: tally.crashes + crashes,
    deadLetters: tally.deadLetters + deadLetters,
  };
}
