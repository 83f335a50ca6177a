/** A process's connections to one database: a bounded number, each lent to one user at a time, and thrown away when it fails or was idle for long. */
import { TroupeError } from "../../../src/core/errors.ts";
import { DATABASE_IDLE_MS, DATABASE_STATEMENT_MS_MAX } from "../../../src/core/limits.ts";
import type { Clock } from "../../../src/core/ports/clock.ts";
import type { ServerConnection } from "../../../src/store/sql/server-connection.ts";
import type { ServerPool } from "../../../src/store/sql/server-database.ts";

interface Idle {
  readonly connection: ServerConnection;
  readonly sinceMs: number;
}

/** Gets a connection, or the place for one of its own. */
type Waiter = (connection: ServerConnection | undefined) => void;

export interface PoolOptions {
  readonly clock: Clock;
  readonly connectionsMax: number;
  readonly connect: () => Promise<ServerConnection>;
}

export class SimulatedPool implements ServerPool {
  readonly #options: PoolOptions;
  /** The one that was used last is last. */
  readonly #idle: Idle[] = [];
  readonly #waiters = new Set<Waiter>();
  #count = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async use<T>(work: (connection: ServerConnection) => Promise<T>): Promise<T> {
    const connection = (await this.#borrow()) ?? (await this.#connect());
    try {
      return await work(connection);
    } finally {
      this.#giveBack(connection);
    }
  }

  async close(): Promise<void> {
    for (const { connection } of this.#idle.splice(0)) connection.destroy();
  }

  /** @returns `undefined` when the borrower is to make one, for which there is a place now */
  async #borrow(): Promise<ServerConnection | undefined> {
    this.#dropIdle();
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle.connection;
    const { clock, connectionsMax } = this.#options;
    if (this.#count < connectionsMax) {
      this.#count += 1;
      return undefined;
    }
    return await new Promise((resolve, reject) => {
      const waiter: Waiter = (connection) => {
        timer.cancel();
        this.#waiters.delete(waiter);
        resolve(connection);
      };
      const timer = clock.setTimer(DATABASE_STATEMENT_MS_MAX, () => {
        this.#waiters.delete(waiter);
        reject(new TroupeError("DATABASE_UNAVAILABLE", "Every connection to the database has been busy for too long."));
      });
      this.#waiters.add(waiter);
    });
  }

  async #connect(): Promise<ServerConnection> {
    try {
      return await this.#options.connect();
    } catch (error) {
      this.#giveUpPlace();
      throw error;
    }
  }

  #giveBack(connection: ServerConnection): void {
    if (!connection.isUsable) {
      connection.destroy();
      return this.#giveUpPlace();
    }
    const [waiter] = this.#waiters;
    if (waiter !== undefined) return waiter(connection);
    this.#idle.push({ connection, sinceMs: this.#options.clock.nowMs() });
  }

  #giveUpPlace(): void {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) return waiter(undefined);
    this.#count -= 1;
  }

  #dropIdle(): void {
    const sinceMsMin = this.#options.clock.nowMs() - DATABASE_IDLE_MS;
    while (this.#idle[0] !== undefined && this.#idle[0].sinceMs <= sinceMsMin) {
      this.#idle.shift()?.connection.destroy();
      this.#count -= 1;
    }
  }
}
