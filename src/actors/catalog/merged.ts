/** Several ordered streams as one. */

/**
 * What compares as equal comes once.
 * @param chosen which of two equal items it is
 */
export async function* merged<Item>(
  sources: readonly AsyncIterable<Item>[],
  compare: (a: Item, b: Item) => number,
  chosen: (a: Item, b: Item) => Item,
): AsyncGenerator<Item, void, void> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const heads: IteratorResult<Item, unknown>[] = [];
  for (const iterator of iterators) heads.push(await iterator.next());
  for (;;) {
    let first: Item | undefined;
    for (const head of heads) {
      if (head.done === true) continue;
      const order = first === undefined ? -1 : compare(head.value, first);
      if (order < 0) first = head.value;
      else if (order === 0) first = chosen(first as Item, head.value);
    }
    if (first === undefined) return;
    yield first;
    for (const [index, head] of heads.entries()) {
      if (head.done !== true && compare(head.value, first) === 0) heads[index] = await (iterators[index] as AsyncIterator<Item>).next();
    }
  }
}
