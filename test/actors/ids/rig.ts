/** Allocators without a bus, over one database whose transactions happen, and are answered, when the test says so. */

import { startIds } from "../../../src/actors/ids/actor.ts";
import type { ids } from "../../../src/actors/ids/contract.ts";
import type { IdsTables } from "../../../src/actors/ids/tables.ts";
import type { Activation } from "../../../src/bus/actor.ts";
import { Later } from "../../../src/bus/actor.ts";
import { SYSTEM_OWNER } from "../../../src/bus/client.ts";
import { TroupeError } from "../../../src/core/errors.ts";
import { SILENT_LOG } from "../../../src/core/log.ts";
import type { Database, Transaction } from "../../../src/core/ports/database.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** `commit`: done and answered. `lose`: done, and the answer lost. `fail`: not done. */
export type Outcome = "commit" | "lose" | "fail";

interface Held {
  readonly settle: (outcome: Outcome) => Promise<void>;
}

/** A database whose transactions wait until they are let go, in any order. */
export class HeldDatabase implements Database<IdsTables> {
  readonly #real: Database<IdsTables>;
  readonly held: Held[] = [];

  constructor(real: Database<IdsTables>) {
    this.#real = real;
  }

  transact<T>(work: (transaction: Transaction<IdsTables>) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const lost = (): void =>
        reject(new TroupeError("DATABASE_UNAVAILABLE", "The connection was lost.", { facts: { outcomeUnknown: true } }));
      const settle = async (outcome: Outcome): Promise<void> => {
        if (outcome === "fail") return lost();
        await this.#real.transact(work).then(outcome === "lose" ? lost : resolve, reject);
      };
      this.held.push({ settle });
    });
  }

  read: Database<IdsTables>["read"] = (work) => this.#real.read(work);

  close(): Promise<void> {
    return this.#real.close();
  }

  /** Lets one transaction go, if there is one, and whatever follows from it. */
  async release(index: number, outcome: Outcome): Promise<void> {
    const [held] = this.held.splice(index % Math.max(1, this.held.length), 1);
    await held?.settle(outcome);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  }

  async releaseAll(): Promise<void> {
    while (this.held.length > 0) await this.release(0, "commit");
  }
}

/** One allocator; after {@link crash} another life of it, which knows nothing. */
export class TestAllocator {
  readonly #database: Database<IdsTables>;
  readonly #step: number;
  readonly #clock: VirtualClock;
  #controller = new AbortController();
  #activation: Promise<Activation<typeof ids>>;

  constructor(database: Database<IdsTables>, step: number, clock = new VirtualClock()) {
    this.#clock = clock;
    this.#database = database;
    this.#step = step;
    this.#activation = this.#start();
  }

  async next(count = 1, key = "blob"): Promise<{ first: number; count: number }> {
    const { handlers } = await this.#activation;
    return answerOf(await handlers.next({ key, count }, TURN));
  }

  async raise(highest: number, key = "blob"): Promise<void> {
    const { handlers } = await this.#activation;
    await answerOf(await handlers.raise({ key, highest }, TURN));
  }

  async state() {
    const { handlers } = await this.#activation;
    return answerOf(await handlers.state({}, TURN));
  }

  /** What is under way is answered to nobody. */
  async crash(): Promise<void> {
    this.#controller.abort();
    const crashed = await this.#activation;
    this.#controller = new AbortController();
    this.#activation = this.#start();
    await crashed.stop?.("crashed");
  }

  #start(): Promise<Activation<typeof ids>> {
    const { signal } = this.#controller;
    const post = (_: string, work: () => void | Promise<void>): void => {
      if (!signal.aborted) void work();
    };
    return startIds({ database: this.#database, clock: this.#clock, log: SILENT_LOG, step: this.#step })({ signal, post });
  }
}

const TURN = {
  principal: { owner: SYSTEM_OWNER },
  trace: undefined,
  deadlineMs: Number.POSITIVE_INFINITY,
  later: <Output>(effect: Promise<Output>) => new Later(effect),
};

function answerOf<Output>(answer: Output | Later<Output>): Promise<Output> {
  return answer instanceof Later ? answer.promise : Promise.resolve(answer);
}
