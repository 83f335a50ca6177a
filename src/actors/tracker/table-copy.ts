/**
 * How a tracker that starts gets to know who is there, before it answers anybody: it asks all trackers for their table, and takes the first
 * answer; while it waits, it hears joins and heartbeats like every tracker.
 *
 * C1: it ends within `listeningMs`, whatever the others do. Nobody there to ask, and it has listened for so long that every living node
 *     has spoken, was told that it is unknown, and has joined.
 * C2: a page is asked of all again, so a peer that dies in the middle costs a moment; the order of the table is the same for all.
 */
import type { Client } from "../../bus/client.ts";
import { PAGE_ITEMS_MAX, TABLE_COPY_PAUSE_MS } from "../../core/limits.ts";
import type { Log } from "../../core/log.ts";
import { type Clock, sleep } from "../../core/ports/clock.ts";
import type { NodeReport, tracker } from "./contract.ts";

/** What a tracker asks of the others. */
export type Peers = Pick<Client<typeof tracker>, "table">;

export interface TableCopyOptions {
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Log;
  readonly listeningMs: number;
  readonly signal: AbortSignal;
  /** Gets each page, and the monotonic time at which it was asked for. */
  take(nodes: readonly NodeReport[], askedMs: number): Promise<void>;
}

/**
 * @returns whether a whole table was copied; otherwise the time to listen is over
 * @throws the signal's reason, and what `take` throws
 */
export async function copyTable(options: TableCopyOptions): Promise<boolean> {
  const { clock, signal } = options;
  const untilMs = clock.nowMs() + options.listeningMs;
  for (let cursor: string | undefined; ; ) {
    const askedMs = clock.nowMs();
    const leftMs = untilMs - askedMs;
    if (leftMs <= 0) return false;
    const page = await askForPage(options, cursor, leftMs);
    signal.throwIfAborted();
    if (page === undefined) {
      await sleep(clock, Math.min(TABLE_COPY_PAUSE_MS, Math.max(0, untilMs - clock.nowMs())), signal);
      continue;
    }
    await options.take(page.nodes, askedMs);
    if (page.cursor === undefined) return true;
    cursor = page.cursor;
  }
}

async function askForPage({ peers, log, signal }: TableCopyOptions, cursor: string | undefined, timeoutMs: number) {
  const input = { limit: PAGE_ITEMS_MAX, ...(cursor === undefined ? {} : { cursor }) };
  try {
    const [answer] = await peers.table(input, { timeoutMs, answersMax: 1, signal });
    if (answer?.ok === true) return answer.output;
    if (answer !== undefined) log.warn({ err: answer.error }, "Another tracker could not tell who is there.");
  } catch (error) {
    if (!signal.aborted) log.warn({ err: error }, "The other trackers could not be asked who is there.");
  }
  return undefined;
}
