/**
 * What is under way in one direction of one connection.
 *
 * Q1: it arrives in the order it was sent, however late, unless a fault takes it out of the order or away.
 * Q2: while the lane is cut it waits, as in the buffers of a socket; when the pipe is closed it is lost.
 */
import assert from "node:assert/strict";
import { Fifo } from "../../../src/bus/fifo.ts";
import type { World } from "../world.ts";
import { type Lane, USUAL_MS_MAX } from "./bus-lane.ts";

/** What its arrival does, and when that is. */
export type Arrival = (atMs: number) => void;

/** Sets an event at the end of the pipe. */
export type Schedule = (delayMs: number, label: string, run: () => void) => void;

/** Far more than the bounds on bytes at both ends let come about. */
const CARRIED_MAX = 1_000_000;

/** A message as those see it who only carry it. */
export interface Parcel {
  readonly label: string;
  readonly bytes: number;
  /** It goes to an inbox. */
  readonly isAnswer: boolean;
}

interface Carried {
  readonly bytes: number;
  readonly arrive: Arrival;
}

export class BusPipe {
  readonly lane: Lane;
  readonly #world: World;
  readonly #schedule: Schedule;
  readonly #carried = new Fifo<Carried>(CARRIED_MAX);
  #lastMs = 0;
  #bytes = 0;
  /** Arrivals whose time came while the lane was cut. */
  #overdue = 0;
  #isOpen = true;

  constructor(world: World, lane: Lane, schedule: Schedule) {
    this.#world = world;
    this.lane = lane;
    this.#schedule = schedule;
  }

  /** Under way, or waiting. */
  get count(): number {
    return this.#carried.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What no fault but the lane's delays and cuts befalls. */
  carry(fromMs: number, label: string, bytes: number, arrive: Arrival): void {
    if (!this.#isOpen) return;
    this.#lastMs = this.lane.arrivalMs(fromMs, this.#lastMs);
    this.#push(bytes, arrive);
    this.#schedule(this.#lastMs - this.#world.nowMs, label, this.#arrived);
  }

  /**
   * As {@link carry}, but where nothing stands in the way the arrival is worked out at once, with the time it comes at: its effect has to be
   * the same then. Saves most events.
   */
  carryAhead(label: string, bytes: number, arrive: Arrival): void {
    const { nowMs } = this.#world;
    if (!this.#isOpen) return;
    if (this.count > 0 || this.lane.isCut) return this.carry(nowMs, label, bytes, arrive);
    this.#lastMs = this.lane.arrivalMs(nowMs, this.#lastMs);
    if (this.#lastMs - nowMs <= USUAL_MS_MAX) return arrive(this.#lastMs);
    this.#push(bytes, arrive);
    this.#schedule(this.#lastMs - nowMs, label, this.#arrived);
  }

  /** A message: trouble on the lane may befall it. */
  carryMessage(fromMs: number, parcel: Parcel, arrive: Arrival): void {
    if (!this.#isBefallen(parcel, arrive)) this.carry(fromMs, parcel.label, parcel.bytes, arrive);
  }

  /** As {@link carryMessage}, worked out at once where that is possible, like {@link carryAhead}. */
  carryMessageAhead(parcel: Parcel, arrive: Arrival): void {
    if (!this.#isBefallen(parcel, arrive)) this.carryAhead(parcel.label, parcel.bytes, arrive);
  }

  /** The lane is whole again: what came meanwhile arrives now. */
  release(): void {
    if (this.lane.isCut || !this.#isOpen) return;
    const overdue = this.#overdue;
    this.#overdue = 0;
    for (let index = 0; index < overdue; index += 1) this.#schedule(index / 1000, "bus catches up", this.#arrived);
  }

  close(): void {
    this.#isOpen = false;
    this.#carried.clear();
    this.#bytes = 0;
    this.#overdue = 0;
  }

  /** Whichever event comes first brings what was sent first (Q1). */
  readonly #arrived = (): void => {
    if (!this.#isOpen) return;
    if (this.lane.isCut) return this.#waits();
    const carried = this.#carried.shift();
    if (carried === undefined) return;
    this.#bytes -= carried.bytes;
    carried.arrive(this.#world.nowMs);
  };

  /** Lost, or on a way of its own. */
  #isBefallen({ label, isAnswer }: Parcel, arrive: Arrival): boolean {
    const { lane } = this;
    if (!lane.isTroubled || !this.#isOpen) return false;
    if (lane.strikeMs("loss") !== undefined) {
      this.#world.note(`lost on ${lane.name}: ${label}`);
      return true;
    }
    const doubleMs = lane.strikeMs("doubling");
    if (doubleMs !== undefined) this.#carryAside(doubleMs, `${label} doubled`, arrive);
    const lateMs = (isAnswer ? lane.strikeMs("late-reply") : undefined) ?? lane.strikeMs("reordering");
    if (lateMs === undefined) return false;
    this.#carryAside(lateMs, `${label} late`, arrive);
    return true;
  }

  /** Out of the order, `afterMs` from now. */
  #carryAside(afterMs: number, label: string, arrive: Arrival): void {
    this.#schedule(afterMs, label, () => {
      if (!this.#isOpen) return;
      if (this.lane.isCut) {
        this.#push(0, arrive);
        this.#waits();
      } else arrive(this.#world.nowMs);
    });
  }

  /** Q2 */
  #waits(): void {
    this.#overdue += 1;
    this.lane.countWaiting();
  }

  #push(bytes: number, arrive: Arrival): void {
    assert(this.#carried.push({ bytes, arrive }), "nothing fills a pipe of the bus");
    this.#bytes += bytes;
  }
}
