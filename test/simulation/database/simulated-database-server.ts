/**
 * A database server as Troupe uses one: MySQL in what it answers and when, SQLite in what it holds.
 *
 * V1: transactions run one after the other: the first statement of one takes the database's only lock, COMMIT and ROLLBACK give it back.
 *     A server locks rows, so that transactions on other rows run at the same time; what depends on that is not to be seen here.
 * V2: a read outside of a transaction waits for none, and sees what is committed at that moment.
 * V3: a statement that was sent is done, whether its process lives then or not; a transaction whose process is gone is rolled back, at
 *     once when the operating system could say goodbye, later when the machine had no power to.
 * V4: a connection that is lost takes its transaction with it. Only around COMMIT nobody knows: the server may have done it, may never
 *     hear of it, or may do either later than the process has given up.
 */

import { TroupeError } from "../../../src/core/errors.ts";
import {
  DATABASE_CONNECT_MS_MAX,
  DATABASE_LOCK_WAIT_MS_MAX,
  DATABASE_OPENING_MS_MAX,
  DATABASE_READERS_MAX,
  DATABASE_SILENCE_MS_MAX,
  DATABASE_STATEMENT_MS_MAX,
  DATABASE_WRITERS_MAX,
} from "../../../src/core/limits.ts";
import { sleep } from "../../../src/core/ports/clock.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { type DatabasePart, migrationsDirectory } from "../../../src/store/sql/databases.ts";
import { type Migration, readMigrations } from "../../../src/store/sql/migrations.ts";
import { mysqlError } from "../../../src/store/sql/mysql-errors.ts";
import { ROLLBACK, ServerConnection } from "../../../src/store/sql/server-connection.ts";
import { ServerDatabase } from "../../../src/store/sql/server-database.ts";
import { SqliteTransaction } from "../../../src/store/sql/sqlite-database.ts";
import { ActiveFaults } from "../active-faults.ts";
import type { Fault } from "../fault.ts";
import type { RandomStream } from "../random-streams.ts";
import type { Death, SimulatedProcess } from "../simulated-process.ts";
import type { World } from "../world.ts";
import { SerialStore, type Snapshot } from "./serial-store.ts";
import { SimulatedPool } from "./simulated-pool.ts";
import { type Outcome, SimulatedSession, type Statement, type StatementReceiver } from "./simulated-session.ts";
import { WriteLock } from "./write-lock.ts";

/** Read once: nothing is read from a disk while a world runs. */
const MIGRATIONS: Readonly<Record<DatabasePart, readonly Migration[]>> = {
  tracker: await readMigrations(migrationsDirectory("tracker"), "sqlite"),
  ids: await readMigrations(migrationsDirectory("ids"), "sqlite"),
  storage: await readMigrations(migrationsDirectory("storage"), "sqlite"),
};

const DONE = { rows: [], changedCount: 0n, insertId: 0n };
const STATEMENT_MS = { least: 0.2, most: 1 };
/** Login and settings. */
const CONNECT_MS = { least: 0.5, most: 3 };
/** How long a server goes on believing in a machine that has no power. */
const POWERLESS_MS = { least: DATABASE_LOCK_WAIT_MS_MAX / 2, most: 3 * DATABASE_LOCK_WAIT_MS_MAX };
/** How much later than its process has heard of the loss a lost COMMIT ends on the server, when it does not end before. */
const LOSSES_AT_COMMIT = [
  { kind: "database.lost-at-commit-not-done", isDone: false, lateMsMax: 1.5 * DATABASE_LOCK_WAIT_MS_MAX },
  { kind: "database.lost-at-commit-done", isDone: true, lateMsMax: 300 },
] as const;

/** What the oracle may ask: what is committed, by SQL, at once and without an event. */
export interface CommittedRows {
  rows(sql: string, parameters?: readonly unknown[]): Record<string, unknown>[];
}

export class SimulatedDatabaseServer implements StatementReceiver {
  readonly part: DatabasePart;
  readonly name: string;
  readonly faults: ActiveFaults;
  readonly #world: World;
  readonly #store: SerialStore;
  readonly #lock: WriteLock;
  readonly #sessions = new Set<SimulatedSession>();
  /** By the name of the process. */
  readonly #delays = new Map<string, RandomStream>();
  readonly #lateness: RandomStream;
  readonly #rewindListeners: (() => void)[] = [];

