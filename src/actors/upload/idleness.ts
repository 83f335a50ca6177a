/**
 * What a session does while nothing comes: it records for how long, gives its descriptors back, and at last expires.
 *
 * N1: it is looked at again whatever the disk does: a slow or full one makes no upload outlive its time.
 */

import type { Log } from "../../core/log.ts";
import type { Clock } from "../../core/ports/clock.ts";
import { isEnded } from "../../core/shapes.ts";
import { inTrace } from "../../core/trace.ts";
import type { ChunkIntake } from "./chunk-intake.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import { type IdleRecord, IdleWatch } from "./idle-watch.ts";
import type { Journal } from "./journal.ts";
import type { MergePromise } from "./merge-promise.ts";
import type { SessionState } from "./session-state.ts";
import type { Turns } from "./turns.ts";

interface IdleSession {
  readonly ports: { readonly clock: Clock; readonly log: Log };
  readonly uploadId: string;
  readonly state: SessionState;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly intake: ChunkIntake;
  readonly promise: MergePromise;
  readonly turns: Turns;
}

export class Idleness {
  readonly #session: IdleSession;
  readonly #watch: IdleWatch;

  /** @param recordedMs idle time from before a restart */
  constructor(session: IdleSession, expireAfterMs: number, recordedMs: number) {
    this.#session = session;
    this.#watch = new IdleWatch(session.ports.clock, expireAfterMs, recordedMs, () =>
      // Nobody's: the timer was set by whatever came last.
      inTrace(undefined, () => session.turns.post("idle", () => this.#look())),
    );
  }

  /** Whole milliseconds, of an upload that could go on idling after a restart. */
  get recordableMs(): number | undefined {
    return this.#session.state.word === "receiving" ? this.#watch.idleMs : undefined;
  }

  /** Wall time at which the upload will have expired if nothing comes; `undefined` while it cannot expire. */
  get expiresMs(): number | undefined {
    const { state, promise } = this.#session;
    return state.word === "receiving" && !promise.holds ? this.#watch.expiresMs : undefined;
  }

  /** Wall time at which something came last, also in another life of the node; `undefined` where nothing is to come any more. */
  get lastActivityMs(): number | undefined {
    return this.#session.state.word === "receiving" ? this.#watch.lastActivityMs : undefined;
  }

  /** Something has come. @param trace whether the journal says so by itself */
  touch(trace?: "recorded"): void {
    this.#watch.touch(trace);
  }

  begin(): void {
    this.#watch.watch();
  }

  stop(): void {
    this.#watch.stop();
  }

  async #look(): Promise<void> {
    const { state, ledger, journal, intake, promise } = this.#session;
    if (isEnded(state.word)) return;
    const isQuiet = state.word === "receiving" && ledger.inFlightCount === 0;
    if (isQuiet && this.#watch.isExpired && !promise.holds) return state.apply({ type: "idle.expired" });
    const record = this.#watch.takeRecord(isQuiet);
    // N1: set before anything is waited for.
    this.#watch.watch();
    if (record !== undefined) await this.#record(record);
    if (isQuiet && this.#watch.isResting) {
      await intake.rest();
      await journal.rest();
    }
  }

  async #record(record: IdleRecord): Promise<void> {
    const { ports, uploadId, journal } = this.#session;
    try {
      await journal.append({ kind: "idle", idleMs: record.idleMs });
    } catch (error) {
      // Nobody waits for it.
      this.#watch.notRecorded(record);
      ports.log.debug({ uploadId, err: error }, "How long an upload has been idle could not be recorded.");
    }
  }
}
