/**
 * Whether this process has more to do than it can: its event loop stood still, or hardly a descriptor is left. Then it begins nothing new.
 *
 * L1: what is under way goes on: nothing is ended here, and only what begins something asks.
 * L2: it begins at once, also between two looks when connections take the last descriptors, and ends by itself, when all has been calm for a
 *     while and by a margin.
 * L3: a connection that would take what little is kept back for work under way is not answered: that would take a descriptor, too.
 * L4: asking costs next to nothing, for every request does.
 */
import { TroupeError } from "./errors.ts";
import {
  DESCRIPTORS_COUNTED_MS,
  DESCRIPTORS_FREE_MIN,
  DESCRIPTORS_FREE_PERMILLE,
  LOAD_CALM_MS,
  LOAD_CHECK_MS,
  OVERLOAD_CALM_DIVISOR,
} from "./limits.ts";
import type { Log } from "./log.ts";
import type { Clock, Timer } from "./ports/clock.ts";
import type { Descriptors } from "./ports/descriptors.ts";

export interface LoadPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly descriptors: Descriptors;
}

/** New work is being refused. */
interface Shedding {
  readonly sinceMs: number;
  readonly reason: string;
  /** How much had been refused before. */
  readonly refusedBefore: number;
  /** Since when nothing spoke against new work. */
  calmSinceMs: number | undefined;
}

/** How many descriptors are left, and what counts as few. */
interface Supply {
  /** When they were counted, less the connections that have come since. */
  freeCount: number;
  readonly few: number;
  readonly countedMs: number;
}

export class LoadWatch {
  readonly #ports: LoadPorts;
  readonly #stallMsMax: number;
  readonly #onShortage = new Set<() => void>();
  #shedding: Shedding | undefined;
  #supply: Supply | undefined;
  #dueMs = 0;
  #refusedCount = 0;
  #timer: Timer | undefined;

  /** @param stallMsMax how long the event loop may stand still; 0: however long it does, it is no reason */
  constructor(ports: LoadPorts, stallMsMax: number) {
    this.#ports = ports;
    this.#stallMsMax = stallMsMax === 0 ? Number.POSITIVE_INFINITY : stallMsMax;
  }

  /** Begins to look; until then everything is taken. */
  start(): void {
    this.#supply = this.#count();
    this.#lookLater();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#shedding = undefined;
    this.#supply = undefined;
  }

  /** Why nothing new is begun; `undefined` when it is. */
  get reason(): string | undefined {
    return this.#shedding?.reason;
  }

  /** Of all times. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Asked by what begins something, before it does. @throws {TroupeError} `OVERLOADED` */
  mustTakeNew(): void {
    if (this.#shedding === undefined) return;
    this.#refusedCount += 1;
    throw new TroupeError("OVERLOADED", undefined, { facts: { retryAfterMs: this.#untilTakenMs(this.#shedding) } });
  }

  /** A connection has come and taken a descriptor. @returns false when it is to be closed without an answer (L3) */
  mayStay(): boolean {
    const supply = this.#supply;
    if (supply === undefined) return true;
    supply.freeCount -= 1;
    if (this.#shedding === undefined && isShort(supply)) {
      // Connections may have gone, too, since they were counted.
      this.#supply = this.#count();
      if (this.#supply !== undefined && isShort(this.#supply)) this.#shed(shortageOf(this.#supply));
    }
    return this.#supply === undefined || this.#supply.freeCount >= supply.few / 2;
  }

  /**
   * Told at every look while nothing new is begun for want of descriptors, until there are enough again: whoever holds some that nobody uses
   * lets go of them. @returns ends the telling
   */
  onShortage(listener: () => void): () => void {
    this.#onShortage.add(listener);
    return () => void this.#onShortage.delete(listener);
  }

  #lookLater(): void {
    const { clock } = this.#ports;
    this.#dueMs = clock.nowMs() + LOAD_CHECK_MS;
    this.#timer = clock.setTimer(LOAD_CHECK_MS, () => {
      this.#look(clock.nowMs());
      this.#lookLater();
    });
  }

  #look(nowMs: number): void {
    // Nobody had a turn meanwhile: neither had this.
    const stallMs = nowMs - this.#dueMs;
    if (stallMs > this.#stallMsMax) this.#shed(`the event loop stood still for ${Math.round(stallMs)} ms`);
    const known = this.#supply;
    const isScarce = known !== undefined && this.#shedding !== undefined && !isAmple(known);
    const supply = known !== undefined && (isScarce || nowMs - known.countedMs >= DESCRIPTORS_COUNTED_MS) ? this.#count() : known;
    this.#supply = supply;
    if (supply !== undefined && isShort(supply)) this.#shed(shortageOf(supply));
    // Also between few and ample: nobody else would give back what is missing there.
    if (this.#shedding !== undefined && !isAmple(supply)) for (const listener of this.#onShortage) listener();
    this.#recover(nowMs, stallMs <= this.#stallMsMax / OVERLOAD_CALM_DIVISOR && isAmple(supply));
  }

  #count(): Supply | undefined {
    const { clock, descriptors } = this.#ports;
    const counts = descriptors.counts();
    if (counts === undefined) return undefined;
    const few = Math.min(DESCRIPTORS_FREE_MIN, Math.ceil((counts.openMax * DESCRIPTORS_FREE_PERMILLE) / 1_000));
    return { freeCount: counts.openMax - counts.openCount, few, countedMs: clock.nowMs() };
  }

  #shed(reason: string): void {
    if (this.#shedding !== undefined) return;
    this.#shedding = { sinceMs: this.#ports.clock.nowMs(), reason, refusedBefore: this.#refusedCount, calmSinceMs: undefined };
    this.#ports.log.warn({ reason }, "This process has more to do than it can: it begins nothing new for now; what was begun goes on.");
  }

  /** When new work is taken again, if nothing speaks against it from now on: at a look, and the next one is the first that can be calm. */
  #untilTakenMs({ calmSinceMs }: Shedding): number {
    const nowMs = this.#ports.clock.nowMs();
    const takenMs = (calmSinceMs ?? nowMs + LOAD_CHECK_MS) + LOAD_CALM_MS + LOAD_CHECK_MS;
    // The look that was due then may be late.
    return Math.max(LOAD_CHECK_MS, takenMs - nowMs);
  }

  /** L2 */
  #recover(nowMs: number, isCalm: boolean): void {
    const shedding = this.#shedding;
    if (shedding === undefined) return;
    if (!isCalm) shedding.calmSinceMs = undefined;
    else shedding.calmSinceMs ??= nowMs;
    if (shedding.calmSinceMs === undefined || nowMs - shedding.calmSinceMs < LOAD_CALM_MS) return;
    const { reason, refusedBefore, sinceMs } = shedding;
    const refusedCount = this.#refusedCount - refusedBefore;
    this.#shedding = undefined;
    this.#ports.log.info({ reason, refusedCount, forMs: Math.round(nowMs - sinceMs) }, "This process begins new work again.");
  }
}

function isShort({ freeCount, few }: Supply): boolean {
  return freeCount < few;
}

/** Enough for new work again; so are those of a system that does not tell. */
function isAmple(supply: Supply | undefined): boolean {
  return supply === undefined || supply.freeCount >= 2 * supply.few;
}

function shortageOf({ freeCount }: Supply): string {
  return `${Math.max(0, freeCount)} file descriptors are left`;
}
