/** Several ranges in one answer: `multipart/byteranges` (RFC 9110 section 14.6), its length known before its first byte. */
import type { ByteRange } from "../core/range.ts";

export interface RangesOptions {
  /** In the order asked for. */
  readonly ranges: readonly ByteRange[];
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Random, so that no file can hold it on purpose. */
  readonly boundary: string;
  readonly open: (range: ByteRange) => Promise<AsyncIterable<Uint8Array>>;
}

/** The first range is opened before this resolves, so that a missing blob is an error and not a broken stream. */
export async function multipartRanges(
  options: RangesOptions,
): Promise<{ readonly headers: Readonly<Record<string, string>>; readonly body: AsyncIterable<Uint8Array> }> {
  const { ranges, boundary } = options;
  const heads = ranges.map((range, index) => partHead(options, range, index === 0));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const lengthBytes = ranges.reduce((sum, { first, last }, index) => sum + (heads[index] as Buffer).length + last - first + 1, tail.length);
  const firstBytes = await options.open(ranges[0] as ByteRange);
  return {
    headers: { "content-type": `multipart/byteranges; boundary=${boundary}`, "content-length": String(lengthBytes) },
    body: parts(options, heads, firstBytes, tail),
  };
}

function partHead({ boundary, contentType, sizeBytes }: RangesOptions, { first, last }: ByteRange, isFirst: boolean): Buffer {
  return Buffer.from(
    `${isFirst ? "" : "\r\n"}--${boundary}\r\ncontent-type: ${contentType}\r\ncontent-range: bytes ${first}-${last}/${sizeBytes}\r\n\r\n`,
  );
}

async function* parts(
  options: RangesOptions,
  heads: readonly Buffer[],
  firstBytes: AsyncIterable<Uint8Array>,
  tail: Buffer,
): AsyncGenerator<Uint8Array, void, void> {
  for (const [index, range] of options.ranges.entries()) {
    const bytes = index === 0 ? firstBytes : await options.open(range);
    yield heads[index] as Buffer;
    yield* bytes;
  }
  yield tail;
}
