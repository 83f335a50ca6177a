/**
 * What waits for a turn of one actor, in three bounded lanes.
 *
 * M1: results of effects go first: they were accepted before anything that waits.
 * M2: status and cancellation go next and have their own room, so they work while the normal lane is full.
 * M3: the normal lane is never starved: after a run of priority turns one of its messages has its turn.
 */
import assert from "node:assert/strict";
import { MAILBOX_MESSAGES_MAX, MAILBOX_POSTED_MAX, MAILBOX_PRIORITY_MESSAGES_MAX, MAILBOX_PRIORITY_RUN_MAX } from "../core/limits.ts";
import type { Lane } from "./contract.ts";
import { Fifo } from "./fifo.ts";

export class Mailbox<Request, Posted> {
  readonly #lanes: Readonly<Record<Lane, Fifo<Request>>>;
  readonly #posted = new Fifo<Posted>(MAILBOX_POSTED_MAX);
  #priorityRun = 0;

  /** @param normalMax messages that may wait in the normal lane */
  constructor(normalMax = MAILBOX_MESSAGES_MAX) {
    this.#lanes = { normal: new Fifo(normalMax), priority: new Fifo(MAILBOX_PRIORITY_MESSAGES_MAX) };
  }

  get waiting(): number {
    return this.#posted.length + this.#lanes.priority.length + this.#lanes.normal.length;
  }

  hasRoom(lane: Lane): boolean {
    return this.#lanes[lane].hasRoom;
  }

  /** False when the lane is full. */
  offer(lane: Lane, request: Request): boolean {
    return this.#lanes[lane].push(request);
  }

  /** An actor with this many results on their way back has lost count of its effects: a programmer's error. */
  post(posted: Posted): void {
    assert(this.#posted.push(posted), `at most ${MAILBOX_POSTED_MAX} posted turns wait`);
  }

  take(): Request | Posted | undefined {
    const posted = this.#posted.shift();
    if (posted !== undefined) return posted;
    const { normal, priority } = this.#lanes;
    if (this.#priorityRun < MAILBOX_PRIORITY_RUN_MAX || normal.length === 0) {
      const urgent = priority.shift();
      if (urgent !== undefined) {
        this.#priorityRun += 1;
        return urgent;
      }
    }
    this.#priorityRun = 0;
    return normal.shift();
  }
}
