/**
 * Outbox rows that one catalog delivers, of several: it claims what is due by moving it into the future, and skips what another is claiming.
 *
 * P1: a claim ends by itself: rows of which nothing was said are due again then, also when their catalog is no more. So none is begun that
 *     could not be delivered before.
 * P2: a row is removed when it is delivered, whoever has it. To be tried again it is put off only by whom the claim still belongs to.
 */
import { OUTBOX_BACKOFF_MAX_MS, OUTBOX_BACKOFF_MIN_MS, OUTBOX_BATCH_MAX, OUTBOX_BEGIN_MS_MAX, OUTBOX_CLAIM_MS } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import type { Random } from "../../core/ports/random.ts";
import { pauseMs } from "../../core/retry.ts";
import { safeInteger } from "../../core/safe-integer.ts";
import { jsonBytes } from "./json-column.ts";
import type { CatalogDatabase, CatalogQuery, OutboxKind } from "./tables.ts";

export interface OutboxRow {
  readonly outboxId: bigint;
  readonly payload: Uint8Array;
  readonly attemptCount: number;
}

/** `again` may carry what is left to do. */
export type Delivery = { readonly kind: "done" } | { readonly kind: "again"; readonly why: unknown; readonly payload?: unknown };

/** What has become of one row. */
export interface Outcome {
  readonly row: OutboxRow;
  readonly delivery: Delivery;
}

export interface OutboxPorts {
  readonly kind: OutboxKind;
  readonly database: CatalogDatabase;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const BACKOFF = { attemptsMax: Number.MAX_SAFE_INTEGER, pauseMinMs: OUTBOX_BACKOFF_MIN_MS, pauseMaxMs: OUTBOX_BACKOFF_MAX_MS };

export class OutboxClaim {
  /** In the order of their writing. */
  readonly rows: readonly OutboxRow[];
  readonly #ports: OutboxPorts;
  readonly #beginUntilMs: number;
  /** What the claim wrote into its rows. */
  readonly #dueTime: bigint;

  private constructor(rows: readonly OutboxRow[], ports: OutboxPorts, beginUntilMs: number, dueTime: bigint) {
    this.rows = rows;
    this.#ports = ports;
    this.#beginUntilMs = beginUntilMs;
    this.#dueTime = dueTime;
  }

  /** Whether there is something to take. */
  static async isDue({ database, clock, kind }: OutboxPorts): Promise<boolean> {
    const nowMs = clock.wallMs();
    const found = await database.read((query) => dueRows(query, kind, nowMs).select("outbox_id").limit(1).executeTakeFirst());
    return found !== undefined;
  }

  /** Of what is due, at most `OUTBOX_BATCH_MAX` rows. */
  static async take(ports: OutboxPorts): Promise<OutboxClaim> {
    const { database, clock, kind } = ports;
    const beginUntilMs = clock.nowMs() + OUTBOX_BEGIN_MS_MAX;
    const nowMs = clock.wallMs();
    const dueTime = BigInt(nowMs + OUTBOX_CLAIM_MS);
    const claimed = await database.transact(async (transaction) => {
      const due = dueRows(transaction.query, kind, nowMs)
        .select(["outbox_id", "payload", "attempt_count"])
        .orderBy("due_time")
        .orderBy("outbox_id")
        .limit(OUTBOX_BATCH_MAX);
      const found = await transaction.claim(due).execute();
      const ids = found.map((row) => row.outbox_id);
      if (ids.length > 0)
        await transaction.query.updateTable("t_outbox").set({ due_time: dueTime }).where("outbox_id", "in", ids).execute();
      return found;
    });
    // Found in the order of their index.
    const rows = claimed
      .map((row) => ({ outboxId: row.outbox_id, payload: row.payload, attemptCount: safeInteger(row.attempt_count) }))
      .sort((a, b) => (a.outboxId < b.outboxId ? -1 : 1));
    return new OutboxClaim(rows, ports, beginUntilMs, dueTime);
  }

  /** P1: whether there is time to begin another row. */
  get mayBegin(): boolean {
    return this.#ports.clock.nowMs() < this.#beginUntilMs;
  }

  /** P2. To be called as soon as the outcomes are known. */
  async settle(outcomes: readonly Outcome[]): Promise<void> {
    const { database, clock, random, log, kind } = this.#ports;
    const done: bigint[] = [];
    const changes = outcomes.flatMap(({ row, delivery }) => {
      if (delivery.kind === "done") {
        done.push(row.outboxId);
        return [];
      }
      const delayMs = Math.ceil(pauseMs(BACKOFF, row.attemptCount + 2, random));
      log.warn({ err: delivery.why, kind, attempts: row.attemptCount + 1, delayMs }, "An outbox row could not be delivered yet.");
      const left = delivery.payload === undefined ? {} : { payload: jsonBytes(delivery.payload) };
      return { outboxId: row.outboxId, set: { attempt_count: row.attemptCount + 1, due_time: clock.wallMs() + delayMs, ...left } };
    });
    await database.transact(async ({ query }) => {
      if (done.length > 0) await query.deleteFrom("t_outbox").where("outbox_id", "in", done).execute();
      for (const { outboxId, set } of changes) {
        await query.updateTable("t_outbox").set(set).where("outbox_id", "=", outboxId).where("due_time", "=", this.#dueTime).execute();
      }
    });
  }
}

function dueRows(query: CatalogQuery, kind: OutboxKind, nowMs: number) {
  return (
    query
      .selectFrom("t_outbox")
      .where("kind", "=", kind)
      // Further ahead than any pause reaches: the wall clock was set back since.
      .where((where) => where.or([where("due_time", "<=", BigInt(nowMs)), where("due_time", ">", BigInt(nowMs + OUTBOX_BACKOFF_MAX_MS))]))
  );
}
