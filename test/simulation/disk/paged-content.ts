/**
 * A file's bytes, sparse: what was never written are zeros that take no space.
 *
 * P1: a write from the beginning of a page is taken as it is where it can be, not copied: what was given must not change any more.
 */

/** Most writes are whole pages of this size: a leaf. */
const PAGE_BYTES = 64 * 1024;
const PAGE_BYTES_MIN = 512;
/** The unit in which a file system gives space. */
export const BLOCK_BYTES = 4096;
const BLOCKS_A_PAGE = PAGE_BYTES / BLOCK_BYTES;

interface Page {
  /** Of the page's beginning; zeros follow. */
  bytes: Uint8Array;
  /** Nobody else holds these bytes (P1). */
  isOwn: boolean;
  /** Which of its blocks take space, a bit each. */
  blocks: number;
}

export class PagedContent {
  readonly #pages = new Map<number, Page>();
  #sizeBytes = 0;
  #blockCount = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get allocatedBytes(): number {
    return this.#blockCount * BLOCK_BYTES;
  }

  /** @returns bytes read, fewer than asked at the end */
  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.#sizeBytes - offset));
    for (let done = 0; done < count; ) {
      const start = (offset + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - start, count - done);
      const page = this.#pages.get((offset + done - start) / PAGE_BYTES);
      const held = page === undefined ? 0 : Math.max(0, Math.min(length, page.bytes.length - start));
      if (held > 0) into.set((page as Page).bytes.subarray(start, start + held), done);
      if (held < length) into.fill(0, done + held, done + length);
      done += length;
    }
    return count;
  }

  /** P1 */
  write(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) {
      const start = (offset + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - start, bytes.length - done);
      const piece = bytes.subarray(done, done + length);
      this.#writePage((offset + done - start) / PAGE_BYTES, piece, start);
      done += length;
    }
    if (bytes.length > 0) this.#sizeBytes = Math.max(this.#sizeBytes, offset + bytes.length);
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      const last = Math.floor(sizeBytes / PAGE_BYTES);
      for (const [index, page] of this.#pages) {
        if (index < last) continue;
        const kept = index === last ? sizeBytes % PAGE_BYTES : 0;
        if (kept > 0) this.#cut(page, kept);
        else {
          this.#blockCount -= bitCount(page.blocks);
          this.#pages.delete(index);
        }
      }
    }
    this.#sizeBytes = sizeBytes;
  }

  /** How many bytes more a write would take from the disk. */
  costOf(offset: number, lengthBytes: number): number {
    let count = 0;
    for (let done = 0; done < lengthBytes; ) {
      const start = (offset + done) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - start, lengthBytes - done);
      const blocks = this.#pages.get((offset + done - start) / PAGE_BYTES)?.blocks ?? 0;
      count += bitCount(blocksOf(start, start + length) & ~blocks);
      done += length;
    }
    return count * BLOCK_BYTES;
  }

  /** Takes a range, as far as it goes, from another content; neither size changes. */
  takeFrom(other: PagedContent, offset: number, lengthBytes: number): void {
    const length = Math.min(lengthBytes, this.#sizeBytes - offset);
    if (length <= 0) return;
    const bytes = new Uint8Array(length);
    other.read(bytes, offset);
    this.write(bytes, offset);
  }

  /** Both go their own way from here. */
  clone(): PagedContent {
    const clone = new PagedContent();
    for (const [index, page] of this.#pages) {
      page.isOwn = false;
      clone.#pages.set(index, { ...page });
    }
    clone.#sizeBytes = this.#sizeBytes;
    clone.#blockCount = this.#blockCount;
    return clone;
  }

  #writePage(index: number, piece: Uint8Array, start: number): void {
    const end = start + piece.length;
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = { bytes: piece, isOwn: false, blocks: 0 };
      this.#pages.set(index, page);
    }
    const blocks = page.blocks | blocksOf(start, end);
    this.#blockCount += bitCount(blocks) - bitCount(page.blocks);
    const isNew = page.blocks === 0;
    page.blocks = blocks;
    if (start === 0 && end >= page.bytes.length) {
      // P1
      page.bytes = piece;
      page.isOwn = false;
      return;
    }
    if (isNew || !page.isOwn || page.bytes.length < end) {
      let length = PAGE_BYTES_MIN;
      while (length < end || (!isNew && length < page.bytes.length)) length *= 2;
      const grown = new Uint8Array(length);
      if (!isNew) grown.set(page.bytes);
      page.bytes = grown;
      page.isOwn = true;
    }
    page.bytes.set(piece, start);
  }

  #cut(page: Page, keptBytes: number): void {
    if (page.bytes.length > keptBytes) {
      page.bytes = page.bytes.slice(0, keptBytes);
      page.isOwn = true;
    }
    const blocks = page.blocks & blocksOf(0, keptBytes);
    this.#blockCount -= bitCount(page.blocks) - bitCount(blocks);
    page.blocks = blocks;
  }
}

/** The blocks of a page that a range within it touches. */
function blocksOf(start: number, end: number): number {
  const first = Math.floor(start / BLOCK_BYTES);
  const count = Math.min(BLOCKS_A_PAGE, Math.ceil(end / BLOCK_BYTES)) - first;
  return ((1 << count) - 1) << first;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
