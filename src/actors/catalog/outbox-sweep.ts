/**
 * Looks for outbox rows of one kind that are due and delivers them: woken after a commit, and about every second anyway, because a
 * wake-up may be lost and the commit may have been another process's.
 *
 * O1: a row is removed only after its delivery; so each is delivered at least once.
 * O2: a row that cannot be delivered comes again later, with growing pauses, and holds up no other.
 * O3: one sweep at a time in a process, a bounded batch at a time.
 * O4: of several catalogs one delivers a row: it claims what is due by moving it into the future, and skips what another is claiming. When
 *     it ends before it has delivered, the row is due again.
 */
import { OUTBOX_BACKOFF_MAX_MS, OUTBOX_BACKOFF_MIN_MS, OUTBOX_BATCH_MAX, OUTBOX_CLAIM_MS, OUTBOX_SWEEP_MS } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock, Timer } from "../../core/ports/clock.ts";
import type { Random } from "../../core/ports/random.ts";
import { pauseMs } from "../../core/retry.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { jsonBytes } from "./json-column.ts";
import type { CatalogDatabase, OutboxKind } from "./tables.ts";

export interface OutboxRow {
  readonly outboxId: bigint;
  readonly payload: Uint8Array;
  readonly attemptCount: number;
}

/** `again` may carry what is left to do. */
export type Delivery = { readonly kind: "done" } | { readonly kind: "again"; readonly why: unknown; readonly payload?: unknown };

export interface OutboxSweepOptions {
  readonly kind: OutboxKind;
  /** One delivery for each row, in order. */
  readonly deliver: (rows: readonly OutboxRow[]) => Promise<Delivery[]>;
  readonly database: CatalogDatabase;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const BACKOFF = { attemptsMax: Number.MAX_SAFE_INTEGER, pauseMinMs: OUTBOX_BACKOFF_MIN_MS, pauseMaxMs: OUTBOX_BACKOFF_MAX_MS };

export class OutboxSweep {
  readonly #options: OutboxSweepOptions;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #woken = false;
  #stopped = false;

  constructor(options: OutboxSweepOptions) {
    this.#options = options;
  }

  /** There is, or may be, something to do. */
  wake(): void {
    this.#woken = true;
    if (this.#stopped || this.#running !== undefined) return;
    this.#timer?.cancel();
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      // Woken after the last look and before here.
      if (this.#woken) this.wake();
      else if (!this.#stopped) this.#timer = this.#options.clock.setTimer(OUTBOX_SWEEP_MS, () => this.wake());
    });
  }

  /** Resolves when the delivery under way, if any, has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      let more = true;
      while ((more || this.#woken) && !this.#stopped) {
        this.#woken = false;
        more = await this.#sweep();
      }
    } catch (error) {
      this.#options.log.warn({ err: error, kind: this.#options.kind }, "The outbox could not be swept; it will be again.");
    }
  }

  /** @returns whether there may be more at once */
  async #sweep(): Promise<boolean> {
    const { database, clock, kind, deliver } = this.#options;
    const rows = await claimDue(database, kind, clock.wallMs());
    if (rows.length === 0) return false;
    const deliveries = await deliver(rows);
    await this.#settle(rows, deliveries);
    return rows.length === OUTBOX_BATCH_MAX;
  }

  async #settle(rows: readonly OutboxRow[], deliveries: readonly Delivery[]): Promise<void> {
    const { database, clock, random, log, kind } = this.#options;
    const nowMs = clock.wallMs();
    const changes = rows.map((row, index) => {
      const delivery = deliveries[index] ?? { kind: "again", why: "not answered" };
      const delayMs = delivery.kind === "done" ? 0 : Math.ceil(pauseMs(BACKOFF, row.attemptCount + 2, random));
      if (delivery.kind === "again")
        log.warn({ err: delivery.why, kind, attempts: row.attemptCount + 1, delayMs }, "An outbox row could not be delivered yet.");
      return { row, delivery, delayMs };
    });
    await database.transact(async ({ query }) => {
      const done = changes.filter(({ delivery }) => delivery.kind === "done").map(({ row }) => row.outboxId);
      if (done.length > 0) await query.deleteFrom("t_outbox").where("outbox_id", "in", done).execute();
      for (const { row, delivery, delayMs } of changes) {
        if (delivery.kind === "done") continue;
        const left = delivery.payload === undefined ? {} : { payload: jsonBytes(delivery.payload) };
        await query
          .updateTable("t_outbox")
          .set({ attempt_count: row.attemptCount + 1, due_time: nowMs + delayMs, ...left })
          .where("outbox_id", "=", row.outboxId)
          .execute();
      }
    });
  }
}

/** O4 */
async function claimDue(database: CatalogDatabase, kind: OutboxKind, nowMs: number): Promise<OutboxRow[]> {
  const rows = await database.transact(async (transaction) => {
    const due = transaction.query
      .selectFrom("t_outbox")
      .select(["outbox_id", "payload", "attempt_count"])
      .where("kind", "=", kind)
      // Further ahead than any pause reaches: the wall clock was set back since.
      .where((where) => where.or([where("due_time", "<=", BigInt(nowMs)), where("due_time", ">", BigInt(nowMs + OUTBOX_BACKOFF_MAX_MS))]))
      .orderBy("due_time")
      .orderBy("outbox_id")
      .limit(OUTBOX_BATCH_MAX);
    const claimed = await transaction.claim(due).execute();
    const ids = claimed.map((row) => row.outbox_id);
    if (ids.length > 0)
      await transaction.query
        .updateTable("t_outbox")
        .set({ due_time: nowMs + OUTBOX_CLAIM_MS })
        .where("outbox_id", "in", ids)
        .execute();
    return claimed;
  });
  // Found in the order of their index; delivered in that of their writing.
  return rows
    .map((row) => ({ outboxId: row.outbox_id, payload: row.payload, attemptCount: safeInteger(row.attempt_count) }))
    .sort((a, b) => (a.outboxId < b.outboxId ? -1 : 1));
}
