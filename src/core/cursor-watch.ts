/**
 * Sees when a listing that is read page by page would have no end, because of a server that is broken or means harm.
 *
 * W1: a cursor that comes again is seen however long the circle is, with one cursor kept: each is compared with one that is replaced
 *     after twice as many pages every time (R. P. Brent, "An improved Monte Carlo factorization algorithm", 1980, finds circles so).
 * W2: pages in which there is nothing are not asked for for ever. Pages with something in them are: a listing may be long.
 */

const EMPTY_PAGES_MAX = 100;

export class CursorWatch {
  #kept: string | undefined;
  #pages = 0;
  #keptUntilPages = 1;
  #emptyPages = 0;

  /**
   * Another page has come, and says where the next one begins.
   * @returns what is wrong with the listing, or `undefined`
   */
  fault(cursor: string, itemCount: number): string | undefined {
    if (cursor === this.#kept) return "the same page would come again and again";
    this.#pages += 1;
    if (this.#pages === this.#keptUntilPages) {
      this.#kept = cursor;
      this.#keptUntilPages *= 2;
    }
    this.#emptyPages = itemCount === 0 ? this.#emptyPages + 1 : 0;
    return this.#emptyPages > EMPTY_PAGES_MAX ? `${this.#emptyPages} pages after one another have nothing in them` : undefined;
  }
}
