/** A simulated database server with the tables of the port's contract, and processes that use it, for tests. */
import { bytesOf } from "../../../src/core/byte-text.ts";
import type { Database } from "../../../src/core/ports/database.ts";
import { readMigrations } from "../../../src/store/sql/migrations.ts";
import { CONTRACT_MIGRATIONS, type ContractTables } from "../../contract/database.ts";
import type { Fault } from "../fault.ts";
import { PassingTime } from "../passing-time.ts";
import { SimulatedProcess } from "../simulated-process.ts";
import { World } from "../world.ts";
import { SimulatedDatabaseServer } from "./simulated-database-server.ts";

export type Rows = Database<ContractTables>;

const MIGRATIONS = await readMigrations(CONTRACT_MIGRATIONS, "sqlite");

export class DatabaseRig {
  readonly world: World;
  readonly server: SimulatedDatabaseServer;
  readonly time: PassingTime;
  #processCount = 0;

  constructor(seed = 1) {
    this.world = new World(seed);
    this.server = new SimulatedDatabaseServer(this.world, "storage", MIGRATIONS);
    this.time = new PassingTime(this.world);
  }

  process(): SimulatedProcess {
    this.#processCount += 1;
    return new SimulatedProcess(this.world, `catalog${this.#processCount}`, 1);
  }

  async open(process = this.process()): Promise<Rows> {
    return this.time.around(await this.time.until(this.server.open<ContractTables>(process)));
  }

  /** What is committed. */
  names(): string[] {
    return this.server.inspect(({ rows }) =>
      rows("SELECT name FROM t_row ORDER BY name").map(({ name }) => Buffer.from(name as Uint8Array).toString()),
    );
  }

  begin(kind: string, more: Fault["with"] = {}): Fault {
    const fault: Fault = { kind, atMs: 0, forMs: 0, with: more };
    if (kind === "database.away") this.server.goAway(fault);
    else this.server.faults.begin(fault);
    return fault;
  }

  count(kind: string): number {
    return this.world.counts.of(`fault.${kind}`);
  }
}

const row = (name: string) => ({ name: bytesOf(name), amount: 1, content: null, live: null });

export const insert = (database: Rows, ...names: string[]): Promise<void> =>
  database.transact(async (transaction) => {
    for (const name of names) await transaction.insertIfAbsent("t_row", row(name));
  });

/** What it failed with; `undefined` when it did not. */
export const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );
