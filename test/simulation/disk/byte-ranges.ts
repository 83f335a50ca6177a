/** Ranges of bytes that neither touch nor overlap, in order. */

export interface ByteRange {
  readonly from: number;
  /** The first byte behind it. */
  readonly to: number;
}

export function withRange(ranges: readonly ByteRange[], added: ByteRange): ByteRange[] {
  let { from, to } = added;
  const rest = ranges.filter((range) => {
    if (range.to < from || range.from > to) return true;
    from = Math.min(from, range.from);
    to = Math.max(to, range.to);
    return false;
  });
  return [...rest, { from, to }].sort((one, other) => one.from - other.from);
}

export function withoutRange(ranges: readonly ByteRange[], taken: ByteRange): ByteRange[] {
  return ranges.flatMap((range) =>
    [
      { from: range.from, to: Math.min(range.to, taken.from) },
      { from: Math.max(range.from, taken.to), to: range.to },
    ].filter(({ from, to }) => from < to),
  );
}
