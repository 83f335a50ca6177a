/**
 * By when everything has come to its end after the last fault, derived from the bounds that the code itself has. They are added up: what is
 * waited for may come one after the other.
 */
import {
  HEARTBEAT_ANSWERS_PERCENT,
  LOST_UPLOADS_INTERVAL_MS,
  OUTBOX_BACKOFF_MAX_MS,
  OUTBOX_CLAIM_MS,
  REQUEST_TIMEOUT_DEFAULT_MS,
  RESTART_BACKOFF_MAX_MS,
  TRACKER_LISTENING_PERCENT,
} from "../../../src/core/limits.ts";
import { PAUSE_MS_MAX } from "../processes/faults.ts";

export interface SettlingTimes {
  readonly heartbeatMs: number;
  readonly offlineAfterMs: number;
  readonly idleExpiryMs: number;
  readonly deleteGraceMs: number;
}

/** A service manager's pause, and a stop that takes all the time it may. */
const STARTED_AGAIN_MS = 25_000;
/** Between two attempts at a merge that was promised, at taking up an upload, at telling the catalog its end. */
const SESSION_PAUSES_MS = 60_000 + 5_000 + 10_000;
/** Idle time that a restart forgets; see the session's idle watch. */
const IDLE_FORGOTTEN_SHARE = 1 / 24;

export function settledWithinMs({ heartbeatMs, offlineAfterMs, idleExpiryMs, deleteGraceMs }: SettlingTimes): number {
  const trackersKnow = (heartbeatMs * (TRACKER_LISTENING_PERCENT + HEARTBEAT_ANSWERS_PERCENT)) / 100 + offlineAfterMs;
  const allAreUp = PAUSE_MS_MAX + STARTED_AGAIN_MS + RESTART_BACKOFF_MAX_MS + trackersKnow;
  const uploadsEnd = idleExpiryMs * (1 + IDLE_FORGOTTEN_SHARE) + SESSION_PAUSES_MS + 2 * REQUEST_TIMEOUT_DEFAULT_MS;
  const lostUploadsAreFound = LOST_UPLOADS_INTERVAL_MS + 4 * REQUEST_TIMEOUT_DEFAULT_MS;
  const outboxIsEmpty = OUTBOX_BACKOFF_MAX_MS + OUTBOX_CLAIM_MS + REQUEST_TIMEOUT_DEFAULT_MS;
  // A removal that failed is tried once more.
  const bytesAreGone = 2 * deleteGraceMs;
  return allAreUp + uploadsEnd + lostUploadsAreFound + outboxIsEmpty + bytesAreGone;
}
