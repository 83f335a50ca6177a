/**
 * A Database whose time is taken, with how often it began something again and how often it could not be reached.
 *
 * Q1: a work that runs once more is a repetition; what the caller's own work throws is no failure of the database.
 */
import type { Kysely } from "kysely";
import { TroupeError } from "../core/errors.ts";
import type { LabelsOf } from "../core/metrics.ts";
import type { Clock } from "../core/ports/clock.ts";
import type { Database, Transaction } from "../core/ports/database.ts";
import type { Counter, Histogram, Metrics } from "../core/ports/metrics.ts";

type DatabaseName = LabelsOf<"troupe_database_seconds">["database"];

interface Meter {
  readonly seconds: Histogram;
  readonly retries: Counter;
  readonly failures: Counter;
}

export class MeasuredDatabase<Tables> implements Database<Tables> {
  readonly #database: Database<Tables>;
  readonly #clock: Clock;
  readonly #transactions: Meter;
  readonly #reads: Meter;

  constructor(database: Database<Tables>, { clock, metrics }: { readonly clock: Clock; readonly metrics: Metrics }, name: DatabaseName) {
    this.#database = database;
    this.#clock = clock;
    const meter = (access: LabelsOf<"troupe_database_seconds">["access"]): Meter => ({
      seconds: metrics.histogram("troupe_database_seconds", { database: name, access }),
      retries: metrics.counter("troupe_database_retries_total", { database: name, access }),
      failures: metrics.counter("troupe_database_failures_total", { database: name, access }),
    });
    this.#transactions = meter("transaction");
    this.#reads = meter("read");
  }

  transact<T>(work: (transaction: Transaction<Tables>) => Promise<T>): Promise<T> {
    return this.#measure(this.#transactions, work, (counted) => this.#database.transact(counted));
  }

  read<T>(work: (query: Kysely<Tables>) => Promise<T>): Promise<T> {
    return this.#measure(this.#reads, work, (counted) => this.#database.read(counted));
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  async #measure<Given, T>(
    { seconds, retries, failures }: Meter,
    work: (given: Given) => Promise<T>,
    run: (counted: (given: Given) => Promise<T>) => Promise<T>,
  ): Promise<T> {
    const askedMs = this.#clock.nowMs();
    let runs = 0;
    try {
      return await run((given) => {
        runs += 1;
        // Q1
        if (runs > 1) retries.add();
        return work(given);
      });
    } catch (error) {
      if (error instanceof TroupeError && error.code === "DATABASE_UNAVAILABLE") failures.add();
      throw error;
    } finally {
      seconds.observe((this.#clock.nowMs() - askedMs) / 1_000);
    }
  }
}
