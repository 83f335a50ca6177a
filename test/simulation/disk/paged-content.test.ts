import fc from "fast-check";
import { expect, it } from "vitest";
import { SeededRandom } from "../../support/seeded-random.ts";
import { BLOCK_BYTES, PagedContent } from "./paged-content.ts";

const LENGTH_MAX = 300_000;
const place = fc.oneof(fc.integer({ min: 0, max: LENGTH_MAX }), fc.constantFrom(0, 512, 4096, 65_535, 65_536, 131_072, 196_608));
const change = fc.record({ kind: fc.constantFrom("write", "write", "truncate", "clone"), offset: place, length: place });

it("paged content reads like plain bytes, takes space only where it was written, and clones go their own ways", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), fc.nat(), (changes, seed) => {
      const random = new SeededRandom(seed);
      const plain = Buffer.alloc(2 * LENGTH_MAX);
      let sizeBytes = 0;
      let blocks = new Set<number>();
      let content = new PagedContent();
      const clones: { readonly content: PagedContent; readonly bytes: Buffer }[] = [];
      for (const { kind, offset, length } of changes) {
        if (kind === "clone") {
          const [kept, gone] = seed % 2 === 0 ? [content, content.clone()] : [content.clone(), content];
          clones.push({ content: gone, bytes: Buffer.from(plain.subarray(0, sizeBytes)) });
          content = kept;
        } else if (kind === "truncate") {
          content.truncate(offset);
          sizeBytes = offset;
          plain.fill(0, offset);
          blocks = new Set([...blocks].filter((block) => block < Math.ceil(offset / BLOCK_BYTES)));
        } else {
          const bytes = new Uint8Array(length).fill(1 + random.integer(255));
          const touched = Array.from(
            { length: length === 0 ? 0 : Math.floor((offset + length - 1) / BLOCK_BYTES) - Math.floor(offset / BLOCK_BYTES) + 1 },
            (_, index) => Math.floor(offset / BLOCK_BYTES) + index,
          );
          expect(content.costOf(offset, length)).toBe(touched.filter((block) => !blocks.has(block)).length * BLOCK_BYTES);
          content.write(bytes, offset);
          plain.set(bytes, offset);
          if (length > 0) sizeBytes = Math.max(sizeBytes, offset + length);
          for (const block of touched) blocks.add(block);
        }
        expect(content.sizeBytes).toBe(sizeBytes);
        expect(content.allocatedBytes).toBe(blocks.size * BLOCK_BYTES);
      }
      for (const each of [{ content, bytes: plain.subarray(0, sizeBytes) }, ...clones]) {
        const into = Buffer.alloc(each.bytes.length + 10, 7);
        expect(each.content.read(into, 0)).toBe(each.bytes.length);
        expect(into.subarray(0, each.bytes.length).equals(each.bytes)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});
