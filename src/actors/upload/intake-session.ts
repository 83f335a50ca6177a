/** What those who take bodies in need of their session, and share. */
import type { LazyFile } from "../../core/lazy-file.ts";
import type { ChunkBody } from "../../core/ports/data-plane.ts";
import type { UploadPlan } from "../catalog/contract.ts";
import type { ChunkLedger } from "./chunk-ledger.ts";
import type { Journal } from "./journal.ts";
import type { SessionCommand, SessionEvent } from "./machine.ts";
import type { SessionPorts } from "./ports.ts";
import type { Reservation } from "./reservation.ts";

/** Synced here, and nowhere else. */
export const COPIES = 1;

/** What the session gives; all but `turn` is called inside a turn. */
export interface OwnSession {
  readonly ports: SessionPorts;
  readonly plan: UploadPlan;
  readonly ledger: ChunkLedger;
  readonly journal: Journal;
  readonly data: LazyFile;
  turn<T>(name: string, work: () => T): Promise<T>;
  apply(event: SessionEvent): void;
  /** @throws {TroupeError} when the state does not allow the command */
  refuse(command: SessionCommand): void;
  /** Where the file's bytes go is decided: a chunk that is not there yet cannot become part of it any more. */
  isSealed(): boolean;
  readonly reservation: Reservation;
  received(): void;
}

/** What the intake's parts share. */
export interface IntakeSession extends OwnSession {
  /** Inside a turn. @throws {TroupeError} why no body at all is taken now */
  admit(): void;
  /** The body ends when the intake stops, or `also` is aborted. */
  interruptible(chunk: ChunkBody, also?: AbortSignal): ChunkBody;
}