  /** @param migrations those of the part unless given */
  constructor(world: World, part: DatabasePart, migrations: readonly Migration[] = MIGRATIONS[part]) {
    this.part = part;
    this.name = `${part} database`;
    this.#world = world;
    this.#store = new SerialStore(migrations);
    this.faults = new ActiveFaults(world, this.name);
    this.#lateness = world.random.stream(this.name, "goodbye of the powerless");
    this.#lock = new WriteLock(world, this.name, {
      granted: ({ session, statement }) => {
        this.#store.begin();
        session.goOn("lock", () => this.#inTransaction(session, statement));
      },
      timedOut: ({ session, statement }) => {
        world.counts.add("database.lock-wait");
        this.#endSilent();
        session.goOn("lock refused", () => refusal(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction", statement.sql));
      },
    });
  }

  /**
   * A handle for one life of a process, with the connections, pauses and attempts of the one on MySQL.
   * @throws {TroupeError} `DATABASE_UNAVAILABLE`
   */
  async open<Tables>(process: SimulatedProcess): Promise<Database<Tables>> {
    const { clock } = process;
    process.onDeath((death) => this.#processDied(process, death));
    // As the opening of the real one looks whether there is a server, and of the right format.
    const first = await this.#connect(process, DATABASE_OPENING_MS_MAX);
    first.destroy();
    const pool = (connectionsMax: number): SimulatedPool =>
      new SimulatedPool({ clock, connectionsMax, connect: () => this.#connect(process, DATABASE_CONNECT_MS_MAX) });
    return new ServerDatabase<Tables>({
      writers: pool(DATABASE_WRITERS_MAX),
      readers: pool(DATABASE_READERS_MAX),
      dialect: "sqlite",
      Transaction: SqliteTransaction,
      clock,
      random: this.#world.random.stream(this.name, `${process.name}#${process.life} pauses`),
    });
  }

  /** Committed state, at once and without an event. */
  inspect<T>(work: (committed: CommittedRows) => T): T {
    return work({ rows: (sql, parameters) => this.#store.read(sql, parameters).rows });
  }

  /** Every connection is lost, and no other is made until the fault ends. */
  goAway(fault: Fault): void {
    this.faults.begin(fault);
    this.faults.count(fault.kind);
    for (const session of [...this.#sessions]) this.#cut(session);
    // Of one whose process is gone already.
    if (this.#lock.holder !== undefined) this.#end(this.#lock.holder);
  }

  takeSnapshot(): Snapshot {
    return this.#store.snapshot();
  }

  /** As after a restore of a backup: what was committed since is gone. */
  rewind(to: Snapshot): void {
    for (const session of [...this.#sessions]) this.#cut(session);
    if (this.#lock.holder !== undefined) this.#end(this.#lock.holder);
    this.#store.restore(to);
    for (const listener of this.#rewindListeners) listener();
  }

  /** Told of each rewind: what was committed may be gone. */
  onRewind(listener: () => void): void {
    this.#rewindListeners.push(listener);
  }

  delayMs({ process }: SimulatedSession): number {
    return this.#delay(process).between(STATEMENT_MS.least, STATEMENT_MS.most) + this.#slownessMs();
  }

  receive(session: SimulatedSession, statement: Statement): Outcome | undefined {
    // The server has ended what said nothing for so long.
    if (this.#world.nowMs - session.heardMs >= DATABASE_SILENCE_MS_MAX) this.#cut(session);
    session.heardMs = this.#world.nowMs;
    if (session.isCut) return this.#isSilent() ? undefined : LOST;
    const { sql, parameters } = statement;
    if (sql === "COMMIT") return this.#commit(session);
    if (this.faults.hits("database.lost-before-commit")) {
      this.#cut(session);
      return LOST;
    }
    if (sql === ROLLBACK) {
      this.#end(session);
      return DONE;
    }
    if (sql === "START TRANSACTION") {
      session.isInTransaction = true;
      return DONE;
    }
    // V2
    if (!session.isInTransaction) return outcomeOf(() => this.#store.read(sql, parameters));
    if (this.#lock.holder !== session) return this.#firstInTransaction(session, statement);
    return this.#inTransaction(session, statement);
  }

  hearGoodbye(session: SimulatedSession): void {
    if (session.isAsking && !this.#lock.stopWaiting(session)) return;
    this.#leave(session);
  }

  /** V1 */
  #firstInTransaction(session: SimulatedSession, statement: Statement): Outcome | undefined {
    const isHopeless = this.faults.hits("database.lock-wait");
    if (isHopeless || !this.#lock.take(session)) {
      this.#lock.wait({ session, statement, isHopeless });
      return undefined;
    }
    this.#store.begin();
    return this.#inTransaction(session, statement);
  }

  #inTransaction(session: SimulatedSession, { sql, parameters }: Statement): Outcome | undefined {
    // Cut since the lock was given to it.
    if (this.#lock.holder !== session) return LOST;
    if (this.faults.hits("database.deadlock")) return this.#deadlock(session, sql);
    return outcomeOf(() => this.#store.execute(sql, parameters));
  }

  #deadlock(session: SimulatedSession, sql: string): TroupeError {
    this.#end(session);
    return refusal(1213, "40001", "Deadlock found when trying to get lock; try restarting transaction", sql);
  }

  /** V4 */
  #commit(session: SimulatedSession): Outcome {
    if (this.#lock.holder === session && this.faults.hits("database.deadlock")) return this.#deadlock(session, "COMMIT");
    for (const { kind, isDone, lateMsMax } of LOSSES_AT_COMMIT) {
      if (!this.faults.hits(kind)) continue;
      const stream = this.faults.stream(kind);
      const lateMs = stream.chance(0.5) ? 0 : stream.between(0, lateMsMax);
      this.#forget(session);
      if (lateMs === 0) this.#end(session, isDone);
      else this.#world.scheduler.after(lateMs, `${this.name} late ${isDone ? "commit" : "rollback"}`, () => this.#end(session, isDone));
      return LOST;
    }
    this.#end(session, true);
    return DONE;
  }

  async #connect(process: SimulatedProcess, withinMs: number): Promise<ServerConnection> {
    const delayMs = this.#delay(process).between(CONNECT_MS.least, CONNECT_MS.most) + this.#slownessMs();
    const session = await process.ask(delayMs, `${this.name} connect`, () => {
      if (this.faults.of("database.away") === undefined) {
        const made = new SimulatedSession(this, process);
        // Who died meanwhile has no connection.
        if (process.isAlive) this.#sessions.add(made);
        return made;
      }
      return this.#isSilent() ? undefined : REFUSED;
    });
    if (session === undefined) {
      await sleep(process.clock, Math.max(0, withinMs - delayMs));
      throw mysqlError({ code: "ETIMEDOUT", message: "connect ETIMEDOUT" }, "connect", this.name);
    }
    if (session instanceof TroupeError) throw session;
    return new ServerConnection(session, { clock: process.clock, statementMs: DATABASE_STATEMENT_MS_MAX, place: this.name });
  }

  /** V3 */
  #processDied(process: SimulatedProcess, death: Death): void {
    for (const session of [...this.#sessions]) {
      if (session.process !== process) continue;
      if (death !== "power" || this.#lock.holder !== session) {
        session.isLeft = true;
        this.hearGoodbye(session);
        continue;
      }
      const lateMs = this.#lateness.between(POWERLESS_MS.least, POWERLESS_MS.most);
      this.#world.scheduler.after(lateMs, `${this.name} misses ${process.name}`, () => this.#leave(session));
    }
  }

  /** Whoever holds the lock and says nothing does not hold it for ever. */
  #endSilent(): void {
    const { holder } = this.#lock;
    if (holder !== undefined && this.#world.nowMs - holder.heardMs >= DATABASE_SILENCE_MS_MAX) this.#cut(holder);
  }

  #cut(session: SimulatedSession): void {
    const hasWaited = this.#lock.stopWaiting(session);
    this.#leave(session);
    if (hasWaited) session.goOn("cut", () => (this.#isSilent() ? undefined : LOST));
  }

  #leave(session: SimulatedSession): void {
    // Of one that is lost already the server knows what becomes (V4).
    if (!this.#sessions.has(session)) return;
    this.#forget(session);
    this.#end(session);
  }

  #forget(session: SimulatedSession): void {
    session.isCut = true;
    this.#sessions.delete(session);
  }

  /** Its transaction is over, if it has one. */
  #end(session: SimulatedSession, isDone = false): void {
    session.isInTransaction = false;
    if (this.#lock.holder !== session) return;
    if (isDone) this.#store.commit();
    else this.#store.rollBack();
    this.#lock.release();
  }

  #isSilent(): boolean {
    return this.faults.of("database.away")?.with["isSilent"] === true;
  }

  #slownessMs(): number {
    const fault = this.faults.of("database.slow");
    if (fault === undefined) return 0;
    this.faults.count("database.slow");
    return this.faults.stream("database.slow").between(0, Number(fault.with["extraMs"]));
  }

  #delay({ name }: SimulatedProcess): RandomStream {
    let stream = this.#delays.get(name);
    if (stream === undefined) {
      stream = this.#world.random.stream(this.name, `${name} delay`);
      this.#delays.set(name, stream);
    }
    return stream;
  }
}

function outcomeOf(work: () => Outcome): Outcome {
  try {
    return work();
  } catch (error) {
    if (error instanceof TroupeError) return error;
    throw error;
  }
}

function refusal(errno: number, sqlState: string, message: string, sql: string): TroupeError {
  return mysqlError({ errno, sqlState, message }, sql, "the simulated server");
}

const LOST = mysqlError({ code: "PROTOCOL_CONNECTION_LOST", message: "Connection lost" }, "", "the simulated server");
const REFUSED = mysqlError({ code: "ECONNREFUSED", message: "connect ECONNREFUSED" }, "connect", "the simulated server");
