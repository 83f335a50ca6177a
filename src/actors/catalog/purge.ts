/** Removes what has been kept long enough: outcomes of uploads, and operations. A few rows at a time, about every minute. */
import { OUTBOX_SWEEP_MS, OUTCOME_KEPT_MS, PURGE_INTERVAL_MS, PURGE_ROWS_MAX } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { CatalogDatabase } from "./tables.ts";

export class Purge {
  readonly #ports: { readonly database: CatalogDatabase; readonly clock: Clock; readonly log: Log };
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(ports: { readonly database: CatalogDatabase; readonly clock: Clock; readonly log: Log }) {
    this.#ports = ports;
  }

  start(afterMs: number = PURGE_INTERVAL_MS): void {
    if (this.#stopped) return;
    this.#timer = this.#ports.clock.setTimer(afterMs, () => {
      this.#running = this.#run();
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    let more = false;
    try {
      more = await purgeExpired(this.#ports.database, this.#ports.clock.wallMs());
    } catch (error) {
      this.#ports.log.warn({ err: error }, "What has expired could not be removed; it will be tried again.");
    }
    // A backlog is worked off step by step, so that others get to the database in between.
    this.start(more ? OUTBOX_SWEEP_MS : PURGE_INTERVAL_MS);
  }
}

/** @returns whether there may be more */
export function purgeExpired(database: CatalogDatabase, nowMs: number): Promise<boolean> {
  return database.transact(async (transaction) => {
    const { query } = transaction;
    // What another catalog is removing is left to it.
    const uploads = await transaction
      .claim(
        query
          .selectFrom("t_upload")
          .select("upload_id")
          .where("ended_time", "<=", BigInt(nowMs - OUTCOME_KEPT_MS))
          .limit(PURGE_ROWS_MAX),
      )
      .execute();
    const ids = uploads.map((row) => row.upload_id);
    if (ids.length > 0) await query.deleteFrom("t_upload").where("upload_id", "in", ids).execute();
    const operations = await transaction
      .claim(
        query
          .selectFrom("t_operation")
          .select(["scope_name", "operation_key"])
          .where("expire_time", "<=", BigInt(nowMs))
          .limit(PURGE_ROWS_MAX),
      )
      .execute();
    for (const { scope_name, operation_key } of operations) {
      await query.deleteFrom("t_operation").where("scope_name", "=", scope_name).where("operation_key", "=", operation_key).execute();
    }
    return uploads.length === PURGE_ROWS_MAX || operations.length === PURGE_ROWS_MAX;
  });
}
