/**
 * Counting in memory over blocks that the database has handed out. Pure: no I/O; time is passed in.
 *
 * A1: what is taken from a block is never taken again.
 * A2: after a raise nothing at or below the raised value is taken, from blocks at hand or on their way.
 *     A raise may not have reached this allocator; the database knows of it at the next step, so no block is counted on for long.
 * A3: a lease is consecutive: one that does not fit into what is left takes a fresh block, and the rest is a gap.
 * A4: no block begins below the end of an earlier one, whatever a database that was put back says.
 */
import assert from "node:assert/strict";
import { BLOB_ID_LIMIT, ID_BLOCK_KEPT_MS, ID_KEYS_MAX } from "../../core/limits.ts";

/** IDs `next` … `end - 1` are this allocator's alone. */
export interface Block {
  readonly next: number;
  readonly end: number;
}

interface HeldBlock extends Block {
  /** Monotonic time after which it is counted on no more (A2). */
  readonly untilMs: number;
}

export interface Lease {
  readonly key: string;
  readonly first: number;
  readonly count: number;
}

/** How much to ask of the database at `value`: a step, or the lease if that is larger, or what is left; `undefined` when that is too little. */
export function blockSize(value: number, step: number, count: number): number | undefined {
  const size = Math.min(Math.max(step, count), BLOB_ID_LIMIT - value);
  return size < count ? undefined : size;
}

export class Allocator {
  /** By key, in order of last use. */
  readonly #blocks = new Map<string, HeldBlock>();
  /** What no block may begin below, by key, in order of raising (A2, A4). The database knows them too, unless it could not be told or was put back. */
  readonly #floors = new Map<string, number>();

  /** `undefined` when a fresh block is needed. */
  take(key: string, count: number, nowMs: number): Lease | undefined {
    const block = this.#blocks.get(key);
    if (block === undefined || nowMs >= block.untilMs || block.end - block.next < count) return undefined;
    this.#keep(key, { ...block, next: block.next + count });
    return { key, first: block.next, count };
  }

  /** A block that the database has handed to this allocator; what was left of the last one is a gap (A3). */
  refill(key: string, block: Block, nowMs: number): void {
    assert(block.next <= block.end && block.end <= BLOB_ID_LIMIT, `a block ${block.next}…${block.end} of ${key}`);
    this.#keep(key, {
      next: Math.min(block.end, Math.max(block.next, this.floor(key))),
      end: block.end,
      untilMs: nowMs + ID_BLOCK_KEPT_MS,
    });
    this.#setFloor(key, Math.max(block.end, this.floor(key)));
  }

  raise(key: string, highest: number): void {
    const floor = Math.min(Math.max(highest + 1, this.floor(key)), BLOB_ID_LIMIT);
    const block = this.#blocks.get(key);
    if (block !== undefined && block.next <= highest) this.#keep(key, { ...block, next: Math.min(block.end, highest + 1) });
    this.#setFloor(key, floor);
  }

  /** What a block being asked for must not begin below. */
  floor(key: string): number {
    return this.#floors.get(key) ?? 0;
  }

  /** What is held, by key. */
  blocks(): (Block & { readonly key: string })[] {
    return [...this.#blocks].map(([key, { next, end }]) => ({ key, next, end })).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #setFloor(key: string, floor: number): void {
    this.#floors.delete(key);
    this.#floors.set(key, floor);
    if (this.#floors.size > ID_KEYS_MAX) this.#floors.delete(this.#floors.keys().next().value as string);
  }

  #keep(key: string, block: HeldBlock): void {
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
    if (this.#blocks.size > ID_KEYS_MAX) this.#blocks.delete(this.#blocks.keys().next().value as string);
  }
}
