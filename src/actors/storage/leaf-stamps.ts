/** When leaves were last seen to be something, in whole seconds; bounded, the least recently used GiB goes first. */
import { LRUCache } from "lru-cache";
import type { Clock } from "../../core/ports/clock.ts";

/** Leaves whose stamps stand on one page: 1 GiB of a blob. */
const PAGE_LEAVES = 16_384;
/** 64 KiB each. */
const PAGES_MAX = 1024;

export class LeafStamps {
  readonly #clock: Clock;
  readonly #startedMs: number;
  /** Seconds since this began, plus one; 0 is never. Pages by blob and GiB. */
  readonly #pages = new LRUCache<string, Uint32Array>({ max: PAGES_MAX });

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.nowMs();
  }

  stamp(blobId: number, firstLeaf: number, lastLeaf: number): void {
    const stamp = this.#nowSeconds() + 1;
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) this.#pageOf(blobId, leaf)[leaf % PAGE_LEAVES] = stamp;
  }

  /** How many leaves from `firstLeaf` on were stamped less than `ageMs` ago, up to `lastLeaf` and without a gap. */
  countRecent(blobId: number, firstLeaf: number, lastLeaf: number, ageMs: number): number {
    const oldest = this.#nowSeconds() + 1 - ageMs / 1000;
    let page: Uint32Array | undefined;
    for (let leaf = firstLeaf; leaf <= lastLeaf; leaf += 1) {
      if (page === undefined || leaf % PAGE_LEAVES === 0) page = this.#pages.get(keyOf(blobId, leaf));
      const stamp = page?.[leaf % PAGE_LEAVES] ?? 0;
      if (stamp === 0 || stamp <= oldest) return leaf - firstLeaf;
    }
    return lastLeaf - firstLeaf + 1;
  }

  #pageOf(blobId: number, leaf: number): Uint32Array {
    const key = keyOf(blobId, leaf);
    const known = this.#pages.get(key);
    if (known !== undefined && leaf % PAGE_LEAVES < known.length) return known;
    // A small blob has a small page, which grows with the leaves that are seen.
    const page = new Uint32Array(Math.min(PAGE_LEAVES, Math.max(64, (known?.length ?? 0) * 2, (leaf % PAGE_LEAVES) + 1)));
    if (known !== undefined) page.set(known);
    this.#pages.set(key, page);
    return page;
  }

  #nowSeconds(): number {
    return Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000);
  }
}

const keyOf = (blobId: number, leaf: number): string => `${blobId}:${Math.floor(leaf / PAGE_LEAVES)}`;
