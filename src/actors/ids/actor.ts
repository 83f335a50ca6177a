/**
 * The ID allocator as an actor: memory counts within a turn, the database steps outside of one. Requests that come during a step wait
 * for it together. Nothing in memory survives a restart: what was left of the blocks is a gap.
 */
import type { Activation, Self } from "../../bus/actor.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import { ID_STEP_DEFAULT, ID_STEP_MIN } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Database } from "../../core/ports/database.ts";
import { Allocator, type Lease } from "./allocator.ts";
import type { ids } from "./contract.ts";
import { raiseCounter, stepCounter } from "./counter-row.ts";
import type { IdsTables } from "./tables.ts";

export interface IdsPorts {
  readonly database: Database<IdsTables>;
  readonly clock: Clock;
  readonly log: Log;
  /** How many IDs one step of the database hands out; default `ID_STEP_DEFAULT`. */
  readonly step?: number;
}

interface Waiter {
  readonly count: number;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (error: TroupeError) => void;
}

/** What is under way for one key; there is none for a key at rest. */
interface Underway {
  readonly waiters: Waiter[];
  stepping: boolean;
  raises: number;
}

/** @throws {TroupeError} `SETTING_INVALID` for a step below `ID_STEP_MIN` */
export function startIds(ports: IdsPorts): (self: Self) => Promise<Activation<typeof ids>> {
  const step = ports.step ?? ID_STEP_DEFAULT;
  if (!Number.isSafeInteger(step) || step < ID_STEP_MIN) throw new TroupeError("SETTING_INVALID", `The ID step is a whole number of at least ${ID_STEP_MIN}, not ${step}.`);
  return async (self) => {
    const counting = new Counting(ports, step, self);
    return {
      handlers: {
        next: ({ key, count }, turn) => counting.take(key, count) ?? turn.later(counting.wait(key, count)),
        raise: ({ key, highest }, turn) => turn.later(counting.raise(key, highest)),
        state: () => ({ step, blocks: counting.allocator.blocks() }),
      },
      stop: () => counting.stop(),
    };
  };
}

class Counting {
  readonly allocator = new Allocator();
  readonly #ports: IdsPorts;
  readonly #step: number;
  readonly #self: Self;
  readonly #underway = new Map<string, Underway>();

  constructor(ports: IdsPorts, step: number, self: Self) {
    this.#ports = ports;
    this.#step = step;
    this.#self = self;
  }

  /** A lease at once; `undefined` when it has to wait for the database, or for those that already do. */
  take(key: string, count: number): Lease | undefined {
    return this.#underway.get(key)?.stepping ? undefined : this.allocator.take(key, count);
  }

  wait(key: string, count: number): Promise<Lease> {
    const underway = this.#enter(key);
    const lease = new Promise<Lease>((resolve, reject) => underway.waiters.push({ count, resolve, reject }));
    if (!underway.stepping) this.#stepFor(key, underway);
    return lease;
  }

  raise(key: string, highest: number): Promise<Record<string, never>> {
    const underway = this.#enter(key);
    underway.raises += 1;
    this.allocator.raise(key, highest);
    const done = (): void =>
      this.#self.post("ids.raised", () => {
        underway.raises -= 1;
        this.#leave(key, underway);
      });
    return raiseCounter(this.#ports.database, key, highest, this.#ports.clock.wallMs())
      .finally(done)
      .then(() => ({}));
  }

  /** Nobody waits for what will not be answered. */
  stop(): void {
    for (const { waiters } of this.#underway.values()) {
      for (const waiter of waiters.splice(0)) waiter.reject(new TroupeError("UNAVAILABLE", "The allocator stopped before the database answered."));
    }
    this.#underway.clear();
  }

  #enter(key: string): Underway {
    const known = this.#underway.get(key);
    if (known !== undefined) return known;
    const underway = { waiters: [], stepping: false, raises: 0 };
    this.#underway.set(key, underway);
    return underway;
  }

  #leave(key: string, underway: Underway): void {
    if (underway.stepping || underway.raises > 0 || this.#underway.get(key) !== underway) return;
    this.#underway.delete(key);
    this.allocator.settle(key);
  }

  #stepFor(key: string, underway: Underway): void {
    const first = underway.waiters[0];
    if (first === undefined) return;
    underway.stepping = true;
    const want = { step: this.#step, count: first.count, floor: this.allocator.floor(key) };
    stepCounter(this.#ports.database, key, want, this.#ports.clock.wallMs()).then(
      (block) => this.#self.post("ids.stepped", () => this.#stepped(key, underway, () => this.allocator.refill(key, block))),
      (error: unknown) => this.#self.post("ids.step-failed", () => this.#stepped(key, underway, () => this.#refuse(underway, error))),
    );
  }

  #stepped(key: string, underway: Underway, settle: () => void): void {
    underway.stepping = false;
    settle();
    while (underway.waiters[0] !== undefined) {
      const lease = this.allocator.take(key, underway.waiters[0].count);
      if (lease === undefined) break;
      underway.waiters.shift()?.resolve(lease);
    }
    this.#stepFor(key, underway);
    this.#leave(key, underway);
  }

  /** A step that failed, or whose outcome is unknown, leaves at worst a gap; who waited may ask again. */
  #refuse(underway: Underway, error: unknown): void {
    const typed = toTroupeError(error, "DATABASE_UNAVAILABLE");
    this.#ports.log.warn({ err: error }, "The database did not step an ID counter.");
    // The first one asked for more than there is; the others may ask for less.
    const refused = typed.code === "ID_SPACE_EXHAUSTED" ? underway.waiters.splice(0, 1) : underway.waiters.splice(0);
    for (const waiter of refused) waiter.reject(typed);
  }
}
