/** IDs that allocators have given out: no two leases of a key have one in common. Leases that touch are kept as one, so they stay few. */

export interface IdSpan {
  readonly first: number;
  /** One past the last. */
  readonly end: number;
}

export class IdLeases {
  /** By key: in order, apart from each other. */
  readonly #given = new Map<string, IdSpan[]>();

  /** @returns what of the lease was given out before, if anything */
  give(key: string, first: number, count: number): IdSpan | undefined {
    const spans = this.#given.get(key) ?? [];
    this.#given.set(key, spans);
    const end = first + count;
    // Most leases are near the last one.
    let index = spans.length;
    while (index > 0 && (spans[index - 1] as IdSpan).end >= first) index -= 1;
    let after = index;
    let joined: IdSpan = { first, end };
    let repeated: IdSpan | undefined;
    for (; after < spans.length && (spans[after] as IdSpan).first <= end; after += 1) {
      const span = spans[after] as IdSpan;
      const both = { first: Math.max(span.first, first), end: Math.min(span.end, end) };
      if (both.first < both.end) repeated ??= both;
      joined = { first: Math.min(joined.first, span.first), end: Math.max(joined.end, span.end) };
    }
    spans.splice(index, after - index, joined);
    return repeated;
  }

  /** The database has forgotten what it committed: what it said before counts no more. */
  forget(): void {
    this.#given.clear();
  }
}
