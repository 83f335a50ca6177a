/**
 * Two pieces of work on one database server, of which one stops after a statement of the test's choice while the other runs as far as it
 * can: to its end, or until it waits for the first one's locks. Done for every statement, that is every way in which one can come in
 * between the other's statements.
 */
import type { KyselyPlugin } from "kysely";
import type { Database, Transaction } from "../../src/core/ports/database.ts";
import { lockWaitOr, type MariadbDatabases } from "./mariadb.ts";

/** Stops once, after statement `pauseAfter` (from 1) of the transactions that run through it. */
class PausingDatabase<Tables> implements Database<Tables> {
  readonly #real: Database<Tables>;
  readonly #pauseAfter: number;
  #statementCount = 0;
  readonly paused: Promise<true>;
  resume: () => void = () => {};
  readonly #resumed: Promise<void>;
  #pause: (paused: true) => void = () => {};

  constructor(real: Database<Tables>, pauseAfter: number) {
    this.#real = real;
    this.#pauseAfter = pauseAfter;
    this.paused = new Promise((resolve) => {
      this.#pause = resolve;
    });
    this.#resumed = new Promise((resolve) => {
      this.resume = resolve;
    });
  }

  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#real.transact((transaction) =>
      work({
        query: transaction.query.withPlugin(this.#plugin),
        insertIfAbsent: async (table, row) => {
          const inserted = await transaction.insertIfAbsent(table, row);
          await this.#after();
          return inserted;
        },
        lock: (query) => transaction.lock(query),
        claim: (query) => transaction.claim(query),
      }),
    );
  }

  read: Database<Tables>["read"] = (work) => this.#real.read(work);

  close(): Promise<void> {
    return this.#real.close();
  }

  get #plugin(): KyselyPlugin {
    return {
      transformQuery: ({ node }) => node,
      transformResult: async ({ result }) => {
        await this.#after();
        return result;
      },
    };
  }

  async #after(): Promise<void> {
    this.#statementCount += 1;
    if (this.#statementCount !== this.#pauseAfter) return;
    this.#pause(true);
    await this.#resumed;
  }
}

export type Outcome<Value> = PromiseSettledResult<Value>;

export interface Meeting<Tables, Left, Right> {
  readonly first: (database: Database<Tables>) => Promise<Left>;
  readonly second: (database: Database<Tables>) => Promise<Right>;
  readonly check: (first: Outcome<Left>, second: Outcome<Right>) => Promise<void> | void;
}

/**
 * Makes a meeting for each statement of `first`'s after which `second` may come.
 * @param handles two of the same database
 * @returns how many statements that were
 */
export async function inEveryOrder<Tables, Left, Right>(
  databases: MariadbDatabases,
  [one, other]: readonly [Database<Tables>, Database<Tables>],
  meet: () => Promise<Meeting<Tables, Left, Right>>,
): Promise<number> {
  for (let pauseAfter = 1; ; pauseAfter += 1) {
    const { first, second, check } = await meet();
    const pausing = new PausingDatabase(one, pauseAfter);
    const left = Promise.allSettled([first(pausing)]);
    const isPaused = await Promise.race([pausing.paused, left.then(() => false)]);
    const right = Promise.allSettled([second(other)]);
    if (isPaused) await lockWaitOr(databases, right);
    pausing.resume();
    const [[leftOutcome], [rightOutcome]] = await Promise.all([left, right]);
    await check(leftOutcome, rightOutcome);
    if (!isPaused) return pauseAfter - 1;
  }
}

/** The values of those that succeeded. */
export function values<Value>(...outcomes: readonly Outcome<Value>[]): Value[] {
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

/** The codes of those that failed. */
export function codes(...outcomes: readonly Outcome<unknown>[]): unknown[] {
  return outcomes.flatMap((outcome) =>
    outcome.status === "rejected" ? [(outcome.reason as { code?: unknown }).code ?? outcome.reason] : [],
  );
}
