/**
 * The ID allocator as an actor: memory counts within a turn, the database steps outside of one. Requests that come during a step wait
 * for it together. Nothing in memory survives a restart: what was left of the blocks is a gap.
 */
import type { Activation, Self, Turn } from "../../bus/actor.ts";
import { mustBeSystem } from "../../bus/system-only.ts";
import { TroupeError, toTroupeError } from "../../core/errors.ts";
import { ID_LEASE_COUNT_MAX, ID_STEP_DEFAULT, ID_STEP_MIN } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { askDatabase, type Database } from "../../core/ports/database.ts";
import { Allocator, type Lease } from "./allocator.ts";
import type { ids } from "./contract.ts";
import { isNear, raiseCounter, stepCounter } from "./counter-row.ts";
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

/** @throws {TroupeError} `SETTING_INVALID` for a step below `ID_STEP_MIN` */
export function startIds(ports: IdsPorts): (self: Self) => Promise<Activation<typeof ids>> {
  const step = ports.step ?? ID_STEP_DEFAULT;
  if (!Number.isSafeInteger(step) || step < ID_STEP_MIN)
    throw new TroupeError("SETTING_INVALID", `The ID step is a whole number of at least ${ID_STEP_MIN}, not ${step}.`);
  return async (self) => {
    const counting = new Counting(ports, step, self);
    return {
      handlers: {
        next: ({ key, count }, turn) => counting.take(key, count) ?? turn.later(counting.wait(key, count)),
        raise: ({ key, highest }, turn) => {
          mustBeSystem(turn, "Only a storage node tells which IDs it has seen.");
          return turn.later(counting.raise(key, highest, turn));
        },
        ready: (_, turn) => turn.later(askDatabase(ports.database)),
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
  /** Who waits for a step that is under way, by key, in order. */
  readonly #steps = new Map<string, Waiter[]>();

  constructor(ports: IdsPorts, step: number, self: Self) {
    this.#ports = ports;
    this.#step = step;
    this.#self = self;
  }

  /** A lease at once; `undefined` when it has to wait for the database, or for those that already do. */
  take(key: string, count: number): Lease | undefined {
    return this.#steps.has(key) ? undefined : this.allocator.take(key, count, this.#ports.clock.nowMs());
  }

  wait(key: string, count: number): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const waiter = { count, resolve, reject };
      const waiting = this.#steps.get(key);
      if (waiting === undefined) this.#stepFor(key, [waiter]);
      else waiting.push(waiter);
    });
  }

  async raise(key: string, highest: number, { principal }: Pick<Turn, "principal">): Promise<Record<string, never>> {
    const { database, clock, log } = this.#ports;
    const floor = this.allocator.floor(key);
    // What the database cannot refuse holds here at once, also when it does not answer.
    if (isNear(highest, floor)) this.allocator.raise(key, highest);
    try {
      await raiseCounter(database, key, { highest, floor }, clock.wallMs());
    } catch (error) {
      if (error instanceof TroupeError && error.code === "BAD_REQUEST")
        log.error(
          { key, highest, owner: principal.owner, err: error },
          "A raise of an ID counter was refused: it is too high to be believed.",
        );
      throw error;
    }
    this.allocator.raise(key, highest);
    return {};
  }

  /** Nobody waits for what will not be answered. */
  stop(): void {
    for (const waiting of this.#steps.values()) {
      for (const waiter of waiting) waiter.reject(new TroupeError("UNAVAILABLE", "The allocator stopped before the database answered."));
    }
    this.#steps.clear();
  }

  #stepFor(key: string, waiting: Waiter[]): void {
    const [first] = waiting;
    if (first === undefined) {
      this.#steps.delete(key);
      return;
    }
    this.#steps.set(key, waiting);
    // One step for all that wait, as far as one may go; the first of them has to fit.
    const wanted = waiting.reduce((sum, { count }) => sum + count, 0);
    const step = Math.max(this.#step, Math.min(wanted, ID_LEASE_COUNT_MAX));
    const want = { step, count: first.count, floor: this.allocator.floor(key) };
    stepCounter(this.#ports.database, key, want, this.#ports.clock.wallMs()).then(
      (block) =>
        this.#self.post("ids.stepped", () => {
          if (block.wasBehind)
            this.#ports.log.warn(
              { key, floor: want.floor },
              "The database's counter was behind what this allocator knows to be given out, as after an older backup was put back. Counting goes on above.",
            );
          this.allocator.refill(key, block, this.#ports.clock.nowMs());
          this.#stepFor(key, this.#serve(key, waiting));
        }),
      (error: unknown) => this.#self.post("ids.step-failed", () => this.#stepFor(key, this.#refuse(waiting, error))),
    );
  }

  /** @returns who needs another step */
  #serve(key: string, waiting: Waiter[]): Waiter[] {
    for (const [index, waiter] of waiting.entries()) {
      const lease = this.allocator.take(key, waiter.count, this.#ports.clock.nowMs());
      if (lease === undefined) return waiting.slice(index);
      waiter.resolve(lease);
    }
    return [];
  }

  /** A step that failed, or whose outcome is unknown, leaves at worst a gap; who waited may ask again. @returns who may still be served */
  #refuse(waiting: Waiter[], error: unknown): Waiter[] {
    const typed = toTroupeError(error, "DATABASE_UNAVAILABLE");
    this.#ports.log.warn({ err: error }, "The database did not step an ID counter.");
    // The first one asked for more than there is; the others may ask for less.
    const refusedCount = typed.code === "ID_SPACE_EXHAUSTED" ? 1 : waiting.length;
    for (const waiter of waiting.slice(0, refusedCount)) waiter.reject(typed);
    return waiting.slice(refusedCount);
  }
}
