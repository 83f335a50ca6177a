/**
 * Counting in memory over blocks that the database has handed out. Pure: no I/O, no time.
 *
 * A1: what is taken from a block is never taken again.
 * A2: after a raise nothing at or below the raised value is taken, from blocks at hand or on their way.
 * A3: a lease is consecutive: one that does not fit into what is left takes a fresh block, and the rest is a gap.
 */
import assert from "node:assert/strict";
import { BLOB_ID_LIMIT, ID_KEYS_MAX } from "../../core/limits.ts";

/** IDs `next` … `end - 1` are this allocator's alone. */
export interface Block {
  readonly next: number;
  readonly end: number;
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
  readonly #blocks = new Map<string, Block>();
  /** What no block may begin below, by key, in order of raising (A2). The database knows them too, unless it could not be told. */
  readonly #floors = new Map<string, number>();

  /** `undefined` when a fresh block is needed. */
  take(key: string, count: number): Lease | undefined {
    const block = this.#blocks.get(key);
    if (block === undefined || block.end - block.next < count) return undefined;
    this.#keep(key, { next: block.next + count, end: block.end });
    return { key, first: block.next, count };
  }

  /** A block that the database has handed to this allocator; what was left of the last one is a gap (A3). */
  refill(key: string, block: Block): void {
    assert(block.next <= block.end && block.end <= BLOB_ID_LIMIT, `a block ${block.next}…${block.end} of ${key}`);
    this.#keep(key, { next: Math.min(block.end, Math.max(block.next, this.floor(key))), end: block.end });
  }

  raise(key: string, highest: number): void {
    const floor = Math.min(Math.max(highest + 1, this.floor(key)), BLOB_ID_LIMIT);
    this.#floors.delete(key);
    this.#floors.set(key, floor);
    if (this.#floors.size > ID_KEYS_MAX) this.#floors.delete(this.#floors.keys().next().value as string);
    const block = this.#blocks.get(key);
    if (block !== undefined && block.next < floor) this.#keep(key, { next: Math.min(block.end, floor), end: block.end });
  }

  /** What a block being asked for must not begin below. */
  floor(key: string): number {
    return this.#floors.get(key) ?? 0;
  }

  /** What is held, by key. */
  blocks(): (Block & { readonly key: string })[] {
    return [...this.#blocks].map(([key, block]) => ({ key, ...block })).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #keep(key: string, block: Block): void {
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
    if (this.#blocks.size > ID_KEYS_MAX) this.#blocks.delete(this.#blocks.keys().next().value as string);
  }
}
