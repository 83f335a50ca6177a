/** A range that was opened is ended, wherever the reader leaves. */
import { expect, test } from "vitest";
import type { ByteRange } from "../../src/core/range.ts";
import { multipartRanges } from "../../src/gateway/multipart-ranges.ts";
import { settle } from "../support/virtual-clock.ts";

const RANGES: ByteRange[] = [
  { first: 0, last: 3 },
  { first: 10, last: 13 },
];

class Ranges {
  readonly opened: ByteRange[] = [];
  readonly ended: ByteRange[] = [];
  gate: Promise<void> | undefined;
  breaks = false;

  readonly open = async (range: ByteRange): Promise<AsyncIterable<Uint8Array>> => {
    this.opened.push(range);
    await this.gate;
    let isGiven = false;
    const end = async (): Promise<IteratorResult<Uint8Array>> => {
      if (!this.ended.includes(range)) this.ended.push(range);
      return { done: true, value: undefined };
    };
    const iterator: AsyncIterator<Uint8Array> = {
      next: async () => {
        if (this.breaks) throw new Error("the disk broke");
        if (isGiven) return await end();
        isGiven = true;
        return { done: false, value: Buffer.from("four") };
      },
      return: end,
    };
    return { [Symbol.asyncIterator]: () => iterator };
  };

  async body(): Promise<AsyncIterator<Uint8Array>> {
    const { body } = await multipartRanges({ ranges: RANGES, contentType: "text/plain", sizeBytes: 20, boundary: "b", open: this.open });
    return body[Symbol.asyncIterator]();
  }
}

test("read to its end, it gives as many bytes as it announced and ends every range", async () => {
  const ranges = new Ranges();
  const { headers, body } = await multipartRanges({
    ranges: RANGES,
    contentType: "text/plain",
    sizeBytes: 20,
    boundary: "b",
    open: ranges.open,
  });
  const blocks: Uint8Array[] = [];
  for await (const block of body) blocks.push(block);
  const text = Buffer.concat(blocks).toString();
  expect(text.length).toBe(Number(headers["content-length"]));
  expect(text.split("four")).toHaveLength(3);
  expect(ranges.ended).toEqual(RANGES);
});

test.each([0, 1, 2, 3, 4, 5])("left after %i pulls, every range that was opened is ended, and nothing more is opened", async (pulls) => {
  const ranges = new Ranges();
  const body = await ranges.body();
  for (let pull = 0; pull < pulls; pull += 1) expect((await body.next()).done).toBe(false);
  await body.return?.();
  expect(ranges.ended).toEqual(ranges.opened);
  const { length } = ranges.opened;
  expect((await body.next()).done).toBe(true);
  expect(ranges.opened).toHaveLength(length);
});

test("left while a range is being opened, that range is ended when it is open", async () => {
  const ranges = new Ranges();
  const body = await ranges.body();
  for (let pull = 0; pull < 2; pull += 1) await body.next();
  const gate = Promise.withResolvers<void>();
  ranges.gate = gate.promise;
  const pulled = body.next();
  await settle();
  expect(ranges.opened).toEqual(RANGES);
  await body.return?.();
  expect(ranges.ended).toEqual([RANGES[0]]);
  gate.resolve();
  expect((await pulled).done).toBe(true);
  expect(ranges.ended).toEqual(RANGES);
});

test("a range that breaks is ended", async () => {
  const ranges = new Ranges();
  const body = await ranges.body();
  await body.next();
  ranges.breaks = true;
  await expect(body.next()).rejects.toThrow("the disk broke");
  expect(ranges.ended).toEqual([RANGES[0]]);
});
