/**
 * Who acts for which upload, by what is said on the bus.
 *
 * O1: in one epoch of an upload one life of one process acts for it.
 * O2: once an epoch was given to whoever took the upload over, nothing is accepted in an earlier one.
 * O3: what is told of an upload goes the ways of its machine, and after a final state only that state is told.
 */
import { isEnded, type UploadState } from "../../../src/core/shapes.ts";
import type { Breach } from "./breach.ts";

interface Watched {
  /** Of the last life that told something. */
  teller: string;
  told: UploadState;
  /** Who acts, by epoch. */
  readonly actors: Map<number, string>;
  /** The highest epoch that a host got who took over what had not ended. */
  takenOver: number;
  /** The highest epoch in which an end, or a file, was accepted. */
  accepted: number;
}

export interface ToldState {
  readonly uploadId: string;
  readonly epoch: number;
  readonly state: UploadState;
}

export class UploadOwners {
  readonly #uploads = new Map<string, Watched>();
  readonly #steps: ReadonlySet<string>;

  /** @param steps `receiving verifying`: which state may be told right after which */
  constructor(steps: ReadonlySet<string>) {
    this.#steps = steps;
  }

  /** @param life `storage1#2` */
  acts(uploadId: string, epoch: number, life: string): Breach | undefined {
    const { actors } = this.#watched(uploadId);
    const actor = actors.get(epoch);
    if (actor === undefined) actors.set(epoch, life);
    return actor === undefined || actor === life
      ? undefined
      : { rule: "two-owners", sentence: `${actor} and ${life} both act for upload ${uploadId} in its epoch ${epoch}` };
  }

  /** A host has got an upload that had not ended. */
  takenOver(uploadId: string, epoch: number): Breach | undefined {
    const watched = this.#watched(uploadId);
    watched.takenOver = Math.max(watched.takenOver, epoch);
    return this.#stale(uploadId, watched);
  }

  /** The catalog has accepted a file or an end. */
  accepted(uploadId: string, epoch: number): Breach | undefined {
    const watched = this.#watched(uploadId);
    watched.accepted = Math.max(watched.accepted, epoch);
    return this.#stale(uploadId, watched);
  }

  /** The catalog knows nothing of it any more. */
  forgotten(uploadId: string): undefined {
    this.#uploads.delete(uploadId);
  }

  told({ uploadId, epoch, state }: ToldState, life: string): Breach | undefined {
    const watched = this.#watched(uploadId);
    const before = watched.told;
    const isAnew = watched.teller !== life;
    watched.teller = life;
    watched.told = state;
    if (isEnded(before) && state !== before)
      return { rule: "told-after-end", sentence: `${life} tells that upload ${uploadId} is ${state}; it was ${before}` };
    const from = isAnew ? "init" : before;
    if (from !== state && !isEnded(before) && !this.#steps.has(`${from} ${state}`))
      return { rule: "told-out-of-order", sentence: `${life} tells that upload ${uploadId} is ${state} right after ${from}` };
    return this.acts(uploadId, epoch, life);
  }

  #stale(uploadId: string, { takenOver, accepted }: Watched): Breach | undefined {
    return accepted === 0 || accepted >= takenOver
      ? undefined
      : { rule: "stale-epoch", sentence: `epoch ${accepted} of upload ${uploadId} was accepted although ${takenOver} had been given out` };
  }

  #watched(uploadId: string): Watched {
    let watched = this.#uploads.get(uploadId);
    if (watched === undefined) {
      watched = { teller: "", told: "init", actors: new Map(), takenOver: 0, accepted: 0 };
      this.#uploads.set(uploadId, watched);
    }
    return watched;
  }
}
