import fc from "fast-check";
import { expect, test } from "vitest";
import { TroupeError } from "../../src/core/errors.ts";
import { ChunkedBody } from "../../src/gateway/chunked-body.ts";

async function* inBlocks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array, void, void> {
  let offset = 0;
  for (let turn = 0; offset < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] as number;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

async function gather(slice: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for await (const block of slice) blocks.push(block);
  return Buffer.concat(blocks);
}

test("however a body is cut into blocks, its slices are its bytes in order, all full but the last", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 400 }),
      fc.array(fc.nat(50), { minLength: 1, maxLength: 5 }).filter((sizes) => sizes.some((size) => size > 0)),
      fc.integer({ min: 1, max: 64 }),
      async (bytes, sizes, sliceBytes) => {
        const body = new ChunkedBody(inBlocks(bytes, sizes));
        const slices: Buffer[] = [];
        while (await body.hasMore()) {
          const slice = body.slice(sliceBytes);
          slices.push(await gather(slice));
          expect(await slice.read).toBe(slices.at(-1)?.length);
        }
        expect(Buffer.concat(slices).equals(bytes)).toBe(true);
        for (const slice of slices.slice(0, -1)) expect(slice.length).toBe(sliceBytes);
        expect(slices).toHaveLength(Math.ceil(bytes.length / sliceBytes));
      },
    ),
  );
});

test("a reader that counts and never asks past the last byte has read the slice", async () => {
  const body = new ChunkedBody(inBlocks(Buffer.from("abcdef"), [4]));
  const slice = body.slice(3);
  const iterator = slice[Symbol.asyncIterator]();
  expect(Buffer.from((await iterator.next()).value as Uint8Array).toString()).toBe("abc");
  expect(await slice.read).toBe(3);
  expect((await gather(body.slice(10))).toString()).toBe("def");
});

test("F18: an error of the body is an error of the slice, not its end", async () => {
  const broken = (async function* () {
    yield Buffer.from("ab");
    throw new TroupeError("CANCELLED");
  })();
  await expect(gather(new ChunkedBody(broken).slice(10))).rejects.toMatchObject({ code: "CANCELLED" });
});
